//! Order per key, and who waits for whom.

use std::time::Duration;

use gulo::prelude::*;
use tokio::time::sleep;

use crate::bench::{Bench, assert_stops_with, sorted, steps_of};
use crate::shared::{Gate, Log, Meter, Step, step, steps};

const MOST_ATTEMPTS: u32 = 4;

/// What an attempt comes to: a number that looks random, and is the same for the same step and attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Succeeds,
    Fails,
    AsksForAWait(Duration),
    Panics,
    Hangs,
    IsHopeless,
}

fn dice(Step { order, number }: Step, attempt: u32) -> u64 {
    (u64::from(order * 3100 + number * 170 + attempt) * 2_654_435_761) >> 7
}

fn fate(step: Step, attempt: u32) -> Fate {
    let dice = dice(step, attempt);
    match dice % 14 {
        0 | 1 => Fate::Fails,
        2 => Fate::AsksForAWait(Duration::from_millis(dice % 60)),
        3 | 4 => Fate::Panics,
        5 => Fate::Hangs,
        6 if step.number.is_multiple_of(3) => Fate::IsHopeless,
        _ => Fate::Succeeds,
    }
}

/// What the log has to say of a step, and whether it becomes a dead letter.
fn course(step: Step) -> (Vec<String>, bool) {
    let Step { order, number } = step;
    let mut course = Vec::new();
    for attempt in 1..=MOST_ATTEMPTS {
        course.push(format!("{order}.{number} attempt {attempt}"));
        match fate(step, attempt) {
            Fate::Succeeds => {
                course.push(format!("{order}.{number} done"));
                return (course, false);
            }
            Fate::IsHopeless => return (course, true),
            _ => {}
        }
    }
    (course, true)
}

async fn by_the_dice(
    Event(step): Event<Step>,
    attempt: Attempt,
    State(log): State<Log>,
    State(meter): State<Meter>,
) -> Result<(), HandlerError> {
    let _running = meter.count();
    log.attempt(step, attempt);
    let dice = dice(step, attempt.0);
    if !dice.is_multiple_of(3) {
        sleep(Duration::from_millis(dice % 12)).await;
    }
    match fate(step, attempt.0) {
        Fate::Succeeds => {
            log.done(step);
            Ok(())
        }
        Fate::Fails => Err(HandlerError::new("not yet")),
        Fate::AsksForAWait(wait) => Err(HandlerError::new("not yet").retry_after(wait)),
        Fate::Panics => panic!("by the dice"),
        Fate::Hangs => std::future::pending().await,
        Fate::IsHopeless => Err(HandlerError::new("never").permanent()),
    }
}

pub async fn the_attempts_of_a_key_keep_their_order_through_failures_of_every_kind(bench: Bench) {
    let bench = bench.spread();
    let (orders, numbers) = (1..13, 1..26);
    let retry = Retry::fixed(Duration::from_millis(20)).max_attempts(MOST_ATTEMPTS);
    let subscription = bench.subscription().concurrency(Concurrency::per_key(5)).retry(retry);
    let bus = bench.start(subscription.deadline(Duration::from_millis(60)).on(by_the_dice)).await;
    bus.publish_all(steps(orders.clone(), numbers.clone())).await.expect("confirmed");
    let all = steps(orders.clone(), numbers.clone()).count() as u64;
    let ended = || {
        let counts = bus.health().subscriptions[0].counts;
        counts.handled + counts.dead_lettered == all
    };
    bench.until("all came to their end", ended).await;

    let letters = steps_of(&bench.letters().await);
    let dead = |step: &Step| course(*step).1;
    for order in orders.clone() {
        let expected: Vec<String> = numbers.clone().flat_map(|number| course(step(order, number)).0).collect();
        let of_order = format!("{order}.");
        let happened: Vec<_> = bench.log.texts().into_iter().filter(|text| text.starts_with(&of_order)).collect();
        assert_eq!(happened, expected, "order {order}");
        let letters: Vec<Step> = letters.iter().filter(|step| step.order == order).copied().collect();
        let expected: Vec<Step> = numbers.clone().map(|number| step(order, number)).filter(dead).collect();
        assert_eq!(letters, expected, "dead letters of order {order}");
    }
    // Else this would prove little.
    let fates: Vec<Fate> = steps(orders, numbers).map(|step| fate(step, 1)).collect();
    for fate in [Fate::Succeeds, Fate::Fails, Fate::Panics, Fate::Hangs, Fate::IsHopeless] {
        assert!(fates.contains(&fate), "{fate:?}");
    }
    assert!(fates.iter().any(|fate| matches!(fate, Fate::AsksForAWait(_))));
    assert!((2..=5).contains(&bench.meter.most()), "{} at a time", bench.meter.most());
    let dead = letters.len() as u64;
    let retried = bench.log.with("attempt").len() as u64 - all;
    assert_stops_with(bus, (all - dead, retried, dead, 0, 0)).await;
}

/// Step 1 of order 1 fails until the gate is open.
async fn one_fails_until_the_gate_is_open(
    Event(step): Event<Step>,
    attempt: Attempt,
    State(log): State<Log>,
    State(gate): State<Gate>,
) -> Result<(), HandlerError> {
    log.attempt(step, attempt);
    if (step.order, step.number) == (1, 1) && !gate.is_open() {
        return Err(HandlerError::new("not yet"));
    }
    log.done(step);
    Ok(())
}

pub async fn later_messages_of_a_failed_key_wait_and_other_keys_of_its_lane_flow(bench: Bench) {
    let retry = Retry::fixed(Duration::from_millis(50)).max_attempts(u32::MAX);
    let subscription = bench.subscription().concurrency(Concurrency::per_key(2)).retry(retry);
    let bus = bench.start(subscription.on(one_fails_until_the_gate_is_open)).await;
    bus.publish_all(steps(1..11, 1..4)).await.expect("confirmed");
    bench.until_done(steps(2..11, 1..4)).await;
    bench.until("tried again and again", || bench.log.attempts_at(step(1, 1)).len() >= 5).await;
    for number in 2..4 {
        assert_eq!(bench.log.attempts_at(step(1, number)), [], "behind a failed one nothing begins");
    }
    bench.gate.open();
    bench.until_done([step(1, 3)]).await;
    let done = bench.log.with("done");
    for order in 1..11 {
        let of_order: Vec<_> = done.iter().filter(|text| text.starts_with(&format!("{order}."))).collect();
        let expected = [1, 2, 3].map(|number| format!("{order}.{number} done"));
        assert_eq!(of_order, expected.iter().collect::<Vec<_>>());
    }
    let retried = bench.log.attempts_at(step(1, 1)).len() as u64 - 1;
    assert_stops_with(bus, (30, retried, 0, 0, 0)).await;
}

/// There is one place only: were it kept over the wait, nothing else would be handled for a day.
pub async fn a_message_that_waits_gives_its_place_to_others(bench: Bench) {
    let day = Duration::from_secs(24 * 3600);
    let subscription = bench.subscription().concurrency(Concurrency::per_key(1)).retry(Retry::fixed(day));
    let bus = bench.start(subscription.on(one_fails_until_the_gate_is_open)).await;
    bus.publish_all(steps(1..11, 1..3)).await.expect("confirmed");
    bench.until_done(steps(2..11, 1..3)).await;
    assert_eq!(bench.log.with("1.1 attempt"), ["1.1 attempt 1"]);
    // What only waits is left at once, and what is behind it too.
    assert_stops_with(bus, (18, 0, 0, 0, 2)).await;
    assert_eq!(sorted(bench.redelivered().await).first(), Some(&step(1, 1)));
}

pub async fn one_after_the_other_means_that_everything_waits_for_a_retry(bench: Bench) {
    let retry = Retry::fixed(Duration::from_millis(50)).max_attempts(u32::MAX);
    let bus = bench.start(bench.subscription().retry(retry).on(one_fails_until_the_gate_is_open)).await;
    bus.publish_all(steps(1..6, 1..3)).await.expect("confirmed");
    bench.until("tried again and again", || bench.log.attempts_at(step(1, 1)).len() >= 5).await;
    assert_eq!(bench.log.with("done"), [""; 0]);
    bench.gate.open();
    bench.until_done([step(5, 2)]).await;
    let expected: Vec<String> = steps(1..6, 1..3).map(|step| format!("{}.{} done", step.order, step.number)).collect();
    assert_eq!(bench.log.with("done"), expected);
    let retried = bench.log.attempts_at(step(1, 1)).len() as u64 - 1;
    assert_stops_with(bus, (10, retried, 0, 0, 0)).await;
}
