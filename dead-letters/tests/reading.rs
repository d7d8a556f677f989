//! A dead-letter topic is read as it stands, to its end, and nothing in it changes.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gulo_bus_core::ErrorKind;
use gulo_bus_core::dead_letter as dlq;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Position, TopicSpec, Topology, TopologyMode, Transport};
use gulo_dead_letters::{DeadLetters, Filter, Letter, Letters, Reason};
use gulo_transport_memory::{MemoryConfig, MemoryTransport, Shape};
use tokio::time::{Instant, timeout};

const DLQ: &str = "orders.billing.dlq";

/// Letter number `n`, of group `billing` or, where it is odd, `email`.
fn letter(n: u32) -> Message {
    let (group, error) = if n.is_multiple_of(2) { ("billing", "Ledger closed") } else { ("email", "no address") };
    let reason = if n.is_multiple_of(3) { "permanent" } else { "attempts-exhausted" };
    Message::new(DLQ, n.to_string())
        .key(format!("key {}", n % 4))
        .header(dlq::REASON, reason)
        .header(dlq::ERROR, error)
        .header(dlq::ORIGIN_TOPIC, "orders")
        .header(dlq::ORIGIN_GROUP, group)
        .header(dlq::LAST_FAILED_AT, format!("2026-02-03T04:05:{:02}.000Z", n % 60))
}

async fn publish(transport: &MemoryTransport, numbers: std::ops::Range<u32>) {
    transport.publisher().await.unwrap().publish(numbers.map(letter).collect()).await.unwrap();
}

async fn with(count: u32) -> MemoryTransport {
    on(MemoryTransport::new(), count).await
}

async fn on(transport: MemoryTransport, count: u32) -> MemoryTransport {
    let topics = vec![TopicSpec::new(DLQ)];
    transport.ensure(&Topology { mode: TopologyMode::Create, topics, groups: Vec::new() }).await.unwrap();
    publish(&transport, 0..count).await;
    transport
}

fn over(transport: &MemoryTransport) -> DeadLetters {
    DeadLetters::new(Arc::new(transport.clone()))
}

async fn open(transport: &MemoryTransport) -> Letters {
    over(transport).open(DLQ).await.unwrap()
}

fn numbers(letters: &[Letter]) -> Vec<u32> {
    let mut numbers: Vec<u32> = letters.iter().map(|letter| letter.payload_text().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

async fn numbers_of(transport: &MemoryTransport, filter: Filter) -> Vec<u32> {
    let mut letters = open(transport).await;
    letters.filter(filter);
    numbers(&letters.read_all(usize::MAX).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn all_that_stands_is_read_in_the_order_of_its_partitions_without_waiting() {
    let transport = with(10_000).await;
    let mut letters = open(&transport).await;
    let before = Instant::now();
    let all = letters.read_all(usize::MAX).await.unwrap();
    assert_eq!(numbers(&all), (0..10_000).collect::<Vec<_>>());
    for partition in 0..4 {
        let stands = all.iter().map(|letter| &letter.stands).filter(|stands| stands.partition == Some(partition));
        let offsets: Vec<i64> = stands.filter_map(|stands| stands.offset).collect();
        assert!(offsets.is_sorted() && offsets.first().is_none_or(|first| *first == 0));
    }
    assert_eq!((letters.next().await.unwrap(), letters.read(), letters.cut_short()), (None, 10_000, Vec::new()));
    assert_eq!(before.elapsed(), Duration::ZERO, "the end is known, not waited for");
    letters.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_empty_topic_is_at_its_end_at_once() {
    let mut letters = open(&with(0).await).await;
    let before = Instant::now();
    assert_eq!(letters.next().await.unwrap(), None);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_one_reads_is_for_the_next_time() {
    let transport = with(600).await;
    let mut letters = open(&transport).await;
    let mut read = vec![letters.next().await.unwrap().unwrap()];
    publish(&transport, 600..700).await;
    read.extend(letters.read_all(usize::MAX).await.unwrap());
    assert_eq!(numbers(&read), (0..600).collect::<Vec<_>>());
    assert_eq!(numbers_of(&transport, Filter::new()).await.len(), 700);
}

#[tokio::test(start_paused = true)]
async fn reading_takes_nothing_away_and_stands_nowhere() {
    let transport = with(50).await;
    for _ in 0..2 {
        assert_eq!(numbers_of(&transport, Filter::new()).await.len(), 50);
    }
    assert_eq!(transport.faults().messages(DLQ).len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_limit_ends_a_call_and_not_the_reading() {
    let transport = with(10).await;
    let mut letters = open(&transport).await;
    let (first, none) = (letters.read_all(4).await.unwrap(), letters.read_all(0).await.unwrap());
    let rest = letters.read_all(100).await.unwrap();
    assert_eq!((first.len(), none.len(), rest.len()), (4, 0, 6));
    assert_eq!(numbers(&[first, rest].concat()), (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn letters_are_chosen_by_what_they_say() {
    let transport = with(24).await;
    let of = |filter: Filter| numbers_of(&transport, filter);
    let all = |keep: fn(&u32) -> bool| (0..24).filter(keep).collect::<Vec<_>>();
    assert_eq!(of(Filter::new().group("email")).await, all(|n| n % 2 == 1));
    assert_eq!(of(Filter::new().reason(Reason::Permanent).group("billing")).await, all(|n| n % 6 == 0));
    let both = Filter::new().reason(Reason::Permanent).reason(Reason::AttemptsExhausted);
    assert_eq!(of(both).await.len(), 24);
    assert!(of(Filter::new().reason(Reason::Undecodable)).await.is_empty());
    assert_eq!(of(Filter::new().error("LEDGER")).await, all(|n| n % 2 == 0));
    assert_eq!(of(Filter::new().error("ledger").error("address")).await.len(), 24);
    assert_eq!(of(Filter::new().key("key 1")).await, all(|n| n % 4 == 1));
    assert!(of(Filter::new().key("key")).await.is_empty());
    assert_eq!(of(Filter::new().origin_topic("orders").group("email")).await.len(), 12);
    assert!(of(Filter::new().origin_topic("users")).await.is_empty());
    let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let (from, before) = (at("2026-02-03T04:05:05Z"), at("2026-02-03T04:05:07Z"));
    assert_eq!(of(Filter::new().failed_from(from).failed_before(before)).await, [5, 6]);
}

#[tokio::test(start_paused = true)]
async fn one_goes_on_behind_the_place_where_one_stopped() {
    let transport = with(40).await;
    let mut letters = open(&transport).await;
    let done = letters.read_all(25).await.unwrap();
    let filter = done.iter().fold(Filter::new(), |filter, letter| filter.after(&letter.stands));
    let rest = numbers_of(&transport, filter.clone()).await;
    let mut both = [numbers(&done), rest].concat();
    both.sort_unstable();
    assert_eq!((done.len(), both), (25, (0..40).collect()));
    publish(&transport, 40..45).await;
    assert_eq!(numbers_of(&transport, filter).await.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn older_letters_are_left_out_by_a_position() {
    let transport = with(10).await;
    let later = SystemTime::now() + Duration::from_secs(3600);
    let mut letters = over(&transport).start(Position::At(later)).open(DLQ).await.unwrap();
    assert_eq!(letters.next().await.unwrap(), None);
    let mut letters = over(&transport).start(Position::Offset(1)).open(DLQ).await.unwrap();
    let read = letters.read_all(100).await.unwrap();
    assert!(!read.is_empty() && read.len() < 10 && read.iter().all(|letter| letter.stands.offset >= Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_does_not_exist_is_an_error_that_names_it_and_is_not_made() {
    let transport = with(0).await;
    for _ in 0..2 {
        let error = over(&transport).open("orders.biling.dlq").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert!(error.to_string().contains("orders.biling.dlq"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_of_queues_is_refused_by_the_capability_that_it_lacks() {
    let queues = MemoryConfig::new().shape(Shape::Queue).keep_unrouted(true);
    let transport = on(MemoryTransport::with(queues), 1).await;
    let error = over(&transport).open(DLQ).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("`solo`"), "{error}");
    assert_eq!(transport.faults().messages(DLQ).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_goes_away_is_no_end_and_reading_goes_on_when_it_is_back() {
    let transport = with(1000).await;
    let mut letters = open(&transport).await;
    let mut read = letters.read_all(10).await.unwrap();
    transport.faults().down();
    let error = letters.read_all(usize::MAX).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(DLQ) && error.to_string().contains("away"), "{error}");
    transport.faults().up();
    read.extend(letters.read_all(usize::MAX).await.unwrap());
    assert_eq!(numbers(&read), (0..1000).collect::<Vec<_>>(), "what had been read when it went is not lost");
}

#[tokio::test(start_paused = true)]
async fn retention_that_takes_letters_away_under_the_reader_does_not_hold_it_up() {
    let transport = with(2000).await;
    let mut letters = open(&transport).await;
    letters.next().await.unwrap().unwrap();
    for partition in 0..4 {
        transport.faults().forget_before(DLQ, partition, i64::MAX);
    }
    let before = Instant::now();
    letters.read_all(usize::MAX).await.unwrap();
    assert!(letters.read() < 2000 && letters.cut_short().is_empty());
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_loses_no_letter() {
    let transport = with(1000).await;
    let mut letters = open(&transport).await;
    let mut read = letters.read_all(10).await.unwrap();
    transport.faults().down();
    assert!(timeout(Duration::from_secs(1), letters.read_all(usize::MAX)).await.is_err(), "shorter than the patience");
    assert!(letters.read() > 200, "some had been read");
    transport.faults().up();
    read.extend(letters.next().await.unwrap());
    read.extend(letters.read_all(usize::MAX).await.unwrap());
    assert_eq!(numbers(&read), (0..1000).collect::<Vec<_>>());
}
