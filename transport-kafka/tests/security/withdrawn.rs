//! Rights that are taken from a group while it works.

use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::Transport as _;
use gulo_transport_kafka::KafkaTransport;
use tokio::time::{Instant, sleep};

use crate::later::trouble;
use crate::place::place;
use crate::support::*;

/// Takes a right of a reader that settles as it goes, and gives it back.
async fn taken_away(operation: &str, kind: &str, says: &str) {
    let place = place();
    let transport = KafkaTransport::new(place.alice());
    let (topic, group) = (topic(&transport, "withdrawn", 1).await, unique("g"));
    let publisher = publisher(&transport).await;
    publisher.publish(numbered(&topic, 0, 0..3)).await.unwrap();
    let mut reader = Reader::new(&transport, eager(&group, &[&topic])).await;
    reader.until_count(3).await;
    let name = if kind == "group" { &*group } else { &*topic };
    place.deny_to("alice", operation, kind, name, true);
    let begun = Instant::now();
    reader.settle_all();
    let error = trouble(&mut reader).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}: {error}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains(says) && error.to_string().contains("ACL"), "{error}");
    place.deny_to("alice", operation, kind, name, false);
    drop(reader);
    publisher.publish(numbered(&topic, 0, 3..4)).await.unwrap();
    // A bus subscribes anew until it is let in.
    let deadline = Instant::now() + PATIENCE;
    let source = loop {
        match transport.subscribe(eager(&group, &[&topic])).await {
            Ok(source) => break source,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        sleep(Duration::from_millis(200)).await;
    };
    let mut again = Reader { source, deliveries: Vec::new(), events: Vec::new() };
    again.until("what came meanwhile", |it| it.numbers().contains(&3)).await;
    again.close().await;
}

pub(crate) async fn a_group_that_is_taken_away_shows_and_its_return_heals() {
    taken_away("Read", "group", "roup authorization failed").await;
}

pub(crate) async fn a_right_to_read_that_is_taken_away_shows_and_its_return_heals() {
    taken_away("Read", "topic", "opic authorization failed").await;
}
