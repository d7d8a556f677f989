//! Where dead letters go, and when there are too many of them.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::dead_letter::{self as dlq, Guard};
use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use gulo::message::Message;
use gulo::prelude::*;
use gulo::{Error, ErrorKind};
use tokio::time::sleep;

use support::{Gated, Paid, Step, eventually};

const DLQ: &str = "orders.billing.dlq";

/// Odd orders fail for good.
async fn odd_ones_fail(Event(event): Event<Paid>, State(gated): State<Gated>) -> Result<(), HandlerError> {
    if event.order % 2 == 1 {
        return Err(HandlerError::new("odd").permanent());
    }
    gated.note(Step::Handled(event.order.to_string()));
    Ok(())
}

async fn start(gated: &Gated, dead_letter: DeadLetter) -> Bus {
    let subscription = Subscription::group("billing").dead_letter(dead_letter).on(odd_ones_fail);
    let bus = Bus::builder("shop").transport(gated.clone()).topic("orders", |topic| topic.partitions(1));
    bus.subscribe(subscription).state(gated.clone()).start().await.expect("starts")
}

fn dead(bus: &Bus) -> u64 {
    bus.health().subscriptions[0].counts.dead_lettered
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_topic_may_be_named_otherwise_and_is_made() {
    let gated = Gated::new();
    let named = DeadLetter::topic_named(|topic, group| format!("dead.{group}.{topic}"));
    let bus = start(&gated, named).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    assert_eq!(gated.read("dead.billing.orders", 1).await[0].headers.get_str(dlq::ERROR), Some("odd"));
}

#[tokio::test(start_paused = true)]
async fn discarding_is_a_choice_and_is_counted() {
    let gated = Gated::new();
    let bus = start(&gated, DeadLetter::discard()).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(2, 1)]).await.expect("confirmed");
    gated.until("the next one", |steps| steps.contains(&Step::Handled("2".into()))).await;
    eventually("settled", || gated.inner.faults().lag("billing") == 0).await;
    assert_eq!(dead(&bus), 1);
    assert!(gated.inner.faults().messages(DLQ).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_taker_that_fails_or_panics_is_asked_again_and_nothing_is_settled_meanwhile() {
    let gated = Gated::new();
    let (asked, taken) = (Arc::new(Mutex::new(0)), Arc::<Mutex<Vec<Message>>>::default());
    let letters = Arc::clone(&taken);
    let taker = DeadLetter::custom(move |letter: Message| {
        let (asked, taken) = (Arc::clone(&asked), Arc::clone(&letters));
        async move {
            let times = {
                let mut asked = asked.lock().expect("whole");
                *asked += 1;
                *asked
            };
            assert!(times != 1, "the first time it panics");
            if times < 4 {
                return Err(Error::new(ErrorKind::Unavailable, "the database is away"));
            }
            taken.lock().expect("whole").push(letter);
            Ok(())
        }
    });
    let bus = start(&gated, taker).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    let parked = || bus.health().subscriptions[0].degraded.clone().is_some_and(|why| why.contains("database is away"));
    eventually("parked", parked).await;
    assert!(!gated.steps().iter().any(|step| matches!(step, Step::Settled(_))));
    eventually("taken", || dead(&bus) == 1).await;
    let taken = taken.lock().expect("whole");
    assert_eq!((taken.len(), taken[0].headers.get_str(dlq::REASON)), (1, Some("permanent")));
}

#[tokio::test(start_paused = true)]
async fn too_many_dead_letters_in_a_row_stop_their_lane_instead_of_emptying_the_topic() {
    for shape in [Shape::Log, Shape::Queue] {
        let gated = Gated::on(MemoryTransport::with(MemoryConfig::new().shape(shape).partitions(1)));
        let guard = Guard::in_a_row(5).pause(Duration::from_secs(60));
        let subscription = Subscription::group("billing")
            .concurrency(Concurrency::per_key(4))
            .dead_letter(DeadLetter::topic().guard(guard))
            .on(odd_ones_fail);
        let bus = Bus::builder("shop").transport(gated.clone()).subscribe(subscription).state(gated.clone());
        let bus = bus.start().await.expect("starts");
        bus.publish_all((0..40).map(|n| Paid::of(2 * n + 1, 1))).await.expect("confirmed");
        bus.publish_all((1..10).map(|n| Paid::of(2 * n, 1))).await.expect("confirmed");
        eventually("it stands still", || bus.health().subscriptions[0].degraded.is_some()).await;
        sleep(Duration::from_secs(30)).await;
        let why = bus.health().subscriptions[0].degraded.clone().expect("still");
        assert!(why.contains("too many dead letters") && why.contains("orders"), "{why}");
        // What was in work when it tripped still ends.
        let letters = dead(&bus);
        assert!((5..=8).contains(&letters), "{letters} letters, {shape:?}");
        sleep(Duration::from_secs(60)).await;
        assert!(dead(&bus) > letters && dead(&bus) < letters + 6, "one is a trial: {}", dead(&bus));
        // The bad ones end one by one, the good ones go through: nothing is lost, nothing twice.
        eventually("all came to their end", || dead(&bus) == 40 && bus.health().subscriptions[0].counts.handled == 9)
            .await;
        assert_eq!(gated.inner.faults().messages(DLQ).len(), 40, "{shape:?}");
        sleep(Duration::from_secs(120)).await;
        assert_eq!((gated.inner.faults().lag("billing"), bus.health().is_up()), (0, true));
    }
}
