//! What once broke the engine, or nearly did: each case is a schedule that lost, starved, overran or leaked.

mod support;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use gulo::dead_letter as dlq;
use gulo::message::Message;
use gulo::prelude::*;
use tokio::time::{Instant, sleep};

use support::{Gated, Paid, Step, eventually};

const DLQ: &str = "orders.billing.dlq";
const LONG: Duration = Duration::from_secs(1_000_000);

fn handled(order: u32) -> Step {
    Step::Handled(format!("handled {order}"))
}

fn effects(gated: &Gated) -> Vec<Step> {
    gated.steps().into_iter().filter(|step| matches!(step, Step::Handled(_))).collect()
}

fn billing(places: usize) -> Subscription {
    Subscription::group("billing").concurrency(Concurrency::per_key(places))
}

async fn start(gated: &Gated, partitions: u32, subscription: Subscription) -> Bus {
    let bus = Bus::builder("shop").transport(gated.clone()).topic("orders", |topic| topic.partitions(partitions));
    bus.subscribe(subscription).state(gated.clone()).start().await.expect("starts")
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_source_still_gave_settles_nothing_of_the_next() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        if event.order == 10 {
            sleep(LONG).await;
        }
        gated.note(handled(event.order));
    };
    let bus = start(&gated, 1, billing(16).on(handler)).await;
    bus.publish_all((0..5).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    eventually("the first", || bus.health().subscriptions[0].counts.handled == 5).await;
    gated.break_source();
    bus.publish_all((5..11).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    gated.until("the others", |steps| steps.contains(&handled(9))).await;
    sleep(Duration::from_secs(30)).await;
    bus.shutdown(Duration::from_secs(8)).await.expect("clean");
    assert!(gated.inner.faults().lag("billing") >= 1, "the one that never finished is delivered again");
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_while_the_source_is_not_sure_of_its_lanes() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, Attempt(attempt): Attempt, State(gated): State<Gated>| {
        gated.note(handled(event.order));
        if event.order == 1 && attempt == 1 { Err(HandlerError::new("not now")) } else { Ok(()) }
    };
    let retry = Retry::fixed(Duration::from_secs(2)).max_attempts(3);
    let bus = start(&gated, 1, billing(16).retry(retry).on(handler)).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    gated.until("the first attempt", |steps| steps.contains(&handled(1))).await;
    gated.doubt(true);
    bus.publish(Paid::of(2, 1)).await.expect("confirmed");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(effects(&gated), [handled(1)], "neither the second attempt nor what came");
    gated.doubt(false);
    eventually("both", || bus.health().subscriptions[0].counts.handled == 2).await;
    bus.shutdown(Duration::from_secs(8)).await.expect("clean");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_no_clock_can_count_holds_up_its_own_key_only() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        if event.order == 1 {
            return Err(HandlerError::new("never").retry_after(Duration::MAX));
        }
        gated.note(handled(event.order));
        Ok(())
    };
    let bus = start(&gated, 1, billing(4).on(handler)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(2, 1)]).await.expect("confirmed");
    gated.until("the other key", |steps| steps.contains(&handled(2))).await;
    bus.shutdown(Duration::MAX).await.expect("clean, and at once");
}

#[tokio::test(start_paused = true)]
async fn a_timestamp_out_of_range_stops_nothing() {
    for payload in [r#"{"order":1,"step":1}"#, "not JSON"] {
        let gated = Gated::new();
        let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| gated.note(handled(event.order));
        let bus = start(&gated, 1, billing(4).on(handler)).await;
        let mut message = Message::new("orders", payload).key("1");
        message.timestamp = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(i64::MAX as u64));
        gated.publish_raw(message).await;
        bus.publish(Paid::of(2, 1)).await.expect("confirmed");
        gated.until("the next one", |steps| steps.contains(&handled(2))).await;
        eventually("both came to their end", || {
            let counts = bus.health().subscriptions[0].counts;
            counts.handled + counts.dead_lettered == 2
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_fail_for_ever_leave_room_for_the_others() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        if event.order < 7 {
            sleep(Duration::from_secs(1)).await;
            return Err(HandlerError::new("down"));
        }
        gated.note(handled(event.order));
        Ok(())
    };
    let retry = Retry::fixed(Duration::from_millis(100)).max_attempts(u32::MAX);
    let bus = start(&gated, 1, billing(2).retry(retry).on(handler)).await;
    bus.publish_all((1..7).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    sleep(Duration::from_secs(10)).await;
    bus.publish(Paid::of(9, 1)).await.expect("confirmed");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(effects(&gated), [handled(9)]);
}

#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("not to be said");
    }
}

impl std::error::Error for Unspeakable {}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_it_is_read_is_a_dead_letter() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        if event.order == 1 {
            return Err(HandlerError::from(Unspeakable));
        }
        gated.note(handled(event.order));
        Ok(())
    };
    let bus = start(&gated, 1, billing(2).on(handler)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(2, 1)]).await.expect("confirmed");
    gated.until("the other one", |steps| steps.contains(&handled(2))).await;
    let letter = gated.read(DLQ, 1).await.remove(0);
    assert_eq!(letter.headers.get_str(dlq::ERROR), Some("handler panicked: not to be said"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_first_await_is_a_failure_too() {
    let gated = Gated::new();
    let handler = |Event(event): Event<Paid>, State(gated): State<Gated>| {
        assert!(event.order != 1, "unlucky");
        async move { gated.note(handled(event.order)) }
    };
    let retry = Retry::immediate().max_attempts(2);
    let bus = start(&gated, 1, billing(2).retry(retry).on(handler)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(2, 1)]).await.expect("confirmed");
    let letter = gated.read(DLQ, 1).await.remove(0);
    assert_eq!(letter.headers.get_str(dlq::ATTEMPTS), Some("2"));
    gated.until("the other one", |steps| steps.contains(&handled(2))).await;
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_that_panics_when_its_lane_is_lost_does_not_end_the_group() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        if BEGUN.fetch_add(1, SeqCst) == 0 {
            let _bomb = Bomb;
            sleep(LONG).await;
        }
        gated.note(handled(event.order));
    };
    let bus = start(&gated, 1, billing(2).on(handler)).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    eventually("at work", || BEGUN.load(SeqCst) == 1).await;
    gated.inner.faults().lose("billing");
    gated.until("handled at last", |steps| steps.contains(&handled(1))).await;
    assert_eq!(bus.health().subscriptions[0].degraded, None);
}

#[tokio::test(start_paused = true)]
async fn an_error_about_a_payload_never_quotes_it() {
    let gated = Gated::new();
    let _bus = start(&gated, 1, billing(1).on(async |Event(_): Event<Paid>| {})).await;
    gated.publish_raw(Message::new("orders", r#"{"order":"x, expected 4111 at line 1","step":1}"#)).await;
    let letter = gated.read(DLQ, 1).await.remove(0);
    let error = letter.headers.get_str(dlq::ERROR).expect("an error");
    assert!(error.contains("expected u32") && !error.contains("4111"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_queue_of_handlers_that_never_wait_does_not_hold_up_a_stop() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>| {
        if event.step == 0 {
            sleep(Duration::from_millis(100)).await;
        } else {
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let bus = start(&gated, 1, billing(4).on(handler)).await;
    bus.publish_all((0..1500).map(|step| Paid::of(1, step))).await.expect("confirmed");
    while bus.health().subscriptions[0].counts.handled == 0 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    let report = bus.shutdown(Duration::from_secs(1)).await.expect("clean");
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    let counts = report.subscriptions[0].counts;
    assert_eq!(counts.handled as usize + report.subscriptions[0].left, 1500);
}

struct Noted(Gated);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(Step::Handled("dropped".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_old_attempt_held_is_dropped_before_the_new_one_begins() {
    let gated = Gated::new();
    let handler = async |Event(_): Event<Paid>, State(gated): State<Gated>| {
        gated.note(Step::Handled("begin".into()));
        let _held = Noted(gated);
        sleep(LONG).await;
    };
    let bus = start(&gated, 1, billing(2).on(handler)).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    eventually("at work", || effects(&gated).len() == 1).await;
    gated.inner.faults().lose("billing");
    eventually("at work again", || effects(&gated).len() == 3).await;
    assert_eq!(effects(&gated), ["begin", "dropped", "begin"].map(|text| Step::Handled(text.into())));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_on_its_way_is_waited_for_at_shutdown() {
    let gated = Gated::new();
    gated.inner.faults().fail_on(DLQ, 1);
    let fails = async |Event(_): Event<Paid>| Err::<(), _>(HandlerError::new("never").permanent());
    let bus = start(&gated, 1, billing(1).on(fails)).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    eventually("parked", || bus.health().subscriptions[0].degraded.is_some()).await;
    gated.inner.faults().delay_publishes(Duration::from_secs(2));
    // Longer than its first wait: the second publish is on its way.
    sleep(Duration::from_secs(1)).await;
    let report = bus.shutdown(Duration::from_secs(30)).await.expect("clean");
    assert_eq!((report.subscriptions[0].counts.dead_lettered, report.subscriptions[0].left), (1, 0));
    assert_eq!(gated.inner.faults().messages(DLQ).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_key_on_each_of_many_lanes_stops_no_other_lane() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        if event.order < 7 {
            sleep(LONG).await;
        }
        gated.note(handled(event.order));
    };
    let _bus = start(&gated, 12, billing(100).on(handler)).await;
    let publish = async |order: u32, partition: u32, steps: u32| {
        for step in 0..steps {
            let payload = format!(r#"{{"order":{order},"step":{step}}}"#);
            let mut message = Message::new("orders", payload).key(order.to_string());
            message.send.partition = Some(partition);
            gated.publish_raw(message).await;
        }
    };
    for stuck in 0..7 {
        publish(stuck, stuck, 2000).await;
    }
    sleep(Duration::from_secs(1)).await;
    publish(100, 11, 1).await;
    gated.until("the free key", |steps| steps.contains(&handled(100))).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_dropped_stops_the_handlers_too() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        sleep(Duration::from_secs(20)).await;
        gated.note(handled(event.order));
    };
    let bus = start(&gated, 1, billing(1).on(handler)).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    eventually("at work", || bus.health().subscriptions[0].in_flight == 1).await;
    let dropped = tokio::time::timeout(Duration::from_secs(1), bus.shutdown(Duration::from_secs(60))).await;
    assert!(dropped.is_err());
    sleep(Duration::from_secs(100)).await;
    assert_eq!(effects(&gated), []);
}

/// Two members; the first is at work on some and has others queued when its lanes are called back.
#[tokio::test(start_paused = true)]
async fn a_hand_over_repeats_nothing_that_finished_inside_its_drain() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        sleep(Duration::from_secs(2)).await;
        gated.note(handled(event.order));
    };
    let first = start(&gated, 4, billing(8).on(handler)).await;
    first.publish_all((0..100).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    eventually("at work", || first.health().subscriptions[0].in_flight == 100).await;
    let second = start(&gated, 4, billing(8).on(handler)).await;
    let begun = Instant::now();
    eventually("the second has work", || second.health().subscriptions[0].counts.handled > 0).await;
    // Two seconds for what was in work, two for the second's first; what had not begun does not begin before.
    assert!(begun.elapsed() < Duration::from_secs(5), "the hand-over took {:?}", begun.elapsed());
    let all = || first.health().subscriptions[0].counts.handled + second.health().subscriptions[0].counts.handled;
    eventually("all handled", || all() >= 100).await;
    sleep(Duration::from_secs(60)).await;
    let mut orders = effects(&gated);
    orders.sort_by_key(|step| format!("{step:?}"));
    orders.dedup();
    assert_eq!((orders.len(), all()), (100, 100), "each once");
}
