//! What a user does wrong is told in whole: what, where, and what to do.

use std::time::{Duration, UNIX_EPOCH};

use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Inbox, Member, Position, SubscribeSpec, TopicSpec, TopologyMode, Transport};
use gulo_bus_core::{Error, ErrorKind};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport};
use tokio::time::Instant;

use crate::support::*;

fn said(error: &Error) -> (ErrorKind, String) {
    (error.kind(), error.to_string())
}

/// What is wrong with a topic.
type Change = fn(&mut TopicSpec);

pub(crate) async fn topics_that_cannot_be_made_are_told_with_what_to_do() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let cases: [(Change, ErrorKind, &str); 4] = [
        (
            |topic| topic.replication = Some(9),
            ErrorKind::Refused,
            "creating topics: `NAME` (Broker: Invalid replication factor) (there are no more replicas than brokers: say \
             fewer, or nothing of them)",
        ),
        (
            |topic| topic.settings = vec![("no.such.setting".into(), "1".into())],
            ErrorKind::Config,
            "creating topics: `NAME` (Broker: Configuration is invalid) (settings of topics are in the broker's words, as \
             `retention.ms`)",
        ),
        (
            |topic| topic.partitions = Some(u32::MAX),
            ErrorKind::Config,
            "topic `NAME` has too many partitions (say fewer, or nothing of them)",
        ),
        (
            |topic| topic.partitions = Some(0),
            ErrorKind::Config,
            "topic `NAME` cannot have 0 partitions (give it at least 1, or say nothing of them)",
        ),
    ];
    for (change, kind, text) in cases {
        let mut topic = TopicSpec::new(unique("bad"));
        change(&mut topic);
        let name = topic.name.clone();
        let error = transport.ensure(&topology(TopologyMode::Create, vec![topic])).await.unwrap_err();
        assert_eq!(said(&error), (kind, text.replace("NAME", &name)));
    }
}

pub(crate) async fn messages_that_cannot_be_sent_are_told_with_what_to_do() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "bad", 1).await;
    let publisher = transport.publisher().await.unwrap();
    let message = || Message::new(topic.clone(), "x");
    let mut early = message();
    early.timestamp = UNIX_EPOCH.checked_sub(Duration::from_secs(5));
    let (mut beyond, mut absent) = (message(), message());
    (beyond.send.partition, absent.send.partition) = (Some(u32::MAX), Some(7));
    let missing = unique("absent");
    let cases = [
        (
            message().header("a\0b", "v"),
            ErrorKind::Refused,
            "a message for topic `NAME` has a header with a NUL in its name (give it another name)",
        ),
        (
            early,
            ErrorKind::Refused,
            "a message for topic `NAME` has a timestamp that does not lie behind 1970-01-01 (give it a later one, or none: \
             it is now then)",
        ),
        (
            beyond,
            ErrorKind::Refused,
            "a message for topic `NAME` names a partition that Kafka cannot have (they count from 0; or name none)",
        ),
        (
            absent,
            ErrorKind::Missing,
            "a message for topic `NAME`: there is no partition 7 (they count from 0; or name none)",
        ),
        (
            Message::new(missing, "x"),
            ErrorKind::Missing,
            "a message for topic `NAME`: UNKNOWN (create what is missing with `ensure`)",
        ),
    ];
    for (message, kind, text) in cases {
        let name = message.topic.clone();
        let unsent = publisher.publish(vec![message]).await.unwrap_err();
        // Who of the two finds out first.
        let (found, said) = said(&unsent.failed[0].error);
        let said =
            said.replace("Broker: Unknown topic or partition", "UNKNOWN").replace("Local: Unknown topic", "UNKNOWN");
        assert_eq!((found, said), (kind, text.replace("NAME", &name)));
    }
    // Of no name, and with nothing in it: Kafka has such.
    publisher.publish(vec![message().header("", "v").header("e", "")]).await.unwrap();
    let mut reader = Reader::new(&transport, SubscribeSpec::solo([topic.clone()])).await;
    reader.until_count(1).await;
    publisher.close(Instant::now() + PATIENCE).await.unwrap();
    let text = "the Kafka publisher is closed (publish before the bus shuts down)";
    let unsent = publisher.publish(vec![message()]).await.unwrap_err();
    assert_eq!(said(&unsent.failed[0].error), (ErrorKind::Closed, text.into()));
}

pub(crate) async fn subscriptions_and_transactions_that_cannot_be_are_told_with_what_to_do() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "bad", 1).await;
    let group = || SubscribeSpec::group("g", [topic.clone()]);
    let missing = unique("absent");
    let cases = [
        (
            SubscribeSpec { window: 0, ..group() },
            ErrorKind::Config,
            "a window of 0 deliveries would let nothing through (give it at least 1)".to_owned(),
        ),
        (
            SubscribeSpec { member: Member::Solo, start: Position::Committed, ..group() },
            ErrorKind::Config,
            "a solo reader has nothing committed to begin at (give another position)".into(),
        ),
        (
            SubscribeSpec::group("g", [] as [&str; 0]),
            ErrorKind::Config,
            "a subscription names no topic (name one)".into(),
        ),
        (
            SubscribeSpec { drain: Duration::MAX, ..group() },
            ErrorKind::Config,
            format!(
                "lanes may not take {:?} to drain (at most 290s: the group waits no longer than max.poll.interval.ms)",
                Duration::MAX
            ),
        ),
        (
            SubscribeSpec::group("g", [&*missing]),
            ErrorKind::Missing,
            format!("no such topic: `{missing}` (create what is missing with `ensure`)"),
        ),
    ];
    for (spec, kind, text) in cases {
        let error = transport.subscribe(spec).await.map(drop).unwrap_err();
        assert_eq!(said(&error), (kind, text));
    }
    for id in ["", "a\0b"] {
        let error = transport.transaction(id).await.map(drop).unwrap_err();
        let text = format!(
            "transaction `{}`: an id is text without a NUL, and not empty (take one that is this process's own, and the same \
             after a restart)",
            id.replace('\0', "")
        );
        assert_eq!(said(&error), (ErrorKind::Config, text));
    }
    let mut source = transport.subscribe(group()).await.unwrap();
    source.close(Instant::now() + PATIENCE).await.unwrap();
    let error = source.recv(&mut Inbox::default(), 1).await.unwrap_err();
    assert_eq!(said(&error), (ErrorKind::Closed, "the Kafka source is closed (subscribe anew)".into()));
}

/// Waits that no clock can count.
pub(crate) async fn times_without_an_end_are_taken() {
    let Some(place) = broker().await else { return };
    let config = KafkaConfig::new(place.servers()).publish_timeout(Duration::MAX).connect_timeout(Duration::MAX);
    let transport = KafkaTransport::new(config);
    let topic = topic(&transport, "far", 1).await;
    let publisher = transport.publisher().await.unwrap();
    publisher.publish(vec![Message::new(topic.clone(), "x")]).await.unwrap();
    let mut transaction = transport.transaction(&unique("far")).await.unwrap();
    transaction.publish(vec![Message::new(topic.clone(), "y")]).await.unwrap();
    transaction.commit().await.unwrap();
    let mut reader = Reader::new(&transport, SubscribeSpec::solo([topic])).await;
    reader.until_count(2).await;
    publisher.close(Instant::now() + PATIENCE).await.unwrap();
}
