//! When a failed message is tried again, and how often; what counts as a failure.

use std::future::pending;
use std::time::Duration;

use gulo::dead_letter as dlq;
use gulo::prelude::*;
use tokio::task::yield_now;

use crate::bench::{Bench, assert_stops_with, header};
use crate::shared::{Log, NotesDrop, Step, step};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub async fn attempts_come_after_the_waits_of_the_policy_and_as_often_as_it_says(bench: Bench) {
    let handler = async |Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>| {
        log.attempt(step, attempt);
        Err::<(), _>(HandlerError::new("down"))
    };
    let retry = Retry::exponential(ms(100)).max_delay(ms(300)).max_attempts(5);
    let bus = bench.start(bench.subscription().retry(retry).on(handler)).await;
    bus.publish(step(1, 1)).await.expect("confirmed");
    bench.until("its end", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
    assert_eq!(bench.log.texts(), [1, 2, 3, 4, 5].map(|attempt| format!("1.1 attempt {attempt}")));
    bench.assert_waits(&bench.log.attempts_at(step(1, 1)), &[100, 200, 300, 300]);
    let letters = bench.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!([dlq::REASON, dlq::ATTEMPTS].map(|name| header(&letters[0], name)), ["attempts-exhausted", "5"]);
    assert_stops_with(bus, (0, 4, 1, 0, 0)).await;
}

pub async fn the_wait_that_a_handler_asks_for_goes_before_the_policy(bench: Bench) {
    let handler = async |Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>| {
        log.attempt(step, attempt);
        match attempt.0 {
            1 => Err(HandlerError::new("busy").retry_after(ms(350))),
            2 => Err(HandlerError::new("busy").retry_after(ms(50))),
            _ => Ok(()),
        }
    };
    let hour = Duration::from_secs(3600);
    let bus = bench.start(bench.subscription().retry(Retry::fixed(hour)).on(handler)).await;
    bus.publish(step(1, 1)).await.expect("confirmed");
    bench.until("handled", || bus.health().subscriptions[0].counts.handled == 1).await;
    bench.assert_waits(&bench.log.attempts_at(step(1, 1)), &[350, 50]);
    assert_stops_with(bus, (1, 2, 0, 0, 0)).await;
}

pub async fn a_message_that_succeeds_at_last_is_no_dead_letter_and_does_not_come_again(bench: Bench) {
    let handler = async |Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>| {
        log.attempt(step, attempt);
        if attempt.0 < 3 {
            return Err(HandlerError::new("not yet"));
        }
        log.done(step);
        Ok(())
    };
    let retry = Retry::fixed(ms(50)).max_attempts(3);
    let bus = bench.start(bench.subscription().retry(retry).on(handler)).await;
    bus.publish(step(1, 1)).await.expect("confirmed");
    bench.until_done([step(1, 1)]).await;
    assert_stops_with(bus, (1, 2, 0, 0, 0)).await;
    assert_eq!(bench.log.texts(), ["1.1 attempt 1", "1.1 attempt 2", "1.1 attempt 3", "1.1 done"]);
    assert_eq!(bench.letters().await, []);
    assert_eq!(bench.redelivered().await, []);
}

/// Step 1 of order 1 panics before its first await, then behind one, then succeeds; order 2 always panics; order 3 is well.
pub async fn a_panic_is_a_failure_like_any_other(bench: Bench) {
    let handler = |Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>| {
        log.attempt(step, attempt);
        let first = (step.order, step.number) == (1, 1);
        assert!(!first || attempt.0 != 1, "before the first await");
        async move {
            yield_now().await;
            assert!(!first || attempt.0 != 2, "behind an await");
            assert!(step.order != 2, "order {} is unlucky", step.order);
            log.done(step);
        }
    };
    let retry = Retry::fixed(ms(50)).max_attempts(3);
    let subscription = bench.subscription().concurrency(Concurrency::per_key(2)).retry(retry);
    let bus = bench.start(subscription.on(handler)).await;
    bus.publish_all([step(1, 1), step(2, 1), step(3, 1), step(1, 2)]).await.expect("confirmed");
    bench.until_done([step(1, 2), step(3, 1)]).await;
    bench.until("its end", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
    bench.assert_waits(&bench.log.attempts_at(step(1, 1)), &[50, 50]);
    bench.assert_waits(&bench.log.attempts_at(step(2, 1)), &[50, 50]);
    let letters = bench.letters().await;
    assert_eq!(letters.len(), 1);
    let said = [dlq::REASON, dlq::ERROR, dlq::ATTEMPTS].map(|name| header(&letters[0], name));
    assert_eq!(said, ["attempts-exhausted", "handler panicked: order 2 is unlucky", "3"]);
    assert!(bus.health().is_up(), "{:?}", bus.health());
    assert_stops_with(bus, (3, 4, 1, 0, 0)).await;
}

/// Order 1 hangs once, order 2 always.
pub async fn a_handler_that_passes_its_deadline_is_dropped_and_tried_again(bench: Bench) {
    let handler = async |Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>| {
        log.attempt(step, attempt);
        if step.order == 2 || (step.number == 1 && attempt.0 == 1) {
            let what = if step.order == 1 { "dropped" } else { "the other dropped" };
            let _held = NotesDrop(log.clone(), what);
            pending::<()>().await;
        }
        log.done(step);
    };
    let retry = Retry::fixed(ms(100)).max_attempts(2);
    let subscription = bench.subscription().concurrency(Concurrency::per_key(4)).retry(retry);
    let bus = bench.start(subscription.deadline(ms(200)).on(handler)).await;
    bus.publish_all([step(1, 1), step(1, 2), step(2, 1)]).await.expect("confirmed");
    bench.until_done([step(1, 2)]).await;
    bench.until("its end", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
    let mut of_one = bench.log.texts();
    of_one.retain(|text| text.starts_with("1.") || text == "dropped");
    let expected = ["1.1 attempt 1", "dropped", "1.1 attempt 2", "1.1 done", "1.2 attempt 1", "1.2 done"];
    assert_eq!(of_one, expected);
    for order in [1, 2] {
        bench.assert_waits(&bench.log.attempts_at(step(order, 1)), &[300]);
    }
    let letters = bench.letters().await;
    assert_eq!(letters.len(), 1);
    let said = [dlq::REASON, dlq::ERROR, dlq::ATTEMPTS].map(|name| header(&letters[0], name));
    assert_eq!(
        said,
        ["attempts-exhausted", "handler did not end within 200ms (give it a longer deadline, or less to do)", "2"]
    );
    assert_stops_with(bus, (2, 2, 1, 0, 0)).await;
}
