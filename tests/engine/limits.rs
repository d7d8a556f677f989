//! Back-pressure: how many handlers run, and how many messages are inside.

use gulo::prelude::*;

use crate::bench::{Bench, assert_stops_with};
use crate::shared::{Gate, Log, Meter, Step, step, steps};

async fn waits_at_the_gate(
    Event(step): Event<Step>,
    State(log): State<Log>,
    State(gate): State<Gate>,
    State(meter): State<Meter>,
) {
    let _running = meter.count();
    gate.pass().await;
    log.done(step);
}

/// Another group on the same topic: once it has handled all of it, the first had as long to take more than it should.
async fn witness(bench: &Bench) -> Bus {
    let witness = Subscription::group(format!("{}-witness", bench.topic)).on(async |Event(_): Event<Step>| {});
    bench.bus(witness).start().await.expect("starts")
}

fn handled(bus: &Bus) -> u64 {
    bus.health().subscriptions[0].counts.handled
}

pub async fn as_many_run_at_a_time_as_is_said_and_no_more(bench: Bench) {
    let bench = bench.spread();
    let subscription = bench.subscription().concurrency(Concurrency::per_key(5)).on(waits_at_the_gate);
    let (bus, witness) = (bench.start(subscription).await, witness(&bench).await);
    bus.publish_all(steps(0..60, 1..2)).await.expect("confirmed");
    bench.until("five run", || bench.meter.running() == 5).await;
    bench.until("the witness", || handled(&witness) == 60).await;
    assert_eq!(bench.meter.running(), 5);
    for done in 1..=60 {
        bench.gate.let_through(1);
        bench.until("one more", || bench.log.texts().len() == done).await;
    }
    assert_eq!(bench.meter.most(), 5);
    assert_stops_with(bus, (60, 0, 0, 0, 0)).await;
    witness.shutdown(std::time::Duration::from_secs(20)).await.expect("clean");
}

pub async fn no_more_messages_are_inside_than_is_said(bench: Bench) {
    let bench = bench.spread();
    let subscription = bench.subscription().concurrency(Concurrency::per_key(2)).in_flight(10).on(waits_at_the_gate);
    let (bus, witness) = (bench.start(subscription).await, witness(&bench).await);
    let inside = || bus.health().subscriptions[0].in_flight;
    bus.publish_all(steps(0..30, 1..4)).await.expect("confirmed");
    bench.until("ten are inside", || inside() >= 10).await;
    bench.until("the witness", || handled(&witness) == 90).await;
    assert_eq!(inside(), 10);
    for done in 1..=90 {
        bench.gate.let_through(1);
        bench.until("one more", || bench.log.texts().len() == done).await;
        assert!(inside() <= 10, "{} are inside", inside());
    }
    assert_stops_with(bus, (90, 0, 0, 0, 0)).await;
    witness.shutdown(std::time::Duration::from_secs(20)).await.expect("clean");
}

/// One is stuck; counted from there, so many of its lane are handed out and no more.
pub async fn a_stuck_message_holds_up_its_lane_where_the_window_ends_and_no_sooner(bench: Bench) {
    let handler = async |Event(event): Event<Step>, State(log): State<Log>, State(gate): State<Gate>| {
        if event == step(0, 1) {
            gate.pass().await;
        }
        log.done(event);
    };
    let subscription = bench.subscription().concurrency(Concurrency::per_key(4)).window(20).on(handler);
    let (bus, witness) = (bench.start(subscription).await, witness(&bench).await);
    bus.publish_all(steps(0..60, 1..2)).await.expect("confirmed");
    bench.until("the window is full", || handled(&bus) >= 19).await;
    bench.until("the witness", || handled(&witness) == 60).await;
    assert_eq!((handled(&bus), bus.health().subscriptions[0].in_flight), (19, 1));
    bench.gate.open();
    bench.until_done(steps(0..60, 1..2)).await;
    assert_stops_with(bus, (60, 0, 0, 0, 0)).await;
    witness.shutdown(std::time::Duration::from_secs(20)).await.expect("clean");
}
