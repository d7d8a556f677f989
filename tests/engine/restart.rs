//! What the next run of a service gets.

use std::future::pending;

use gulo::prelude::*;
use gulo::transport::CommitPolicy;

use crate::bench::{Bench, assert_stops_with};
use crate::shared::{Log, NotesDrop, Step, step, steps};

async fn notes(Event(step): Event<Step>, State(log): State<Log>) {
    log.done(step);
}

pub async fn a_restart_goes_on_behind_what_was_finished(bench: Bench) {
    let bench = bench.spread();
    for run in 0..3 {
        let bus = bench.start(bench.subscription().concurrency(Concurrency::per_key(4)).on(notes)).await;
        let numbers = run * 5..(run + 1) * 5;
        bus.publish_all(steps(0..10, numbers.clone())).await.expect("confirmed");
        bench.until_done(steps(0..10, numbers)).await;
        assert_stops_with(bus, (50, 0, 0, 0, 0)).await;
        assert_eq!(bench.log.texts().len() as u32, (run + 1) * 50, "nothing comes again");
    }
    bench.send(vec![bench.message(step(7, 99))]).await;
    assert_eq!(bench.redelivered().await, [step(7, 99)], "what came meanwhile, and nothing else");
}

/// Commits as soon as it can, so what is wrongly settled would be durable.
pub async fn a_bus_that_is_dropped_settles_nothing_it_did_not_finish(bench: Bench) {
    let handler = async |Event(step): Event<Step>, State(log): State<Log>| {
        if step.order == 1 {
            log.note("at work");
            let _held = NotesDrop(log, "dropped");
            return pending().await;
        }
        log.done(step);
    };
    let eager = CommitPolicy { every: 1, interval: std::time::Duration::from_millis(1) };
    let subscription = bench.subscription().concurrency(Concurrency::per_key(2)).commit(eager).on(handler);
    let bus = bench.start(subscription).await;
    bus.publish_all([step(2, 1), step(1, 1), step(2, 2)]).await.expect("confirmed");
    bench.until("at work", || bench.log.has("at work")).await;
    bench.until_done([step(2, 2)]).await;
    drop(bus);
    bench.until("dropped", || bench.log.has("dropped")).await;
    assert!(!bench.log.is_done(step(1, 1)));
    // What finished behind it may come again where a lane has one position.
    let redelivered = bench.redelivered().await;
    assert_eq!(redelivered.first(), Some(&step(1, 1)), "{redelivered:?}");
}
