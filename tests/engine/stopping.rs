//! Shutdown and hand-over: what is in work may finish, the rest is left, and all of it ends in time.

use std::time::Duration;

use gulo::prelude::*;
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, assert_stops_with, sorted};
use crate::shared::{Gate, Log, NotesDrop, Step, step, steps};

async fn waits_at_the_gate(
    Event(step): Event<Step>,
    attempt: Attempt,
    State(log): State<Log>,
    State(gate): State<Gate>,
) {
    log.attempt(step, attempt);
    gate.pass().await;
    log.done(step);
}

pub async fn shutdown_lets_what_is_in_work_finish_and_leaves_the_rest(bench: Bench) {
    let subscription = bench.subscription().concurrency(Concurrency::per_key(2)).on(waits_at_the_gate);
    let bus = bench.start(subscription).await;
    bus.publish_all([step(1, 1), step(2, 1), step(1, 2), step(3, 1), step(2, 2)]).await.expect("confirmed");
    bench.until("two at work", || bench.log.texts().len() == 2).await;
    bench.until("the others are inside", || bus.health().subscriptions[0].in_flight == 5).await;
    // The stop is said at the first poll; only then the gate opens.
    let (report, ()) = tokio::join!(bus.shutdown(Duration::from_secs(20)), async { bench.gate.open() });
    let report = report.expect("clean");
    assert_eq!((report.subscriptions[0].counts.handled, report.subscriptions[0].left), (2, 3), "{report}");
    assert_eq!(bench.log.with("attempt"), ["1.1 attempt 1", "2.1 attempt 1"], "nothing begins any more");
    assert_eq!(sorted(bench.log.with("done")), ["1.1 done", "2.1 done"]);
    assert_eq!(bench.redelivered().await, [step(1, 2), step(2, 2), step(3, 1)]);
}

pub async fn shutdown_ends_by_its_deadline_and_settles_nothing_that_is_not_finished(bench: Bench) {
    let handler = async |Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>| {
        log.attempt(step, attempt);
        if step.order == 1 {
            let _held = NotesDrop(log.clone(), "dropped");
            std::future::pending::<()>().await;
        }
        log.done(step);
    };
    let bus = bench.start(bench.subscription().concurrency(Concurrency::per_key(2)).on(handler)).await;
    // One that is settled before, and two behind.
    bus.publish_all([step(2, 1), step(1, 1), step(1, 2)]).await.expect("confirmed");
    bench.until("at work", || bench.log.has("1.1 attempt 1")).await;
    bench.until("all are inside", || bus.health().subscriptions[0].in_flight == 2).await;
    let (begun, timeout) = (Instant::now(), Duration::from_secs(8));
    let report = bus.shutdown(timeout).await.expect("clean");
    let took = begun.elapsed();
    assert!(took >= timeout / 2, "it waited for {took:?} only");
    // A real clock goes on while the last lines run.
    let latest = if bench.paused { timeout } else { timeout + Duration::from_secs(1) };
    assert!(took <= latest, "{took:?}");
    assert_eq!((report.subscriptions[0].counts.handled, report.subscriptions[0].left), (1, 2), "{report}");
    assert_eq!(sorted(bench.log.texts()), ["1.1 attempt 1", "2.1 attempt 1", "2.1 done", "dropped"]);
    assert_eq!(bench.redelivered().await, [step(1, 1), step(1, 2)]);
}

/// The first of each order takes long: longer than it takes a group to call its lanes back, shorter than a lane may drain.
async fn works(Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>) {
    log.attempt(step, attempt);
    sleep(Duration::from_millis(if step.number == 0 { 3000 } else { 5 })).await;
    log.done(step);
}

/// Each order has a lane to itself.
async fn publish(bench: &Bench, numbers: std::ops::Range<u32>) {
    let message = |step: Step| {
        let mut message = bench.message(step);
        message.send.partition = Some(step.order);
        message
    };
    bench.send(steps(0..4, numbers).map(message).collect()).await;
}

pub async fn a_hand_over_lets_what_is_in_work_finish_and_repeats_nothing(bench: Bench) {
    let bench = bench.spread();
    let group = || bench.subscription().concurrency(Concurrency::per_key(4)).on(works);
    let handled = |bus: &Bus| bus.health().subscriptions[0].counts.handled;
    let first = bench.start(group()).await;
    publish(&bench, 0..25).await;
    bench.until("each lane is at work", || bench.log.texts().len() == 4).await;
    let second = bench.start(group()).await;
    bench.until_done(steps(0..4, 0..25)).await;
    // As a rule it has some by now; when lanes move is the broker's to say.
    let mut published = 25;
    while handled(&second) == 0 {
        assert!(published < 1000, "the second gets nothing");
        publish(&bench, published..published + 25).await;
        published += 25;
        bench.until_done(steps(0..4, published - 1..published)).await;
    }
    let all = u64::from(published * 4);
    bench.until("all of it is counted", || handled(&first) + handled(&second) >= all).await;
    let (at_first, at_second) = (handled(&first), handled(&second));
    assert_stops_with(second, (at_second, 0, 0, 0, 0)).await;
    assert_stops_with(first, (at_first, 0, 0, 0, 0)).await;
    let texts = bench.log.texts();
    for order in 0..4 {
        let of_order: Vec<_> = texts.iter().filter(|text| text.starts_with(&format!("{order}."))).cloned().collect();
        let each_once = |number| [format!("{order}.{number} attempt 1"), format!("{order}.{number} done")];
        assert_eq!(of_order, (0..published).flat_map(each_once).collect::<Vec<_>>(), "order {order}");
    }
    assert_eq!(bench.redelivered().await, []);
}
