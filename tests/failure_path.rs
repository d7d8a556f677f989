//! What becomes of a message that cannot be handled: promises 1 and 3 of the delivery contract, on the memory transport
//! with its clock paused.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use gulo::bus::Unhandled;
use gulo::dead_letter as dlq;
use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use gulo::message::Message;
use gulo::prelude::*;
use gulo::transport::Outcome;
use gulo::{ErrorKind, envelope};

use support::{Gated, Paid, Step, eventually};

const DLQ: &str = "orders.billing.dlq";

fn handled(event: &Paid) -> Step {
    Step::Handled(format!("{}.{}", event.order, event.step))
}

/// Fails step 1 of order 1 for ever; notes the others.
async fn fails_one(Event(event): Event<Paid>, State(gated): State<Gated>) -> Result<(), HandlerError> {
    if (event.order, event.step) == (1, 1) {
        return Err(HandlerError::new("the ledger is closed"));
    }
    gated.note(handled(&event));
    Ok(())
}

async fn start(gated: &Gated, subscription: Subscription) -> Bus {
    let bus = Bus::builder("shop").transport(gated.clone()).subscribe(subscription).state(gated.clone());
    bus.start().await.expect("starts")
}

fn billing() -> Subscription {
    Subscription::group("billing").retry(Retry::fixed(Duration::from_secs(1)).max_attempts(3))
}

fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    message.headers.get_str(name).unwrap_or("missing")
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_is_retried_in_place_and_what_is_behind_it_waits() {
    let gated = Gated::new();
    let tries = Arc::new(AtomicU32::new(0));
    let second_try_succeeds =
        async |Event(event): Event<Paid>, Attempt(attempt): Attempt, State(tries): State<Arc<AtomicU32>>| {
            tries.fetch_add(1, SeqCst);
            if event.step == 1 && attempt == 1 { Err(HandlerError::new("not yet")) } else { Ok(event) }
        };
    // The closure's answer is noted by a handler, to see the order in which effects happen.
    let handler =
        move |event: Event<Paid>, attempt: Attempt, tries: State<Arc<AtomicU32>>, State(gated): State<Gated>| {
            let answer = second_try_succeeds(event, attempt, tries);
            async move { answer.await.map(|event| gated.note(handled(&event))) }
        };
    let bus = Bus::builder("shop").transport(gated.clone()).subscribe(billing().on(handler));
    let bus = bus.state(gated.clone()).state(Arc::clone(&tries)).start().await.unwrap();
    bus.publish_all([Paid::of(1, 1), Paid::of(1, 2), Paid::of(1, 3)]).await.unwrap();
    gated.until("three handled", |steps| steps.contains(&handled(&Paid::of(1, 3)))).await;
    let effects: Vec<_> = gated.steps().into_iter().filter(|step| matches!(step, Step::Handled(_))).collect();
    assert_eq!(effects, [Paid::of(1, 1), Paid::of(1, 2), Paid::of(1, 3)].map(|event| handled(&event)));
    assert_eq!(tries.load(SeqCst), 4);
    let report = bus.shutdown(Duration::from_secs(10)).await.unwrap();
    let counts = report.subscriptions[0].counts;
    assert_eq!((counts.handled, counts.retried, counts.dead_lettered), (3, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_settled_only_after_its_effect() {
    let gated = Gated::new();
    let slow = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        gated.note(handled(&event));
    };
    let _bus = start(&gated, billing().on(slow)).await;
    gated.publish_raw(event_message(&Paid::of(1, 1))).await;
    gated.until("settled", |steps| steps.contains(&Step::Settled(1))).await;
    assert_eq!(gated.steps(), [handled(&Paid::of(1, 1)), Step::Settled(1)]);
}

fn event_message(event: &Paid) -> Message {
    let meta = EventMeta::of(event, "elsewhere");
    let mut message =
        Message::new("orders", serde_json::to_vec(event).expect("encodes")).key(event.key().expect("a key"));
    message.headers = envelope::write(&meta, "application/json");
    message
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_confirmed_before_the_original_is_settled() {
    let gated = Gated::new();
    let _bus = start(&gated, billing().on(fails_one)).await;
    gated.publish_raw(event_message(&Paid::of(1, 1))).await;
    gated.until("settled", |steps| steps.contains(&Step::Settled(1))).await;
    assert_eq!(gated.steps(), [Step::Confirmed(DLQ.into()), Step::Settled(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_not_confirmed_settles_nothing_and_parks_visibly() {
    for (outcome, kind) in [
        (Outcome::Refused, ErrorKind::Missing),
        (Outcome::NotSent, ErrorKind::Unavailable),
        (Outcome::Unknown, ErrorKind::TimedOut),
    ] {
        let gated = Gated::new();
        gated.fail(move |message| (&*message.topic == DLQ).then_some((outcome, kind)));
        let bus = start(&gated, billing().on(fails_one)).await;
        bus.publish_all([Paid::of(1, 1), Paid::of(1, 2)]).await.unwrap();
        let refusals = |steps: &[Step]| steps.iter().filter(|step| **step == Step::Refused(DLQ.into())).count();
        gated.until("tried again and again", |steps| refusals(steps) > 5).await;
        assert!(!gated.steps().iter().any(|step| matches!(step, Step::Settled(_))), "{outcome:?}");
        let trouble = bus.health().subscriptions[0].degraded.clone().expect("health says so");
        assert!(trouble.contains("parked") && trouble.contains("orders["), "{trouble}");
        assert!(!bus.health().is_up());

        gated.open();
        gated.until("goes on", |steps| steps.contains(&handled(&Paid::of(1, 2)))).await;
        assert_eq!(bus.health().subscriptions[0].degraded, None);
        assert_eq!(gated.read(DLQ, 1).await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_message_is_left_at_shutdown_and_comes_again() {
    let gated = Gated::new();
    gated.fail(|message| (&*message.topic == DLQ).then_some((Outcome::NotSent, ErrorKind::Unavailable)));
    let bus = start(&gated, billing().on(fails_one)).await;
    bus.publish(Paid::of(1, 1)).await.unwrap();
    gated.until("parked", |steps| steps.contains(&Step::Refused(DLQ.into()))).await;
    let report = bus.shutdown(Duration::from_secs(10)).await.unwrap();
    assert_eq!(report.subscriptions[0].left, 1);
    assert!(support::redelivered(&gated, "billing").await.contains(&(1, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_has_the_exact_bytes_the_original_headers_and_the_reason() {
    let gated = Gated::new();
    let bus = start(&gated, billing().on(fails_one)).await;
    let original = event_message(&Paid::of(1, 1)).header("mine", "kept");
    gated.publish_raw(original.clone()).await;
    let letter = gated.read(DLQ, 1).await.remove(0);
    assert_eq!((&letter.key, &letter.payload), (&original.key, &original.payload));
    assert_eq!(header(&letter, "mine"), "kept");
    assert_eq!(header(&letter, envelope::TYPE), "order.paid");
    assert_eq!(header(&letter, dlq::REASON), "attempts-exhausted");
    assert_eq!(header(&letter, dlq::ERROR), "the ledger is closed");
    assert_eq!(header(&letter, dlq::ATTEMPTS), "3");
    assert_eq!(header(&letter, dlq::ORIGIN_TOPIC), "orders");
    assert_eq!(header(&letter, dlq::ORIGIN_OFFSET), "0");
    assert_eq!(header(&letter, dlq::ORIGIN_GROUP), "billing");
    eventually("counted", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_a_dead_letter_at_once() {
    let gated = Gated::new();
    let refuses = async |Event(_): Event<Paid>| Err::<(), _>(HandlerError::new("no such order").permanent());
    let bus = start(&gated, billing().on(refuses)).await;
    bus.publish(Paid::of(1, 1)).await.unwrap();
    let letter = gated.read(DLQ, 1).await.remove(0);
    assert_eq!((header(&letter, dlq::REASON), header(&letter, dlq::ATTEMPTS)), ("permanent", "1"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_like_any_other() {
    let gated = Gated::new();
    let panics = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        assert!(event.order != 1, "order {} is unlucky", event.order);
        gated.note(handled(&event));
    };
    let bus = start(&gated, billing().on(panics)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(2, 1)]).await.unwrap();
    let letter = gated.read(DLQ, 1).await.remove(0);
    assert_eq!(header(&letter, dlq::ERROR), "handler panicked: order 1 is unlucky");
    assert_eq!(header(&letter, dlq::ATTEMPTS), "3");
    gated.until("the others go on", |steps| steps.contains(&handled(&Paid::of(2, 1)))).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_a_dead_letter_with_its_raw_bytes_and_the_topic_goes_on() {
    let typed = |payload: &'static [u8]| Message::new("orders", payload).header(envelope::TYPE, "order.paid");
    let cases = [
        (typed(b"\xff\x00 no json"), "payload is not JSON"),
        (typed(br#"{"order":"x","step":1}"#), "invalid type: string, expected u32"),
        (typed(b"{}").header("content-type", "text/xml"), "content type is `text/xml`"),
        (typed(b"{}").header("ce_dataversion", "7"), "version 7 of `order.paid` is not supported, the handler takes 1"),
        (typed(b"{}").header("ce_dataversion", "new"), "`ce_dataversion` is not a whole number"),
        (typed(b""), "payload ends too early"),
    ];
    for (message, reason) in cases {
        let gated = Gated::new();
        let _bus = start(&gated, billing().on(fails_one)).await;
        gated.publish_raw(message.clone().key("1")).await;
        gated.publish_raw(event_message(&Paid::of(1, 2))).await;
        let letter = gated.read(DLQ, 1).await.remove(0);
        assert_eq!(letter.payload, message.payload);
        assert_eq!((header(&letter, dlq::REASON), header(&letter, dlq::ATTEMPTS)), ("undecodable", "0"));
        assert!(header(&letter, dlq::ERROR).contains(reason), "{}", header(&letter, dlq::ERROR));
        gated.until("the topic goes on", |steps| steps.contains(&handled(&Paid::of(1, 2)))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_type_without_a_handler_is_skipped_and_counted_or_a_dead_letter_by_choice() {
    for choice in [Unhandled::Skip, Unhandled::DeadLetter] {
        let gated = Gated::new();
        let bus = start(&gated, billing().on(fails_one).unhandled(choice)).await;
        gated.publish_raw(Message::new("orders", "{}").key("1").header(envelope::TYPE, "order.lost")).await;
        eventually("it came to its end", || {
            let counts = bus.health().subscriptions[0].counts;
            (counts.skipped, counts.dead_lettered) == if choice == Unhandled::Skip { (1, 0) } else { (0, 1) }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_is_skipped_and_never_a_decode_error() {
    let gated = Gated::new();
    let bus = start(&gated, billing().on(fails_one)).await;
    gated.publish_raw(Message::tombstone("orders").key("1")).await;
    eventually("skipped", || bus.health().subscriptions[0].counts.skipped == 1).await;
    assert_eq!(bus.health().subscriptions[0].counts.dead_lettered, 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_any_header_of_ours_is_handled_where_the_group_has_one_type() {
    let gated = Gated::new();
    let _bus = start(&gated, billing().on(fails_one)).await;
    gated.publish_raw(Message::new("orders", r#"{"order":5,"step":1}"#)).await;
    gated.until("handled", |steps| steps.contains(&handled(&Paid::of(5, 1)))).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_refused_as_too_large_is_cut_to_origin_and_reason() {
    a_dead_letter_is_cut(ErrorKind::TooLarge).await;
}

/// A header that somebody else wrote, and that this broker does not take from us.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_a_transport_cannot_carry_is_cut_to_origin_and_reason() {
    a_dead_letter_is_cut(ErrorKind::Unsupported).await;
}

async fn a_dead_letter_is_cut(refused: ErrorKind) {
    let gated = Gated::new();
    gated.fail(move |message| {
        let full = &*message.topic == DLQ && message.headers.get(dlq::ERROR).is_some();
        full.then_some((Outcome::Refused, refused))
    });
    let _bus = start(&gated, billing().on(fails_one)).await;
    let original = event_message(&Paid::of(1, 1)).header("long", "x".repeat(1000));
    gated.publish_raw(original.clone()).await;
    let letter = gated.read(DLQ, 1).await.remove(0);
    assert_eq!(letter.payload, original.payload);
    assert_eq!((header(&letter, "long"), header(&letter, dlq::ORIGIN_TOPIC)), ("missing", "orders"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_kept_on_a_broker_of_queues_that_nobody_reads() {
    let gated = Gated::on(MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue)));
    let bus = start(&gated, billing().on(fails_one)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(1, 2)]).await.unwrap();
    gated.until("the group goes on", |steps| steps.contains(&handled(&Paid::of(1, 2)))).await;
    assert_eq!(gated.inner.faults().messages(DLQ).len(), 1);
}
