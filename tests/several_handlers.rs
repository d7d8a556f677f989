//! Several handlers of one event in one group: each has an outcome of its own, whatever the others do.

mod support;

use std::fmt;
use std::time::Duration;

use gulo::dead_letter as dlq;
use gulo::prelude::*;
use tokio::time::Instant;

use support::{Gated, Paid, Step, eventually};

const DLQ: &str = "orders.billing.dlq";

async fn start(gated: &Gated, subscription: Subscription) -> Bus {
    let bus = Bus::builder("shop").transport(gated.clone()).subscribe(subscription).state(gated.clone());
    bus.start().await.expect("starts")
}

fn said(gated: &Gated) -> Vec<String> {
    let said = gated.steps().into_iter().filter_map(|step| match step {
        Step::Handled(text) => Some(text),
        _ => None,
    });
    said.collect()
}

/// An error that cannot even be shown.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Unspeakable {}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_it_is_shown_beside_another_does_not_end_the_group() {
    let gated = Gated::new();
    let first = async |Event(_): Event<Paid>| Err::<(), _>(HandlerError::new("again"));
    let second = async |Event(paid): Event<Paid>| if paid.order == 1 { Err(Unspeakable) } else { Ok(()) };
    let group = Subscription::group("billing").retry(Retry::immediate().max_attempts(2)).on(first).on(second);
    let bus = start(&gated, group).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(2, 1)]).await.expect("confirmed");
    let letters = gated.read(DLQ, 2).await;
    assert_eq!(letters.len(), 2);
}

#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed for good")
    }
}

impl std::error::Error for Closed {}

/// The policy says of each error what it is worth, and not of the first one for all.
#[tokio::test(start_paused = true)]
async fn a_policy_by_error_decides_for_each_handler_by_its_own_error() {
    let gated = Gated::new();
    let closed = async |Event(_): Event<Paid>, Attempt(attempt): Attempt, State(gated): State<Gated>| {
        gated.note(Step::Handled(format!("closed {attempt}")));
        Err::<(), _>(Closed)
    };
    let late = async |Event(_): Event<Paid>, Attempt(attempt): Attempt, State(gated): State<Gated>| {
        gated.note(Step::Handled(format!("late {attempt}")));
        if attempt < 3 { Err(HandlerError::new("not yet")) } else { Ok(()) }
    };
    let retry = || Retry::fixed(Duration::from_secs(1)).on_error::<Closed>(Retry::never());
    for (group, expected) in [
        (Subscription::group("billing").on(closed).on(late), ["closed 1", "late 1", "late 2", "late 3"]),
        (Subscription::group("billing").on(late).on(closed), ["late 1", "closed 1", "late 2", "late 3"]),
    ] {
        let gated = Gated::new();
        let bus = start(&gated, group.retry(retry())).await;
        bus.publish(Paid::of(1, 1)).await.expect("confirmed");
        let letter = gated.read(DLQ, 1).await.remove(0);
        assert_eq!(said(&gated), expected);
        let values = [dlq::REASON, dlq::ERROR, dlq::ATTEMPTS].map(|name| letter.headers.get_str(name));
        assert_eq!(values, [Some("attempts-exhausted"), Some("closed for good"), Some("3")]);
    }
    drop(gated);
}

/// One that said when to come again is not called before.
#[tokio::test(start_paused = true)]
async fn the_longest_wait_that_a_handler_asks_for_counts() {
    let gated = Gated::new();
    let plain = async |Event(_): Event<Paid>, Attempt(attempt): Attempt| {
        if attempt == 1 { Err(HandlerError::new("again")) } else { Ok(()) }
    };
    let limited = async |Event(_): Event<Paid>, Attempt(attempt): Attempt| {
        let error = HandlerError::new("too many requests").retry_after(Duration::from_secs(60));
        if attempt == 1 { Err(error) } else { Ok(()) }
    };
    let bus = start(&gated, Subscription::group("billing").on(plain).on(limited)).await;
    let begun = Instant::now();
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    eventually("handled", || bus.health().subscriptions[0].counts.handled == 1).await;
    assert!(begun.elapsed() >= Duration::from_secs(60), "{:?}", begun.elapsed());
}
