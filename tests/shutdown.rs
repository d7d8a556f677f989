//! Stopping, handing over and being dropped: promises 4 and 7 of the delivery contract.

mod support;

use std::sync::Arc;
use std::time::Duration;

use gulo::prelude::*;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use support::logs::Logs;
use support::{Gated, Paid, Step, eventually, redelivered};

/// Takes `step` seconds.
async fn works(Event(event): Event<Paid>, State(gated): State<Gated>) {
    gated.note(Step::Handled(format!("begin {}.{}", event.order, event.step)));
    sleep(Duration::from_secs(event.step.into())).await;
    gated.note(Step::Handled(format!("end {}.{}", event.order, event.step)));
}

async fn start(gated: &Gated) -> Bus {
    let bus = Bus::builder("shop").transport(gated.clone()).subscribe(Subscription::group("billing").on(works));
    bus.state(gated.clone()).start().await.expect("starts")
}

fn said(text: &str) -> impl Fn(&[Step]) -> bool {
    let step = Step::Handled(text.into());
    move |steps| steps.contains(&step)
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_the_message_in_work_finish_and_leaves_the_rest() {
    let gated = Gated::new();
    let bus = start(&gated).await;
    bus.publish_all([Paid::of(1, 5), Paid::of(1, 6)]).await.unwrap();
    gated.until("at work", said("begin 1.5")).await;
    let report = bus.shutdown(Duration::from_secs(30)).await.unwrap();
    assert_eq!((report.subscriptions[0].counts.handled, report.subscriptions[0].left), (1, 1));
    assert_eq!(redelivered(&gated, "billing").await, [(1, 6)].into());
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_by_its_deadline_and_settles_nothing_that_is_not_finished() {
    let gated = Gated::new();
    let bus = start(&gated).await;
    bus.publish(Paid::of(1, 1000)).await.unwrap();
    gated.until("at work", said("begin 1.1000")).await;
    let begun = Instant::now();
    let report = bus.shutdown(Duration::from_secs(10)).await.unwrap();
    assert!(begun.elapsed() <= Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((report.subscriptions[0].counts.handled, report.subscriptions[0].left), (0, 1));
    assert_eq!(redelivered(&gated, "billing").await, [(1, 1000)].into());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_repeated_after_a_clean_stop() {
    let gated = Gated::new();
    let bus = start(&gated).await;
    bus.publish_all((1..50).map(|order| Paid::of(order, 0))).await.unwrap();
    eventually("all handled", || bus.health().subscriptions[0].counts.handled == 49).await;
    bus.shutdown(Duration::from_secs(10)).await.unwrap();
    assert!(redelivered(&gated, "billing").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_bus_dropped_without_shutdown_settles_nothing_it_did_not_finish() {
    let gated = Gated::new();
    let bus = start(&gated).await;
    bus.publish(Paid::of(1, 1000)).await.unwrap();
    gated.until("at work", said("begin 1.1000")).await;
    drop(bus);
    assert_eq!(redelivered(&gated, "billing").await, [(1, 1000)].into());
    assert!(!said("end 1.1000")(&gated.steps()));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlives_the_drain_of_its_lane_is_dropped_and_the_new_owner_begins_anew() {
    let gated = Gated::new();
    let first = start(&gated).await;
    first.publish_all((1..40).map(|order| Paid::of(order, 100))).await.unwrap();
    gated.until("at work", |steps| !steps.is_empty()).await;
    let second = start(&gated).await;
    let all = || first.health().subscriptions[0].counts.handled + second.health().subscriptions[0].counts.handled;
    eventually("all handled by the two", || all() == 39).await;
    let steps = gated.steps();
    for order in 1..40 {
        let ends = steps.iter().filter(|step| **step == Step::Handled(format!("end {order}.100"))).count();
        assert_eq!(ends, 1, "order {order} is handled to its end exactly once");
    }
    assert!(second.health().subscriptions[0].counts.handled > 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_lane_is_lost_is_dropped_and_the_message_comes_again() {
    let gated = Gated::new();
    let bus = start(&gated).await;
    bus.publish(Paid::of(1, 100)).await.unwrap();
    gated.until("at work", said("begin 1.100")).await;
    gated.inner.faults().lose("billing");
    gated.until("handled at last", said("end 1.100")).await;
    let effects: Vec<_> = gated.steps().into_iter().filter(|step| matches!(step, Step::Handled(_))).collect();
    assert_eq!(effects, ["begin 1.100", "begin 1.100", "end 1.100"].map(|text| Step::Handled(text.into())));
    assert_eq!(bus.health().subscriptions[0].counts.handled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_breaks_is_subscribed_anew_and_nothing_is_lost() {
    let gated = Gated::new();
    let bus = start(&gated).await;
    for step in 0..3 {
        gated.break_source();
        bus.publish_all((1..10).map(|order| Paid::of(order, step))).await.unwrap();
    }
    let said_all = |steps: &[Step]| (1..10).all(|order| (0..3).all(|step| said(&format!("end {order}.{step}"))(steps)));
    gated.until("all handled", said_all).await;
    assert_eq!(bus.health().subscriptions[0].degraded, None);
}

/// A bus that runs until the signal, and the signal.
fn run(
    bus: Bus,
) -> (tokio::task::JoinHandle<Result<gulo::bus::ShutdownReport, gulo::bus::ShutdownError>>, Arc<Notify>) {
    let signal = Arc::new(Notify::new());
    let given = Arc::clone(&signal);
    let signal_again = move || {
        let given = Arc::clone(&given);
        async move { given.notified().await }
    };
    (tokio::spawn(bus.run_until(signal_again, Duration::from_secs(60))), signal)
}

#[tokio::test(start_paused = true)]
async fn a_signal_lets_the_message_in_work_finish() {
    let gated = Gated::new();
    let bus = start(&gated).await;
    bus.publish_all([Paid::of(1, 5), Paid::of(1, 6)]).await.unwrap();
    let (running, signal) = run(bus);
    gated.until("at work", said("begin 1.5")).await;
    signal.notify_one();
    let report = running.await.unwrap().unwrap();
    assert_eq!((report.subscriptions[0].counts.handled, report.subscriptions[0].left), (1, 1));
    assert_eq!(redelivered(&gated, "billing").await, [(1, 6)].into());
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_stops_at_once_and_what_was_finished_is_settled() {
    let gated = Gated::new();
    let bus = start(&gated).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(1, 1000)]).await.unwrap();
    let (running, signal) = run(bus);
    gated.until("at work", said("begin 1.1000")).await;
    signal.notify_one();
    sleep(Duration::from_secs(10)).await;
    assert!(!running.is_finished(), "the first one lets it finish");
    let begun = Instant::now();
    signal.notify_one();
    let report = running.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((report.subscriptions[0].counts.handled, report.subscriptions[0].left), (1, 1));
    assert_eq!(redelivered(&gated, "billing").await, [(1, 1000)].into());
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_stops_at_once_with_the_broker_gone_too() {
    let gated = Gated::new();
    let bus = start(&gated).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(1, 10)]).await.unwrap();
    let (running, signal) = run(bus);
    gated.until("at work", said("begin 1.10")).await;
    gated.inner.faults().down();
    signal.notify_one();
    // Its handler has ended by now; what it waits for is the broker.
    sleep(Duration::from_secs(20)).await;
    assert!(!running.is_finished());
    let begun = Instant::now();
    signal.notify_one();
    let error = running.await.unwrap().expect_err("nothing became durable");
    assert!(begun.elapsed() <= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((error.report.subscriptions.len(), error.problems.is_empty()), (1, false), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bus_dropped_before_its_shutdown_has_ended_warns_once() {
    let (gated, logs) = (Gated::new(), Logs::listen());
    let start = async |service: &str| {
        let bus = Bus::builder(service).transport(gated.clone()).subscribe(Subscription::group(service).on(works));
        bus.state(gated.clone()).start().await.expect("starts")
    };
    let warnings = |service: &str| logs.with(&["WARN", &format!("service={service}"), "without shutdown"]).len();
    drop(start("dropped").await);
    assert_eq!(warnings("dropped"), 1);
    drop(start("not-begun").await.shutdown(Duration::from_secs(9)));
    assert_eq!(warnings("not-begun"), 1);
    let bus = start("midway").await;
    bus.publish(Paid::of(1, 1000)).await.unwrap();
    eventually("at work", || bus.health().subscriptions[0].in_flight == 1).await;
    assert!(timeout(Duration::from_secs(1), bus.shutdown(Duration::from_secs(60))).await.is_err());
    assert_eq!(warnings("midway"), 1);
    start("orderly").await.shutdown(Duration::from_secs(9)).await.unwrap();
    assert_eq!(warnings("orderly"), 0);
}
