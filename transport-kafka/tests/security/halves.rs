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
        Err(error) => error,
        Ok(source) => trouble(&mut Reader { source, deliveries: Vec::new(), events: Vec::new() }).await,
    };
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}: {error}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    error
}

pub(crate) async fn a_topic_that_we_may_find_but_not_read_is_named() {
    let place = place();
    let transport = KafkaTransport::new(place.alice());
    let (ours, theirs) = (topic(&transport, "ours", 1).await, topic(&transport, "theirs", 2).await);
    place.deny_to("alice", "Read", "topic", &theirs, true);
    let error = transport.subscribe(eager(&unique("g"), &[&ours, &theirs])).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(!error.to_string().contains(&*ours), "{error}");
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
    spec.topics = Topics::Pattern(format!("{ours}.*"));
    let error = transport.subscribe(spec).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("ACL"), "{error}");
}

/// Where the right is taken from a source that runs, it is the topic that is named, and not only that something is denied.
pub(crate) async fn a_topic_that_may_not_be_read_any_more_is_named_by_the_source() {
    let place = place();
    let transport = KafkaTransport::new(place.alice());
    let (ours, theirs) = (topic(&transport, "ours", 1).await, topic(&transport, "theirs", 1).await);
    let mut reader = Reader::new(&transport, eager(&unique("g"), &[&ours, &theirs])).await;
    reader.until("lanes", |it| it.open().len() == 2).await;
    place.deny_to("alice", "Read", "topic", &theirs, true);
    let error = trouble(&mut reader).await;
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("topic `{theirs}`")) && text.contains("ACL") && !text.contains(&*ours), "{text}");
}

/// A topic of others in the middle: what is asked about rights is asked for all topics at once, and tells ours apart.
pub(crate) async fn all_topics_that_may_not_be_read_are_named_in_one_error() {
    let place = place();
    let transport = KafkaTransport::new(place.alice());
    let mut theirs = Vec::new();
    for _ in 0..2 {
        theirs.push(topic(&transport, "theirs", 1).await);
    }
    let ours = topic(&transport, "ours", 1).await;
    for topic in &theirs {
        place.deny_to("alice", "Read", "topic", topic, true);
    }
    let spec = eager(&unique("g"), &[&theirs[0], &ours, &theirs[1]]);
    let text = transport.subscribe(spec).await.err().unwrap().to_string();
    assert!(theirs.iter().all(|topic| text.contains(&format!("`{topic}`"))) && !text.contains(&*ours), "{text}");
}

/// What a subscription costs with all that is asked before it; `--nocapture` shows it.
pub(crate) async fn asking_first_costs_little() {
    let transport = KafkaTransport::new(place().alice());
    let ours = topic(&transport, "ours", 4).await;
    let mut times = Vec::new();
    for _ in 0..11 {
        let begun = Instant::now();
        drop(transport.subscribe(eager(&unique("g"), &[&ours])).await.unwrap());
        times.push(begun.elapsed());
    }
    times.sort();
    println!("subscribe: {:.0?} median, {:.0?} at most", times[5], times[10]);
    assert!(times[5] < Duration::from_secs(1), "{times:?}");
}
