//! Static membership (`group.instance.id`), and who is a member at all.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{Inbox, LaneEvent, Transport as _};
use gulo_transport_kafka::KafkaTransport;
use tokio::time::Instant;

use crate::rig::Broker;
use crate::support::*;

fn member(place: &Broker, name: &str) -> KafkaTransport {
    KafkaTransport::new(config(&place.servers()).group_instance_id(name))
}

fn moved(reader: &Reader) -> bool {
    reader.events.iter().any(|it| !matches!(it, LaneEvent::Opened { .. }))
}

/// Both have two of the four lanes.
async fn two_members(place: &Broker, group: &str, topic: &Arc<str>) -> (Reader, Reader) {
    let mut one = Reader::new(&member(place, "one"), eager(group, &[topic])).await;
    one.until("4 lanes", |it| it.open().len() == 4).await;
    let mut two = Reader::new(&member(place, "two"), eager(group, &[topic])).await;
    let deadline = Instant::now() + PATIENCE;
    while one.open().len() != 2 || two.open().len() != 2 {
        assert!(Instant::now() < deadline, "{:?} {:?}", one.events, two.events);
        for reader in [&mut one, &mut two] {
            reader.step(Duration::from_millis(100)).await;
            reader.give_back_what_is_draining();
        }
    }
    (one, two)
}

/// The point of it: a rolling restart stops nobody else.
pub(crate) async fn a_static_member_that_comes_back_in_time_moves_nothing() {
    let Some(place) = broker().await else { return };
    let (group, topic) = (unique("g"), topic(&transport(&place), "static", 4).await);
    let (mut one, mut two) = two_members(&place, &group, &topic).await;
    one.events.retain(|it| matches!(it, LaneEvent::Opened { .. }));
    let before = one.events.len();
    publish(&transport(&place), (0..4).flat_map(|lane| numbered(&topic, lane, lane * 10..lane * 10 + 10)).collect())
        .await;
    one.until_count(20).await;
    two.until_count(20).await;
    one.settle_all();
    two.settle(0..15);
    two.close().await;

    // A process of the same name: nothing that was settled comes again, and nothing of the other's has moved.
    let mut again = Reader::new(&member(&place, "two"), eager(&group, &[&topic])).await;
    again.until_count(5).await;
    again.quiet_for(Duration::from_millis(500)).await;
    assert_eq!(sorted(again.numbers()), sorted(two.numbers()[15..].to_vec()));
    one.quiet_for(Duration::from_millis(500)).await;
    assert!(one.events.len() == before && !moved(&one), "{:?}", one.events);
    again.close().await;
    one.close().await;
}

/// The price of it: whoever leaves keeps its lanes until its session is over.
pub(crate) async fn lanes_of_a_static_member_that_stays_away_move_after_its_session() {
    let Some(place) = broker().await else { return };
    let (group, topic) = (unique("g"), topic(&transport(&place), "away", 4).await);
    let (mut one, mut two) = two_members(&place, &group, &topic).await;
    two.close().await;
    let closed = Instant::now();
    one.until("all lanes", |it| it.open().len() == 4).await;
    let took = closed.elapsed();
    assert!((4..30).contains(&took.as_secs()), "{took:?}");
    one.close().await;
}

/// Two of one name: the later one counts, and the earlier one says why it ended.
pub(crate) async fn a_second_member_of_the_same_name_ends_the_first_by_name() {
    let Some(place) = broker().await else { return };
    let (group, topic) = (unique("g"), topic(&transport(&place), "twice", 1).await);
    let mut first = Reader::new(&member(&place, "same"), eager(&group, &[&topic])).await;
    first.until("a lane", |it| it.open().len() == 1).await;
    let mut second = Reader::new(&member(&place, "same"), eager(&group, &[&topic])).await;
    second.until("a lane", |it| it.open().len() == 1).await;
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "the first goes on: {:?}", first.events);
        let mut inbox = Inbox::default();
        match tokio::time::timeout(Duration::from_secs(1), first.source.recv(&mut inbox, 10)).await {
            Ok(Err(error)) => break error,
            _ => continue,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("group.instance.id"), "{error}");
    publish(&transport(&place), numbered(&topic, 0, 0..3)).await;
    second.until_count(3).await;
    second.settle_all();
    second.close().await;
}

pub(crate) async fn a_solo_reader_of_a_static_member_disturbs_nobody() {
    let Some(place) = broker().await else { return };
    let (group, topic) = (unique("g"), topic(&transport(&place), "beside", 1).await);
    let transport = member(&place, "one");
    publish(&transport, numbered(&topic, 0, 0..3)).await;
    let mut reader = Reader::new(&transport, eager(&group, &[&topic])).await;
    reader.until_count(3).await;
    let spec = gulo_bus_core::transport::SubscribeSpec::solo([topic.clone()]);
    let mut solo =
        Reader { source: transport.subscribe(spec).await.unwrap(), deliveries: Vec::new(), events: Vec::new() };
    solo.until_count(3).await;
    reader.quiet_for(Duration::from_millis(500)).await;
    assert!(!moved(&reader), "{:?}", reader.events);
    solo.close().await;
    reader.close().await;
}
