//! Half of the rights: found, and then not allowed.

use std::time::Duration;

use gulo_bus_core::transport::{SubscribeSpec, Topics, Transport as _};
use gulo_bus_core::{Error, ErrorKind};
use gulo_transport_kafka::KafkaTransport;
use tokio::time::Instant;

use crate::later::trouble;
use crate::place::place;
use crate::support::*;

/// What subscribing says, or the source right after.
async fn refusal(transport: &KafkaTransport, spec: SubscribeSpec) -> Error {
    let begun = Instant::now();
    let error = match transport.subscribe(spec).await {
        Err(error) => {
            eprintln!("at subscribe {:?}", begun.elapsed());
            error
        }
        Ok(source) => {
            let e = trouble(&mut Reader { source, deliveries: Vec::new(), events: Vec::new() }).await;
            eprintln!("later {:?}", begun.elapsed());
            e
        }
    };
    eprintln!("{error:?} // {error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}: {error}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    error
}

pub(crate) async fn a_topic_that_we_may_find_but_not_read_is_named() {
    let place = place();
    let transport = KafkaTransport::new(place.alice());
    let (ours, theirs) = (topic(&transport, "ours", 1).await, topic(&transport, "theirs", 2).await);
    place.deny_to("alice", "Read", "topic", &theirs, true);
    let error = refusal(&transport, eager(&unique("g"), &[&ours, &theirs])).await;
    assert!(error.to_string().contains(&*theirs) && error.to_string().contains("ACL"), "{error}");
}

pub(crate) async fn a_group_that_we_may_find_but_not_join_is_named() {
    let (place, group) = (place(), unique("g"));
    let transport = KafkaTransport::new(place.alice());
    let ours = topic(&transport, "ours", 1).await;
    place.deny_to("alice", "Read", "group", &group, true);
    let error = refusal(&transport, eager(&group, &[&ours])).await;
    assert!(error.to_string().contains("ACL"), "{error}");
}

pub(crate) async fn a_group_that_is_not_for_us_is_refused_to_a_pattern_too() {
    let transport = KafkaTransport::new(place().alice());
    let ours = topic(&transport, "ours", 1).await;
    let mut spec = eager("secret-group", &[&ours]);
    spec.topics = Topics::Pattern(format!("{ours}.*").into());
    let error = refusal(&transport, spec).await;
    assert!(error.to_string().contains("ACL"), "{error}");
}
