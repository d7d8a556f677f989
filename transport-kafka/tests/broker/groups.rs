use std::time::Duration;

use gulo_bus_core::transport::{CommitPolicy, Control, LaneEvent, Position, SubscribeSpec, Topics, Transport};
use gulo_transport_kafka::KafkaTransport;
use tokio::time::Instant;

use crate::support::*;

pub(crate) async fn a_restart_goes_on_behind_what_was_settled() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "restart", 1).await;
    let group = unique("g");
    publish(&transport, numbered(&topic, 0, 0..10)).await;
    let mut spec = eager(&group, &[&topic]);
    // Nothing is committed before the close.
    spec.commit = CommitPolicy { every: 1_000_000, interval: Duration::from_secs(600) };
    let mut first = Reader::new(&transport, spec.clone()).await;
    first.until_count(10).await;
    first.settle(0..4);
    first.settle(6..8);
    first.close().await;
    let mut second = Reader::new(&transport, spec).await;
    second.until_count(4).await;
    second.quiet_for(Duration::from_millis(300)).await;
    assert_eq!(second.numbers(), [4, 5, 8, 9], "what was settled above 4 and 5 does not come again");
    second.close().await;
}

pub(crate) async fn what_was_committed_survives_a_drop_without_close() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "drop", 1).await;
    let group = unique("g");
    publish(&transport, numbered(&topic, 0, 0..10)).await;
    let mut first = Reader::new(&transport, eager(&group, &[&topic])).await;
    first.until_count(10).await;
    first.settle(0..4);
    let begun = Instant::now();
    drop(first);
    assert!(begun.elapsed() < Duration::from_millis(100));
    let mut second = Reader::new(&transport, eager(&group, &[&topic])).await;
    second.until_count(6).await;
    assert_eq!(second.numbers(), (4..10).collect::<Vec<_>>());
    second.close().await;
}

pub(crate) async fn a_second_member_takes_over_and_back_without_loss_or_repetition() {
    let Some(place) = broker().await else { return };
    take_over_and_back(&transport(&place)).await;
}

pub(crate) async fn the_same_with_an_eager_assignor() {
    let Some(place) = broker().await else { return };
    take_over_and_back(&with_property(&place, "partition.assignment.strategy", "range")).await;
}

pub(crate) async fn the_same_with_the_new_group_protocol() {
    let Some(place) = broker().await else { return };
    take_over_and_back(&with_property(&place, "group.protocol", "consumer")).await;
}

async fn take_over_and_back(transport: &KafkaTransport) {
    let topic = topic(transport, "share", 4).await;
    let group = unique("g");
    let (mut one, mut all) = (Reader::new(transport, eager(&group, &[&topic])).await, Vec::new());
    one.until("4 lanes", |it| it.open().len() == 4).await;
    let publisher = publisher(transport).await;
    let mut next = 0;
    let mut some = async |one: &mut Reader, two: Option<&mut Reader>| {
        for lane in 0..4 {
            publisher.publish(numbered(&topic, lane, next..next + 5)).await.unwrap();
            next += 5;
        }
        work(one, &mut all).await;
        if let Some(two) = two {
            work(two, &mut all).await;
        }
    };
    for _ in 0..10 {
        some(&mut one, None).await;
    }
    let mut two = Reader::new(transport, eager(&group, &[&topic])).await;
    let deadline = Instant::now() + PATIENCE;
    while two.open().len() < 2 {
        assert!(Instant::now() < deadline, "one: {:?}, two: {:?}", one.events, two.events);
        some(&mut one, Some(&mut two)).await;
    }
    for _ in 0..20 {
        some(&mut one, Some(&mut two)).await;
    }
    two.close().await;
    for _ in 0..10 {
        some(&mut one, None).await;
    }
    let deadline = Instant::now() + PATIENCE;
    while all.len() < next as usize && Instant::now() < deadline {
        work(&mut one, &mut all).await;
    }
    assert_eq!(sorted(all), (0..next).collect::<Vec<_>>());
    assert!(one.events.iter().any(|it| matches!(it, LaneEvent::Draining { .. })));
    assert!(!one.events.iter().any(|it| matches!(it, LaneEvent::Lost(_))), "{:?}", one.events);
    one.close().await;
}

/// librdkafka keeps a partition paused when it moves away and back.
pub(crate) async fn a_paused_lane_that_moved_away_and_back_is_not_paused() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "moved", 2).await;
    let group = unique("g");
    let (mut one, mut all) = (Reader::new(&transport, eager(&group, &[&topic])).await, Vec::new());
    one.until("2 lanes", |it| it.open().len() == 2).await;
    for lane in one.open() {
        one.source.control(Control::Pause(lane)).unwrap();
    }
    let mut two = Reader::new(&transport, eager(&group, &[&topic])).await;
    let deadline = Instant::now() + PATIENCE;
    while two.open().is_empty() && Instant::now() < deadline {
        work(&mut one, &mut all).await;
        work(&mut two, &mut all).await;
    }
    one.until("one lane", |it| it.open().len() == 1).await;
    let kept = one.open();
    two.close().await;
    one.until("both lanes again", |it| it.open().len() == 2).await;
    publish(&transport, numbered(&topic, 0, 0..5)).await;
    publish(&transport, numbered(&topic, 1, 5..10)).await;
    one.until_count(5).await;
    one.quiet_for(Duration::from_millis(500)).await;
    assert_eq!(one.deliveries.len(), 5, "the lane that stayed is paused still");
    assert!(one.deliveries.iter().all(|it| it.token.lane != kept[0]));
    one.source.control(Control::Resume(kept[0])).unwrap();
    one.until_count(10).await;
    one.close().await;
}

/// Takes what comes within a moment, settles it at once, and gives draining lanes back.
async fn work(reader: &mut Reader, all: &mut Vec<u32>) {
    let events = reader.events.len();
    reader.step(Duration::from_millis(60)).await;
    reader.settle_all();
    all.extend(reader.numbers());
    reader.deliveries.clear();
    for event in &reader.events[events..] {
        if let LaneEvent::Draining { lanes, .. } = event {
            reader.source.control(Control::Release(lanes.clone())).unwrap();
        }
    }
}

pub(crate) async fn lanes_that_are_not_released_are_taken_at_the_deadline() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "drain", 2).await;
    let group = unique("g");
    for lane in 0..2 {
        publish(&transport, numbered(&topic, lane, lane * 10..lane * 10 + 10)).await;
    }
    let mut spec = eager(&group, &[&topic]);
    spec.drain = Duration::from_secs(1);
    let mut one = Reader::new(&transport, spec.clone()).await;
    one.until_count(20).await;
    let first_two: Vec<usize> = (0..20).filter(|index| number(&one.deliveries[*index]) % 10 < 2).collect();
    for index in first_two {
        one.settle(index..index + 1);
    }
    let mut two = Reader::new(&transport, spec).await;
    let deadline = Instant::now() + PATIENCE;
    while two.deliveries.len() < 8 && Instant::now() < deadline {
        one.step(Duration::from_millis(50)).await;
        two.step(Duration::from_millis(50)).await;
    }
    let numbers: Vec<u32> = two.numbers().iter().map(|it| it % 10).collect();
    assert_eq!(numbers, (2..10).collect::<Vec<_>>(), "what was settled is not repeated, the rest is");
    assert!(one.events.iter().any(|it| matches!(it, LaneEvent::Closed(_))), "{:?}", one.events);
    two.close().await;
    one.close().await;
}

pub(crate) async fn a_group_that_starts_at_the_end_does_so_once() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "latest", 1).await;
    let group = unique("g");
    publish(&transport, numbered(&topic, 0, 0..5)).await;
    let mut spec = eager(&group, &[&topic]);
    spec.start = Position::Latest;
    let mut first = Reader::new(&transport, spec.clone()).await;
    first.until("a lane", |it| it.open().len() == 1).await;
    first.close().await;
    publish(&transport, numbered(&topic, 0, 5..8)).await;
    let mut second = Reader::new(&transport, spec).await;
    second.until_count(3).await;
    assert_eq!(second.numbers(), [5, 6, 7]);
    second.close().await;
}

/// Not when the group has given the partition, which takes seconds.
pub(crate) async fn a_group_that_starts_at_the_end_gets_what_is_published_from_its_subscription_on() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "from-now", 1).await;
    publish(&transport, numbered(&topic, 0, 0..5)).await;
    let mut spec = eager(&unique("g"), &[&topic]);
    spec.start = Position::Latest;
    let publisher = transport.publisher().await.unwrap();
    publisher.publish(numbered(&topic, 0, 5..6)).await.unwrap();
    let mut reader = Reader::new(&transport, spec).await;
    publisher.publish(numbered(&topic, 0, 6..9)).await.unwrap();
    reader.until_count(3).await;
    assert_eq!(reader.numbers(), [6, 7, 8]);
    reader.close().await;
}

pub(crate) async fn a_pattern_matches_the_whole_name_and_topics_made_later() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let base = topic(&transport, "pat", 1).await;
    let pattern = format!("{}(.later)?", base.replace('.', "[.]"));
    let other: std::sync::Arc<str> = format!("{base}.laterandmore").into();
    let later: std::sync::Arc<str> = format!("{base}.later").into();
    let make = |name: &std::sync::Arc<str>| {
        topology(Default::default(), vec![gulo_bus_core::transport::TopicSpec::new(name.clone())])
    };
    transport.ensure(&make(&other)).await.unwrap();
    let mut spec = eager(&unique("g"), &[]);
    spec.topics = Topics::Pattern(pattern);
    let mut reader = Reader::new(&transport, spec).await;
    reader.until("the first topic", |it| it.open().len() == 1).await;
    transport.ensure(&make(&later)).await.unwrap();
    publish(&transport, numbered(&later, 0, 0..3)).await;
    publish(&transport, numbered(&other, 0, 5..6)).await;
    publish(&transport, numbered(&base, 0, 3..5)).await;
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while all.len() < 5 && Instant::now() < deadline {
        work(&mut reader, &mut all).await;
    }
    assert_eq!(sorted(all), [0, 1, 2, 3, 4]);
    reader.close().await;
}

pub(crate) async fn spec_errors_are_told_before_anything_begins() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let absent: Vec<std::sync::Arc<str>> = vec![unique("a").into(), unique("b").into()];
    let error = transport.subscribe(SubscribeSpec::group("g", absent.clone())).await.err().unwrap();
    assert!(absent.iter().all(|name| error.to_string().contains(&**name)), "{error}");
    let mut spec = SubscribeSpec::solo(absent);
    spec.start = Position::Committed;
    let error = transport.subscribe(spec).await.err().unwrap();
    assert_eq!(error.kind(), gulo_bus_core::ErrorKind::Config);
}
