//! Delivery: what comes out of a source, in which order, how often.

use std::collections::BTreeMap;
use std::time::Duration;

use gulo_bus_core::transport::Capability;
use tokio::time::Instant;

use super::Case;
use crate::support::{Bench, numbered, text, texts};

pub(super) const CASES: &[Case] = &[
    case!(messages_of_a_key_keep_their_order).needs(&[Capability::KeyOrder]),
    case!(messages_of_a_key_come_on_one_lane).needs(&[Capability::KeyOrder, Capability::Partitions]),
    case!(a_backlog_is_delivered_once_through_small_receives),
    case!(what_is_published_while_a_reader_waits_reaches_it),
    case!(without_room_there_are_events_and_no_deliveries),
    case!(a_receive_dropped_midway_loses_nothing),
];

const KEYS: usize = 20;

/// Publishes 500 messages with 20 keys in one call, each numbered within its key.
async fn publish_keyed(bench: &Bench) {
    bench.several_lanes(&["g"]).await;
    let keyed = |number: usize| bench.message((number / KEYS).to_string()).key(format!("key-{}", number % KEYS));
    bench.send((0..500).map(keyed).collect()).await;
}

async fn messages_of_a_key_keep_their_order(bench: Bench) {
    publish_keyed(&bench).await;
    let mut seen = BTreeMap::<_, Vec<String>>::new();
    for delivery in bench.member("g").await.take(500).await {
        seen.entry(delivery.message.key.clone()).or_default().push(text(&delivery));
    }
    assert_eq!(seen.len(), KEYS);
    for (key, numbers) in seen {
        assert_eq!(numbers, numbered("", 0..25), "of {key:?}");
    }
}

async fn messages_of_a_key_come_on_one_lane(bench: Bench) {
    publish_keyed(&bench).await;
    let (mut lane_of, mut lanes) = (BTreeMap::new(), std::collections::BTreeSet::new());
    for delivery in bench.member("g").await.take(500).await {
        let lane = delivery.token.lane;
        let first = *lane_of.entry(delivery.message.key).or_insert(lane);
        assert_eq!(lane, first);
        lanes.insert(lane);
    }
    assert!(lanes.len() > 1, "20 keys are spread over the partitions");
}

async fn a_backlog_is_delivered_once_through_small_receives(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..100)).await;
    let (mut reader, deadline) = (bench.member("g").await, bench.soon());
    let mut seen = Vec::new();
    while seen.len() < 100 {
        // The reader sees to it that no more come than there was room for.
        assert!(reader.step(3, deadline).await, "{} of 100 came in time", seen.len());
        let taken = reader.taken();
        reader.settle(&taken);
        seen.extend(texts(&taken));
    }
    assert_eq!(seen, numbered("m", 0..100));
    bench.nothing_more_for(&mut reader).await;
}

async fn what_is_published_while_a_reader_waits_reaches_it(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let mut reader = bench.member("g").await;
    reader.lane().await;
    let later = async {
        for text in numbered("m", 0..5) {
            bench.publish([text]).await;
        }
    };
    let (came, ()) = tokio::join!(reader.take(5), later);
    assert_eq!(texts(&came), numbered("m", 0..5));
}

async fn without_room_there_are_events_and_no_deliveries(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(["a", "b"]).await;
    let mut reader = bench.member("g").await;
    let lane = reader.lane().await;
    // The events of this come with no room too; that no delivery does is seen to by the reader.
    reader.release(lane).await;
    assert_eq!(texts(&reader.take(2).await), ["a", "b"]);
}

async fn a_receive_dropped_midway_loses_nothing(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let mut reader = bench.member("g").await;
    let publishing = async {
        for part in 0..20 {
            bench.publish(numbered("m", part * 10..part * 10 + 10)).await;
        }
    };
    let deadline = bench.soon();
    let reading = async {
        while reader.got.len() < 200 {
            assert!(Instant::now() < deadline, "{} of 200 came in time", reader.got.len());
            // Mostly over before anything comes.
            reader.step(7, Instant::now() + Duration::from_micros(300)).await;
        }
        texts(&reader.taken())
    };
    let (seen, ()) = tokio::join!(reading, publishing);
    assert_eq!(seen, numbered("m", 0..200));
    bench.nothing_more_for(&mut reader).await;
}
