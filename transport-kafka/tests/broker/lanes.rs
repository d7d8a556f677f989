use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::settle::{Settlement, Verdict};
use gulo_bus_core::transport::{Control, LaneEvent, Position};
use gulo_transport_kafka::KafkaTransport;

use crate::support::*;

async fn ten(what: &str, window: usize) -> Option<(KafkaTransport, std::sync::Arc<str>, Reader, String)> {
    let place = broker().await?;
    let transport = transport(&place);
    let topic = topic(&transport, what, 1).await;
    let group = unique("g");
    publish(&transport, numbered(&topic, 0, 0..10)).await;
    let mut spec = eager(&group, &[&topic]);
    spec.window = window;
    let reader = Reader::new(&transport, spec).await;
    Some((transport, topic, reader, group))
}

pub(crate) async fn a_full_lane_is_held_back_alone() {
    let Some((transport, topic, mut reader, _)) = ten("window", 4).await else { return };
    reader.until_count(4).await;
    reader.quiet_for(Duration::from_millis(700)).await;
    assert_eq!(reader.numbers(), [0, 1, 2, 3]);
    reader.settle(1..4);
    reader.quiet_for(Duration::from_millis(700)).await;
    assert_eq!(reader.deliveries.len(), 4, "the oldest is still out");
    reader.settle(0..1);
    reader.until_count(8).await;
    assert_eq!(reader.numbers(), (0..8).collect::<Vec<_>>());
    publish(&transport, numbered(&topic, 0, 10..11)).await;
    reader.settle_all();
    reader.until_count(11).await;
    reader.close().await;
}

pub(crate) async fn a_released_lane_opens_again_with_what_was_unsettled() {
    let Some((_, _, mut reader, _)) = ten("release", 100).await else { return };
    reader.until_count(10).await;
    reader.settle(0..3);
    reader.settle(5..6);
    let old = reader.deliveries[0].token.lane;
    reader.source.control(Control::Release(vec![old])).unwrap();
    // Too late for the old epoch.
    reader.settle(3..4);
    reader.until_count(16).await;
    assert_eq!(reader.numbers()[10..], [3, 4, 6, 7, 8, 9]);
    assert!(reader.events.iter().any(|it| matches!(it, LaneEvent::Closed(lane) if *lane == old)));
    let new = reader.deliveries[10].token.lane;
    assert!(new.slot == old.slot && new.epoch > old.epoch);
    reader.settle(10..16);
    reader.close().await;
}

pub(crate) async fn a_released_lane_is_durable_when_it_says_so() {
    let Some((transport, topic, mut reader, group)) = ten("durable", 100).await else { return };
    reader.until_count(10).await;
    reader.settle(0..6);
    let old = reader.deliveries[0].token.lane;
    reader.source.control(Control::Release(vec![old])).unwrap();
    reader.until("closed", |it| it.events.iter().any(|it| matches!(it, LaneEvent::Closed(_)))).await;
    drop(reader);
    let mut second = Reader::new(&transport, eager(&group, &[&topic])).await;
    second.until_count(4).await;
    assert_eq!(second.numbers(), [6, 7, 8, 9]);
    second.close().await;
}

pub(crate) async fn seeks_go_where_they_are_told() {
    let Some((_, _, mut reader, _)) = ten("seek", 100).await else { return };
    reader.until_count(10).await;
    reader.settle(0..5);
    for (to, first, count) in [
        (Position::Offset(7), 7, 3),
        (Position::Earliest, 0, 10),
        (Position::Committed, 5, 5),
        (Position::Offset(-3), 0, 10),
        (Position::At(std::time::UNIX_EPOCH + Duration::from_secs(1)), 0, 10),
    ] {
        let lane = *reader.open().last().unwrap();
        reader.deliveries.clear();
        reader.source.control(Control::Seek { lane, to }).unwrap();
        reader.until_count(count).await;
        reader.quiet_for(Duration::from_millis(200)).await;
        let expected: Vec<u32> = (first..10).collect();
        assert_eq!(reader.numbers(), expected, "{to:?}");
        assert!(reader.deliveries.iter().all(|it| it.token.lane.epoch > lane.epoch));
    }
    reader.close().await;
}

pub(crate) async fn a_seek_behind_the_newest_gets_only_what_comes() {
    let Some((transport, topic, mut reader, _)) = ten("end", 100).await else { return };
    reader.until_count(10).await;
    for to in [
        Position::Latest,
        Position::Offset(1_000_000),
        Position::At(std::time::SystemTime::now() + Duration::from_secs(3600)),
    ] {
        let lane = *reader.open().last().unwrap();
        reader.deliveries.clear();
        reader.source.control(Control::Seek { lane, to }).unwrap();
        reader.until("the next epoch", |it| *it.open().last().unwrap() != lane).await;
        publish(&transport, numbered(&topic, 0, 90..92)).await;
        reader.until_count(2).await;
        assert_eq!(reader.numbers(), [90, 91], "{to:?}");
    }
    reader.close().await;
}

pub(crate) async fn a_paused_lane_delivers_nothing_until_it_is_resumed() {
    let Some((transport, topic, mut reader, _)) = ten("pause", 100).await else { return };
    reader.until_count(10).await;
    let lane = reader.open()[0];
    reader.source.control(Control::Pause(lane)).unwrap();
    reader.until("paused", |it| it.events.iter().any(|it| matches!(it, LaneEvent::Paused(_)))).await;
    publish(&transport, numbered(&topic, 0, 10..20)).await;
    reader.quiet_for(Duration::from_millis(800)).await;
    assert_eq!(reader.deliveries.len(), 10);
    reader.settle(0..10);
    reader.source.control(Control::Resume(lane)).unwrap();
    reader.until_count(20).await;
    assert_eq!(reader.numbers(), (0..20).collect::<Vec<_>>());
    reader.close().await;
}

pub(crate) async fn verdicts_that_come_too_late_or_that_kafka_lacks_do_nothing() {
    let Some((_, _, mut reader, _)) = ten("late", 100).await else { return };
    reader.until_count(10).await;
    let token = reader.deliveries[0].token;
    for verdict in [Verdict::Requeue, Verdict::Reject] {
        let mut batch = vec![Settlement { token, verdict }];
        let error = reader.source.settle(&mut batch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(batch.is_empty());
    }
    let mut stale = token;
    stale.lane.epoch += 7;
    reader.source.settle(&mut vec![Settlement::done(stale), Settlement::done(stale)]).unwrap();
    reader.source.control(Control::Release(vec![stale.lane])).unwrap();
    reader.source.control(Control::Pause(stale.lane)).unwrap();
    reader.quiet_for(Duration::from_millis(300)).await;
    assert_eq!((reader.deliveries.len(), reader.open().len()), (10, 1));
    reader.close().await;
}

pub(crate) async fn no_more_are_taken_at_a_time_than_is_said() {
    let Some(place) = broker().await else { return };
    let transport = KafkaTransport::new(config(&place.servers()).max_poll_records(3));
    let topic = topic(&transport, "few", 2).await;
    publish(&transport, numbered(&topic, 0, 0..50)).await;
    publish(&transport, numbered(&topic, 1, 50..100)).await;
    let mut reader = Reader::new(&transport, eager(&unique("g"), &[&topic])).await;
    let (mut before, mut most) = (0, 0);
    while before < 100 {
        reader.step(PATIENCE).await;
        most = most.max(reader.deliveries.len() - before);
        before = reader.deliveries.len();
    }
    assert_eq!(most, 3);
    reader.close().await;
}
