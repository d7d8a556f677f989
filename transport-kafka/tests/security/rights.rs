//! ACLs: what is not for us is refused by its name, and never called missing.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Outcome, TopicSpec, TopologyMode, Transport as _};
use gulo_transport_kafka::{KafkaTransport, SaslMechanism};
use tokio::time::Instant;

use crate::place::place;
use crate::support::*;

/// A topic that only the checker may touch.
async fn of_others(transport: &KafkaTransport) -> Arc<str> {
    let name = format!("secret.{}", unique("topic"));
    let topic = TopicSpec { partitions: Some(1), ..TopicSpec::new(name) };
    transport.ensure(&topology(TopologyMode::Create, vec![topic.clone()])).await.unwrap();
    topic.name
}

pub(crate) async fn a_topic_that_is_not_for_us_is_refused_to_who_publishes() {
    let (checker, transport) = (place().checker(), KafkaTransport::new(place().alice()));
    let (secret, ours) = (of_others(&checker).await, topic(&transport, "ours", 1).await);
    let publisher = publisher(&transport).await;
    let batch = vec![Message::new(ours.clone(), "1"), Message::new(secret.clone(), "2"), Message::new(ours, "3")];
    let begun = Instant::now();
    let unsent = publisher.publish(batch).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let failed: Vec<_> =
        unsent.failed.iter().map(|failed| (failed.index, failed.outcome, failed.error.kind())).collect();
    assert_eq!(failed, [(1, Outcome::Refused, ErrorKind::Refused)], "the others are confirmed: {unsent}");
    let text = unsent.to_string();
    assert!(text.contains(&*secret) && text.contains("ACL"), "{text}");
}

pub(crate) async fn a_topic_that_is_not_for_us_is_refused_to_who_reads() {
    let (checker, transport) = (place().checker(), KafkaTransport::new(place().alice()));
    let secret = of_others(&checker).await;
    let begun = Instant::now();
    let subscribed = transport.subscribe(eager(&unique("g"), &[&secret])).await.err().unwrap();
    let checked = transport.ensure(&topology(TopologyMode::Check, vec![TopicSpec::new(secret.clone())])).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    for error in [subscribed, checked.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("`{secret}`")) && text.contains("ACL"), "{text}");
    }
}

pub(crate) async fn a_group_that_is_not_for_us_is_refused_at_once() {
    let transport = KafkaTransport::new(place().alice());
    let ours = topic(&transport, "ours", 1).await;
    let begun = Instant::now();
    let error = transport.subscribe(eager("secret-group", &[&ours])).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let text = error.to_string();
    assert!(text.contains("Group authorization failed") && text.contains("ACL"), "{text}");
    // What it costs where the group is ours.
    let begun = Instant::now();
    let mut reader = Reader::new(&transport, eager(&unique("g"), &[&ours])).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    reader.close().await;
}

pub(crate) async fn a_topic_that_we_may_not_make_is_named() {
    for config in [place().alice(), place().sasl_ssl().sasl(SaslMechanism::ScramSha512, "dave", "dave-secret")] {
        let transport = KafkaTransport::new(config);
        let name = format!("secret.{}", unique("made"));
        let wanted = topology(TopologyMode::Create, vec![TopicSpec::new(name.clone())]);
        let error = transport.ensure(&wanted).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains(&name) && error.to_string().contains("ACL"), "{error}");
    }
}
