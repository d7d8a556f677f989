//! A dead-letter topic that is not there: the group names it by the month, say, and nobody has made that of this month.

use std::sync::{Arc, Mutex};

use gulo::prelude::*;

use crate::bench::{Bench, assert_stops_with, header, steps_of};
use crate::shared::{Log, Step, step};

/// Step 1 of order 1 fails for good.
async fn one_fails(Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>) -> Result<(), HandlerError> {
    log.attempt(step, attempt);
    if (step.order, step.number) == (1, 1) {
        return Err(HandlerError::new("never").permanent());
    }
    log.done(step);
    Ok(())
}

/// Starts a group whose letters go to the topic of `month`.
async fn start(bench: &Bench, month: &Arc<Mutex<u32>>) -> Bus {
    let month = month.clone();
    let named = DeadLetter::topic_named(move |topic, _| letters_of(topic, *month.lock().unwrap()));
    let subscription = bench.subscription().concurrency(Concurrency::per_key(2)).dead_letter(named);
    bench.start(subscription.on(one_fails)).await
}

fn letters_of(topic: &str, month: u32) -> String {
    format!("{topic}-dead-{month}")
}

fn trouble(bus: &Bus) -> String {
    bus.health().subscriptions[0].degraded.clone().unwrap_or_default()
}

pub async fn a_dead_letter_topic_that_is_missing_parks_visibly_until_it_is_made(bench: Bench) {
    let month = Arc::new(Mutex::new(1));
    let bus = start(&bench, &month).await;
    *month.lock().unwrap() = 2;
    let letters = letters_of(&bench.topic, 2);
    bus.publish_all([step(1, 1), step(1, 2), step(2, 1)]).await.expect("confirmed");
    bench.until("parked", || trouble(&bus).contains("parked")).await;
    assert!(trouble(&bus).contains(&*bench.topic) && trouble(&bus).contains(&letters), "{}", trouble(&bus));
    assert!(!bus.health().is_up());
    bench.until_done([step(2, 1)]).await;
    assert!(!bench.log.has("1.2 attempt 1"), "its key waits");

    bench.make_topic(&letters).await;
    bench.until_done([step(1, 2)]).await;
    assert_eq!(trouble(&bus), "");
    assert_eq!(bench.log.with("1.1"), ["1.1 attempt 1"], "it is the letter that is tried again");
    let read = bench.read(&letters).await;
    assert_eq!(steps_of(&read), [step(1, 1)]);
    assert_eq!(header(&read[0], gulo::dead_letter::REASON), "permanent");
    assert_stops_with(bus, (2, 0, 1, 0, 0)).await;
    assert_eq!(bench.redelivered().await, []);
}

pub async fn a_parked_message_is_left_at_shutdown_and_comes_again(bench: Bench) {
    let month = Arc::new(Mutex::new(1));
    let bus = start(&bench, &month).await;
    *month.lock().unwrap() = 2;
    bus.publish_all([step(1, 1), step(1, 2)]).await.expect("confirmed");
    bench.until("parked", || trouble(&bus).contains("parked")).await;
    assert_stops_with(bus, (0, 0, 0, 0, 2)).await;

    bench.make_topic(&letters_of(&bench.topic, 2)).await;
    let bus = start(&bench, &month).await;
    bench.until_done([step(1, 2)]).await;
    assert_eq!(bench.log.texts(), ["1.1 attempt 1", "1.1 attempt 1", "1.2 attempt 1", "1.2 done"]);
    assert_eq!(steps_of(&bench.read(&letters_of(&bench.topic, 2)).await), [step(1, 1)]);
    assert_stops_with(bus, (1, 0, 1, 0, 0)).await;
}
