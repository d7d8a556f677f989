//! Topics that are deleted and made anew under their name, with a reader at work that hears nothing meanwhile.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::transport::{LaneEvent, TopicSpec, TopologyMode, Transport};
use gulo_conformance::Mode;
use gulo_transport_kafka::KafkaTransport;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use tokio::time::{Instant, sleep};

use crate::faults::{Way, a_topic, through};
use crate::support::*;

/// Deleted, and made anew with so many messages in it.
async fn anew(direct: &KafkaTransport, topic: &Arc<str>, messages: std::ops::Range<u32>) {
    let servers = broker().await.unwrap().servers();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let deleted = admin.delete_topics(&[topic], &AdminOptions::new()).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    let spec = TopicSpec { partitions: Some(1), ..TopicSpec::new(topic.clone()) };
    let deadline = Instant::now() + PATIENCE;
    // One that is on its way out passes for one that is there.
    while direct.ensure(&topology(TopologyMode::Check, vec![spec.clone()])).await.is_ok() {
        assert!(Instant::now() < deadline, "it is still there");
        sleep(Duration::from_millis(50)).await;
    }
    direct.ensure(&topology(TopologyMode::Create, vec![spec])).await.unwrap();
    publish(direct, numbered(topic, 0, messages)).await;
}

/// A reader that has read and committed 0 to 9 of a topic, and then hears nothing until another one is there with 10 to 39.
async fn overtaken() -> Option<(Way, KafkaTransport, Arc<str>, String, Reader)> {
    let way = Way::open().await?;
    let (direct, topic) = a_topic("anew").await;
    publish(&direct, numbered(&topic, 0, 0..10)).await;
    let group = unique("g");
    let mut reader = Reader::new(&through(&way, 5), eager(&group, &[&topic])).await;
    reader.until_count(10).await;
    reader.settle_all();
    // Committed, and known by its id.
    reader.quiet_for(Duration::from_secs(1)).await;
    way.set(Mode::Refuse).await;
    anew(&direct, &topic, 10..40).await;
    way.set(Mode::Open).await;
    Some((way, direct, topic, group, reader))
}

pub(crate) async fn one_that_has_grown_past_the_old_position_is_read_from_its_beginning() {
    let Some((_way, direct, topic, group, mut reader)) = overtaken().await else { return };
    let all = |reader: &Reader| (10..40).all(|number| reader.numbers().contains(&number));
    reader.until("all of the new one", all).await;
    let opened = |event: &LaneEvent| matches!(event, LaneEvent::Opened { origin, .. } if origin.offset == Some(0));
    let beginning = reader.events.iter().rposition(opened).expect("a lane from the beginning");
    assert!(beginning > 0, "{:?}", reader.events);
    let last: Vec<u32> = reader.numbers().into_iter().rev().take(30).rev().collect();
    assert_eq!(last, (10..40).collect::<Vec<_>>(), "all of it in order, whatever was read before");
    reader.settle_all();
    reader.close().await;
    publish(&direct, numbered(&topic, 0, 40..41)).await;
    let mut next = Reader::new(&direct, eager(&group, &[&topic])).await;
    next.until_count(1).await;
    assert_eq!(next.numbers(), [40], "the group stands where the new one was read to");
    next.close().await;
}

/// It goes when it has read on from the old position, committed that, and noticed: the group must not stand there.
pub(crate) async fn a_group_does_not_stand_in_the_new_one_where_the_old_one_was_read_to() {
    let Some((_way, direct, topic, group, mut reader)) = overtaken().await else { return };
    reader.until_count(11).await;
    let behind = reader.numbers().iter().skip(10).take_while(|number| **number >= 20).count();
    reader.settle(10..10 + behind);
    reader.until("the beginning of the new one", |reader| reader.numbers().contains(&10)).await;
    reader.close().await;
    let mut next = Reader::new(&direct, eager(&group, &[&topic])).await;
    next.until_count(30).await;
    assert_eq!(next.numbers(), (10..40).collect::<Vec<_>>());
    next.close().await;
}
