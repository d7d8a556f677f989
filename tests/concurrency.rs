//! Many at a time, each key in order: promises 3 and 5 of the delivery contract, on memory with its clock paused.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::ErrorKind;
use gulo::prelude::*;
use gulo::transport::Outcome;
use tokio::time::sleep;

use support::{Gated, Paid, Step, eventually};

const DLQ: &str = "orders.billing.dlq";

fn said(text: impl Into<String>) -> Step {
    Step::Handled(text.into())
}

fn has(text: &str) -> impl Fn(&[Step]) -> bool {
    let step = said(text);
    move |steps| steps.contains(&step)
}

fn billing(concurrency: Concurrency) -> Subscription {
    Subscription::group("billing").concurrency(concurrency)
}

async fn start(gated: &Gated, subscription: Subscription) -> Bus {
    let bus = Bus::builder("shop").transport(gated.clone()).subscribe(subscription).state(gated.clone());
    bus.start().await.expect("starts")
}

/// Step 1 of order 1 fails for the first two attempts; everything is noted.
async fn one_key_fails(
    Event(event): Event<Paid>,
    Attempt(attempt): Attempt,
    State(gated): State<Gated>,
) -> Result<(), HandlerError> {
    if (event.order, event.step) == (1, 1) && attempt < 3 {
        return Err(HandlerError::new("not yet"));
    }
    gated.note(said(format!("{}.{}", event.order, event.step)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn later_messages_of_a_failed_key_wait_and_other_keys_flow() {
    let gated = Gated::new();
    let retry = Retry::fixed(Duration::from_secs(60));
    let bus = start(&gated, billing(Concurrency::per_key(4)).retry(retry).on(one_key_fails)).await;
    bus.publish_all((1..20).flat_map(|order| (1..4).map(move |step| Paid::of(order, step)))).await.expect("confirmed");
    gated.until("the failed key goes on", has("1.3")).await;
    let steps = gated.steps();
    let place = |text: String| steps.iter().position(|step| *step == said(text.as_str())).expect("handled");
    for order in 1..20 {
        assert!(place(format!("{order}.1")) < place(format!("{order}.2")), "order {order}");
        assert!(place(format!("{order}.2")) < place(format!("{order}.3")), "order {order}");
        if order > 1 {
            assert!(
                place(format!("{order}.3")) < place("1.1".into()),
                "order {order} does not wait for the failed key"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_gives_its_place_to_others() {
    // One place only: were it kept over the wait, nothing else would be handled for two minutes.
    let gated = Gated::new();
    let retry = Retry::fixed(Duration::from_secs(60));
    let bus = start(&gated, billing(Concurrency::per_key(1)).retry(retry).on(one_key_fails)).await;
    bus.publish_all((1..20).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    gated.until("all", has("1.1")).await;
    let handled: Vec<_> = gated.steps().into_iter().filter(|step| matches!(step, Step::Handled(_))).collect();
    assert_eq!((handled.len(), handled.last()), (19, Some(&said("1.1"))));
}

#[tokio::test(start_paused = true)]
async fn a_parked_dead_letter_holds_up_its_own_key_only() {
    let gated = Gated::new();
    gated.fail(|message| (&*message.topic == DLQ).then_some((Outcome::NotSent, ErrorKind::Unavailable)));
    let fails = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        if event.step == 1 && event.order < 6 {
            return Err(HandlerError::new("never").permanent());
        }
        gated.note(said(format!("{}.{}", event.order, event.step)));
        Ok(())
    };
    let bus = start(&gated, billing(Concurrency::per_key(2)).on(fails)).await;
    bus.publish_all((1..20).flat_map(|order| (1..3).map(move |step| Paid::of(order, step)))).await.expect("confirmed");
    for order in 6..20 {
        gated.until("the others flow", has(&format!("{order}.2"))).await;
    }
    let trouble = bus.health().subscriptions[0].degraded.clone().expect("said by health");
    assert!(trouble.contains("and 4 more parked"), "{trouble}");
    assert!((1..6).all(|order| !has(&format!("{order}.2"))(&gated.steps())), "behind a parked one nothing is handled");
    gated.open();
    for order in 1..6 {
        gated.until("the parked keys go on", has(&format!("{order}.2"))).await;
    }
    assert_eq!(bus.health().subscriptions[0].degraded, None);
    assert_eq!(bus.shutdown(Duration::from_secs(10)).await.expect("clean").subscriptions[0].counts.dead_lettered, 5);
}

/// How many handlers run, and how many ever did at a time.
#[derive(Clone, Default)]
struct Meter(Arc<(AtomicUsize, AtomicUsize)>);

impl Meter {
    async fn measure(&self, time: Duration) {
        let now = self.0.0.fetch_add(1, SeqCst) + 1;
        self.0.1.fetch_max(now, SeqCst);
        sleep(time).await;
        self.0.0.fetch_sub(1, SeqCst);
    }

    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_run_at_a_time_as_is_said_and_no_more() {
    for (concurrency, most) in
        [(Concurrency::Sequential, 1), (Concurrency::per_key(7), 7), (Concurrency::unordered(9), 9)]
    {
        let gated = Gated::new();
        let meter = Meter::default();
        let handler =
            async |Event(_): Event<Paid>, State(meter): State<Meter>| meter.measure(Duration::from_secs(1)).await;
        let bus = Bus::builder("shop").transport(gated.clone()).state(meter.clone());
        let bus = bus.subscribe(billing(concurrency).on(handler)).start().await.expect("starts");
        bus.publish_all((0..100).map(|order| Paid::of(order, 1))).await.expect("confirmed");
        eventually("all handled", || bus.health().subscriptions[0].counts.handled == 100).await;
        assert_eq!(meter.most(), most, "{concurrency:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn order_waived_means_that_no_key_holds_up_anything() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        sleep(Duration::from_secs(if event.step == 1 { 100 } else { 1 })).await;
        gated.note(said(format!("{}.{}", event.order, event.step)));
    };
    let bus = start(&gated, billing(Concurrency::unordered(10)).on(handler)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(1, 2)]).await.expect("confirmed");
    gated.until("both", has("1.1")).await;
    assert!(
        gated.steps().iter().position(|step| *step == said("1.2"))
            < gated.steps().iter().position(|step| *step == said("1.1"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_with_a_long_queue_stops_no_other_key() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        if event.order == 1 {
            sleep(Duration::from_secs(1000)).await;
        }
        gated.note(said(format!("{}.{}", event.order, event.step)));
    };
    let bus = start(&gated, billing(Concurrency::per_key(8)).on(handler)).await;
    // 1,500 behind one stuck key: below the window of its lane, far above any batch.
    bus.publish_all((0..1500).map(|step| Paid::of(1, step))).await.expect("confirmed");
    bus.publish_all((2..50).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    for order in 2..50 {
        gated.until("the others", has(&format!("{order}.1"))).await;
    }
    assert!(!has("1.1")(&gated.steps()), "the stuck key has hardly moved");
}

#[tokio::test(start_paused = true)]
async fn what_is_inside_is_bounded() {
    let gated = Gated::new();
    let handler = async |Event(_): Event<Paid>| sleep(Duration::from_secs(3600)).await;
    let bus = start(&gated, billing(Concurrency::per_key(2)).in_flight(30).on(handler)).await;
    bus.publish_all((0..200).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    sleep(Duration::from_secs(10)).await;
    let report = bus.shutdown(Duration::from_secs(8)).await.expect("clean");
    assert_eq!(report.subscriptions[0].left, 30);
}

/// The first effect of every message, by key: in order, through failures, panics, retries and dead letters.
#[derive(Clone, Default)]
struct Effects(Arc<Mutex<BTreeMap<u32, Vec<u32>>>>);

#[tokio::test(start_paused = true)]
async fn order_of_first_effects_holds_through_failures_of_every_kind() {
    for seed in 0..20u64 {
        let (gated, effects) = (Gated::new(), Effects::default());
        let handler = async |Event(event): Event<Paid>,
                             Attempt(attempt): Attempt,
                             State(effects): State<Effects>,
                             State(seed): State<u64>| {
            // A number that looks random, and is the same for the same message and attempt.
            let mixed = u64::from(event.order) * 31 + u64::from(event.step) * 17 + u64::from(attempt) * 7 + seed;
            let dice = (mixed * 2_654_435_761) >> 7;
            if dice % 3 == 0 {
                sleep(Duration::from_millis(dice % 50)).await;
            }
            match dice % 11 {
                0 => Err(HandlerError::new("transient").retry_after(Duration::from_millis(dice % 300))),
                1 => Err(HandlerError::new("transient")),
                2 => panic!("by the dice"),
                3 if event.step % 10 == 3 => Err(HandlerError::new("permanent").permanent()),
                _ => {
                    effects
                        .0
                        .lock()
                        .expect("held by nobody who panics")
                        .entry(event.order)
                        .or_default()
                        .push(event.step);
                    Ok(())
                }
            }
        };
        let subscription =
            billing(Concurrency::per_key(5)).retry(Retry::fixed(Duration::from_millis(20)).max_attempts(6)).on(handler);
        let bus = Bus::builder("shop").transport(gated.clone()).subscribe(subscription).state(effects.clone());
        let bus = bus.state(seed).start().await.expect("starts");
        bus.publish_all((0..40).flat_map(|step| (0..7).map(move |order| Paid::of(order, step))))
            .await
            .expect("confirmed");
        let ended = || {
            let counts = bus.health().subscriptions[0].counts;
            counts.handled + counts.dead_lettered == 280
        };
        eventually("everything came to its end", ended).await;
        for (order, steps) in effects.0.lock().expect("whole").iter() {
            assert!(steps.is_sorted(), "seed {seed}, order {order}: {steps:?}");
        }
    }
}
