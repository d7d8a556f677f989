//! What becomes of messages whose handling goes wrong in ways that nobody meant.

use std::ops::RangeInclusive;
use std::time::Duration;

use gulo::codec::Encoded;
use gulo::dead_letter::{self as dlq, Guard};
use gulo::handler::{Context, FromContext};
use gulo::layer::ConcurrencyLimit;
use gulo::message::Message;
use gulo::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::{Gated, Paid, eventually};

const SECOND: Duration = Duration::from_secs(1);

async fn fails(_: Payload) -> Result<(), HandlerError> {
    Err(HandlerError::new("no"))
}

async fn waits_for_ever(_: Payload) -> Result<(), HandlerError> {
    Err(HandlerError::new("no").retry_after(Duration::MAX))
}

fn on(gated: &Gated) -> BusBuilder {
    Bus::builder("shop").transport(gated.clone()).topic("orders", |t| t.partitions(1))
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_to_stand_still_for_ever_does_and_the_bus_stops_in_order() {
    let gated = Gated::new();
    let dead_letter = DeadLetter::topic().guard(Guard::in_a_row(1).pause(Duration::MAX));
    let group = Subscription::group("g").retry(Retry::never()).dead_letter(dead_letter).on_raw("orders", fails);
    let bus = on(&gated).subscribe(group).start().await.expect("starts");
    for number in 0..2 {
        gated.publish_raw(Message::new("orders", number.to_string())).await;
    }
    eventually("the lane stands still", || bus.health().subscriptions[0].degraded.is_some()).await;
    let degraded = bus.health().subscriptions[0].degraded.clone();
    let text = format!("too many dead letters, the lane of orders[0]@0 stands still for {:?}", Duration::MAX);
    assert_eq!(degraded, Some(text));
    tokio::time::sleep(3600 * SECOND).await;
    assert_eq!(bus.health().subscriptions[0].counts.dead_lettered, 1);
    let report = bus.shutdown(SECOND).await.expect("clean");
    assert_eq!(report.subscriptions[0].counts.dead_lettered, 1);
}

#[tokio::test(start_paused = true)]
async fn waits_without_an_end_hold_their_key_alone() {
    let gated = Gated::new();
    let retry = Retry::immediate().max_elapsed(Duration::MAX).max_delay(Duration::MAX).max_attempts(u32::MAX);
    let group = Subscription::group("g").retry(retry).on_raw("orders", waits_for_ever);
    let group = group.concurrency(Concurrency::per_key(usize::MAX)).layer(ConcurrencyLimit::new(0));
    let bus = on(&gated).subscribe(group).start().await.expect("starts");
    for key in ["a", "b"] {
        gated.publish_raw(Message::new("orders", "x").key(key)).await;
    }
    eventually("both wait", || bus.health().subscriptions[0].lanes.iter().any(|lane| lane.parked.len() == 2)).await;
    let report = bus.shutdown(SECOND).await.expect("clean");
    assert_eq!(report.subscriptions[0].left, 2);
}

#[derive(Serialize, Deserialize)]
struct Renamed;

impl IntegrationEvent for Renamed {
    const TYPE: &'static str = "renamed";
    const VERSION: u32 = 2;
    const ACCEPTS: RangeInclusive<u32> = 1..=2;
    const TOPIC: Option<&'static str> = Some("orders");

    fn upcast(_: u32, _: Encoded<'_>) -> gulo::Result<Self> {
        panic!("in upcast()")
    }
}

/// An argument of the application's own that cannot be had.
struct Tenant;

impl FromContext for Tenant {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        assert!(cx.message.headers.get("tenant").is_some(), "in from_context()");
        Err(HandlerError::new("no such tenant").permanent())
    }
}

async fn rename(_: Event<Renamed>) {}
async fn of_tenant(_: Event<Paid>, _: Tenant) {}

#[tokio::test(start_paused = true)]
async fn code_that_panics_before_the_handler_runs_ends_in_a_dead_letter() {
    let gated = Gated::new();
    let retry = Retry::fixed(SECOND).max_attempts(2);
    let group = Subscription::group("g").retry(retry).on(rename).on(of_tenant);
    let bus = on(&gated).subscribe(group).start().await.expect("starts");
    let of = |event_type: &'static str| Message::new("orders", r#"{"order":1,"step":1}"#).header("ce_type", event_type);
    let cases = [
        (of("renamed").header("ce_dataversion", "1"), ["attempts-exhausted", "2", "handler panicked: in upcast()"]),
        (of(Paid::TYPE), ["attempts-exhausted", "2", "handler panicked: in from_context()"]),
        (of(Paid::TYPE).header("tenant", "7"), ["permanent", "1", "no such tenant"]),
    ];
    for (message, _) in &cases {
        gated.publish_raw(message.clone()).await;
    }
    let letters = gated.read("orders.g.dlq", 3).await;
    for (letter, (message, expected)) in letters.iter().zip(&cases) {
        let said = [dlq::REASON, dlq::ATTEMPTS, dlq::ERROR].map(|name| letter.headers.get_str(name));
        assert_eq!((said, &letter.payload), (expected.map(Some), &message.payload));
    }
    bus.shutdown(SECOND).await.expect("clean");
}

/// Topics that a pattern finds have no names at `start()`, where this would be told.
#[tokio::test(start_paused = true)]
async fn letters_of_a_topic_found_by_pattern_that_are_given_no_name_go_where_they_usually_do() {
    for named in [
        |_: &str, _: &str| String::new(),
        |topic: &str, _: &str| topic.to_owned(),
        |_: &str, _: &str| panic!("in a naming"),
    ] {
        let gated = Gated::new();
        let group = Subscription::group("g").retry(Retry::never()).dead_letter(DeadLetter::topic_named(named));
        let group = group.on_raw(TopicSelector::pattern("ord.*s"), fails);
        let bus = on(&gated).subscribe(group).start().await.expect("starts");
        gated.publish_raw(Message::new("orders", "x")).await;
        eventually("a letter", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
        assert_eq!(gated.read("orders.g.dlq", 1).await[0].payload.as_deref(), Some(&b"x"[..]));
        bus.shutdown(SECOND).await.expect("clean");
    }
}
