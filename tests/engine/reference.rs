//! Bugs of the system that this one is to surpass, by the numbers of their list, each of them not here. Those that need no
//! broker are in `tests/reference_bugs.rs`.

use std::sync::Arc;
use std::time::Duration;

use gulo::dead_letter as dlq;
use gulo::domain::{DomainEvent, Events, NotCollected};
use gulo::mapper::EventMapper;
use gulo::mediator::{Mediate, Mediator, Request, RequestErrorKind};
use gulo::message::Message;
use gulo::prelude::*;
use gulo::publishing::{OnPublishFailure, integration_event_mediator};

use crate::bench::{Bench, assert_stops_with, header};
use crate::shared::{Gate, Log, Step, step};

async fn first_fails(
    Event(step): Event<Step>,
    attempt: Attempt,
    State(log): State<Log>,
    State(gate): State<Gate>,
) -> Result<(), HandlerError> {
    log.attempt(step, attempt);
    if step.order == 1 && !gate.is_open() {
        return Err(HandlerError::new("the mail server is busy"));
    }
    log.done(step);
    Ok(())
}

/// There: handled 1, 2, 3 where 1 fails, the success of 2 and 3 was committed, past 1, which nobody tried again.
pub async fn reference_bug_01_failed_message_is_not_lost(bench: Bench) {
    let group = || {
        let retry = Retry::fixed(Duration::from_millis(200)).max_attempts(1000);
        bench.subscription().concurrency(Concurrency::per_key(8)).retry(retry).on(first_fails)
    };
    let bus = bench.start(group()).await;
    bus.publish_all([step(1, 1), step(2, 1), step(3, 1)]).await.expect("confirmed");
    bench.until_done([step(2, 1), step(3, 1)]).await;
    bench.until("it is tried again", || bench.log.attempts_at(step(1, 1)).len() > 2).await;
    let report = bus.shutdown(Duration::from_secs(20)).await.expect("clean");
    assert_eq!(report.subscriptions[0].left, 1, "{report}");

    bench.gate.open();
    let bus = bench.start(group()).await;
    bench.until_done([step(1, 1)]).await;
    bus.shutdown(Duration::from_secs(20)).await.expect("clean");
    assert_eq!(bench.log.with(" done"), ["2.1 done", "3.1 done", "1.1 done"], "each once");
    assert_eq!(bench.redelivered().await, []);
}

/// There: the class was published to `integration-events.user_created_integration_event`, and its guide subscribed to
/// `integration-events.user_created`. Here the topic is said once, by the event.
pub async fn reference_bug_03_who_handles_an_event_reads_where_it_is_published(bench: Bench) {
    let bus = bench.start(bench.subscription().on(first_fails)).await;
    assert_eq!(bus.topic_of::<Step>().expect("named"), bench.topic);
    bus.publish(step(2, 1)).await.expect("confirmed");
    bench.until_done([step(2, 1)]).await;
    assert_stops_with(bus, (1, 0, 0, 0, 0)).await;
}

/// There: the dead-letter queue was a line in the log.
pub async fn reference_bug_06_a_dead_letter_is_published_and_confirmed(bench: Bench) {
    let retry = Retry::fixed(Duration::from_millis(10)).max_attempts(3);
    let bus = bench.start(bench.subscription().retry(retry).on(first_fails)).await;
    bus.publish_all([step(1, 1), step(2, 1)]).await.expect("confirmed");
    bench.until_done([step(2, 1)]).await;
    bench.until("given up", || bench.log.attempts_at(step(1, 1)).len() == 3).await;
    assert_stops_with(bus, (1, 2, 1, 0, 0)).await;
    let letters = bench.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].payload.as_deref(), Some(&br#"{"order":1,"number":1}"#[..]));
    let said = [dlq::REASON, dlq::ERROR, dlq::ATTEMPTS].map(|name| header(&letters[0], name));
    assert_eq!(said, ["attempts-exhausted", "the mail server is busy", "3"]);
    assert_eq!(bench.redelivered().await, []);
}

struct Advance(Step);
impl Request for Advance {
    type Response = ();
}

struct Advanced(Step);
impl DomainEvent for Advanced {}

async fn advance(Advance(step): Advance, events: Events) -> Result<(), NotCollected> {
    events.raise(Advanced(step))
}

/// There: an event that could not be published after its request was a line in the log. (Here one that is too large: a broker
/// that is away is no other case, but takes longer.)
pub async fn reference_bug_07_a_publish_that_fails_after_the_handler_is_not_swallowed(bench: Bench) {
    let mut limits = Limits::default();
    limits.payload_bytes = 30;
    let bus = bench.bus(bench.subscription().on(first_fails)).limits(limits).start().await.expect("starts");
    let mediator = Mediator::builder().handle(advance).build().expect("builds");
    let mapper = EventMapper::new().map(|Advanced(step): &Advanced| *step);
    let mediator =
        integration_event_mediator(mediator, Arc::new(bus.publisher()), mapper, OnPublishFailure::FailRequest);
    let mediator = mediator.expect("sets up");
    let error = mediator.send(Advance(step(u32::MAX, u32::MAX))).await.expect_err("too large");
    assert_eq!(error.kind(), RequestErrorKind::NotPublished);
    assert_eq!(error.unsent().expect("says what").failed.len(), 1);
    mediator.send(Advance(step(2, 1))).await.expect("published");
    bench.until_done([step(2, 1)]).await;
    assert_stops_with(bus, (1, 0, 0, 0, 0)).await;
}

/// There: it was read again every five seconds, for ever, and nothing behind it ever was.
pub async fn reference_bug_09_a_poison_payload_does_not_stop_its_partition(bench: Bench) {
    let bus = bench.start(bench.subscription().on(first_fails)).await;
    let poison = Message::new(bench.topic.clone(), &b"\xff{not json"[..]).key("2");
    bench.send(vec![poison.clone(), bench.message(step(2, 1))]).await;
    bench.until_done([step(2, 1)]).await;
    assert_stops_with(bus, (1, 0, 1, 0, 0)).await;
    let letters = bench.letters().await;
    assert_eq!(letters[0].payload, poison.payload);
    assert_eq!(header(&letters[0], dlq::REASON), "undecodable");
    assert_eq!(bench.redelivered().await, []);
}

/// What a service has open while it runs, and closes when its bus has stopped.
#[derive(Clone, Default)]
struct Database(Arc<std::sync::atomic::AtomicBool>);

async fn stores(
    Event(step): Event<Step>,
    State(log): State<Log>,
    State(gate): State<Gate>,
    State(Database(closed)): State<Database>,
) {
    log.note(format!("{} begun", step.number));
    gate.pass().await;
    assert!(!closed.load(std::sync::atomic::Ordering::SeqCst), "closed under a handler");
    log.done(step);
}

/// There: the database was closed first, and what was in work was cancelled in the middle.
pub async fn reference_bug_11_what_is_in_work_finishes_before_the_service_closes_anything(bench: Bench) {
    let database = Database::default();
    let bus = bench.bus(bench.subscription().on(stores)).state(database.clone()).start().await.expect("starts");
    bus.publish(step(2, 1)).await.expect("confirmed");
    bench.until("begun", || bench.log.has("1 begun")).await;
    let gate = bench.gate.clone();
    let later = async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        gate.open();
    };
    let (report, ()) = tokio::join!(bus.shutdown(Duration::from_secs(20)), later);
    database.0.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(report.expect("clean").subscriptions[0].counts.handled, 1);
    assert_eq!(bench.log.texts(), ["1 begun", "2.1 done"]);
    assert_eq!(bench.redelivered().await, []);
}
