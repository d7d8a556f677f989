//! What becomes of a message that is to be tried again later, on memory as queues with the clock paused: what the bus does in which
//! order, and what it is told when it cannot.

mod support;

use std::time::Duration;

use gulo::dead_letter as dlq;
use gulo::dead_letter::Guard;
use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use gulo::message::Message;
use gulo::prelude::*;
use gulo::transport::Outcome;
use gulo::{ErrorKind, retry_later};

use support::{Gated, Paid, Step, eventually};

const RETRY: &str = "orders.billing.retry";
const DLQ: &str = "orders.billing.dlq";
const MINUTE: Duration = Duration::from_secs(60);

fn queues() -> Gated {
    Gated::on(MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue)))
}

fn billing() -> Subscription {
    Subscription::group("billing").retry(Retry::fixed(Duration::from_secs(1)).max_attempts(2)).retry_later([MINUTE; 2])
}

/// Step 1 of order 1 fails at its first two attempts, order 2 always.
async fn bill(
    Event(event): Event<Paid>,
    Attempt(attempt): Attempt,
    State(gated): State<Gated>,
) -> Result<(), HandlerError> {
    if event.order == 2 || (event.order, event.step) == (1, 1) && attempt < 3 {
        return Err(HandlerError::new("the ledger is closed"));
    }
    gated.note(Step::Handled(format!("{}.{}", event.order, event.step)));
    Ok(())
}

async fn start(gated: &Gated, subscription: Subscription) -> Bus {
    let bus = Bus::builder("shop").transport(gated.clone()).subscribe(subscription).state(gated.clone());
    bus.start().await.expect("starts")
}

async fn refused(transport: MemoryTransport, subscriptions: impl IntoIterator<Item = Subscription>) -> gulo::Error {
    let bus = Bus::builder("shop").transport(transport);
    let bus = subscriptions.into_iter().fold(bus, |bus, subscription| bus.subscribe(subscription));
    bus.start().await.map(drop).expect_err("it cannot start")
}

fn confirmed(topic: &str) -> Step {
    Step::Confirmed(topic.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_copy_for_later_is_confirmed_before_the_original_is_settled() {
    let gated = queues();
    let bus = start(&gated, billing().on(bill)).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    eventually("handled", || bus.health().subscriptions[0].counts.handled == 1).await;
    let report = bus.shutdown(MINUTE).await.expect("clean");
    let settled = Step::Settled(1);
    let expected = [confirmed("orders"), confirmed(RETRY), settled.clone(), Step::Handled("1.1".into()), settled];
    assert_eq!(gated.steps(), expected);
    assert!(report.to_string().contains("0 skipped, 1 postponed, 0 left"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_copy_for_later_that_is_not_confirmed_settles_nothing_and_parks_visibly() {
    let gated = queues();
    gated.fail(|message| (&*message.topic == RETRY).then_some((Outcome::Unknown, ErrorKind::TimedOut)));
    let bus = start(&gated, billing().concurrency(Concurrency::per_key(4)).on(bill)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(1, 2), Paid::of(3, 1)]).await.expect("confirmed");
    gated
        .until("offered again", |steps| steps.iter().filter(|step| **step == Step::Refused(RETRY.into())).count() > 3)
        .await;
    let health = bus.health();
    let trouble = health.subscriptions[0].degraded.as_deref().unwrap_or_default();
    assert!(trouble.starts_with("orders is parked, its copy for later is not taken: "), "{trouble}");
    assert_eq!(gated.steps().iter().filter(|step| matches!(step, Step::Settled(_))).count(), 1, "that of order 3");
    assert!(!gated.steps().contains(&Step::Handled("1.2".into())), "its key waits");
    gated.open();
    eventually("handled", || bus.health().subscriptions[0].counts.handled == 3).await;
    assert!(bus.health().is_up());
    bus.shutdown(MINUTE).await.expect("clean");
}

/// With what a dead letter needs less.
#[tokio::test(start_paused = true)]
async fn a_copy_for_later_that_is_too_large_is_a_dead_letter() {
    let gated = queues();
    gated.fail(|message| (&*message.topic == RETRY).then_some((Outcome::Refused, ErrorKind::TooLarge)));
    let bus = start(&gated, billing().on(bill)).await;
    bus.publish(Paid::of(2, 1)).await.expect("confirmed");
    eventually("a letter", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
    assert!(bus.health().is_up());
    let letters = gated.inner.faults().messages(DLQ);
    assert_eq!(letters[0].headers.get_str(dlq::REASON), Some("attempts-exhausted"));
    assert_eq!(letters[0].headers.get_str(dlq::ERROR), Some("the ledger is closed"));
    bus.shutdown(MINUTE).await.expect("clean");
}

/// One that failed for good would be forgotten if the other succeeded later.
#[tokio::test(start_paused = true)]
async fn where_one_of_several_handlers_failed_for_good_it_is_a_dead_letter_now() {
    let gated = queues();
    let hopeless = async |_: Event<Paid>| Err::<(), _>(HandlerError::new("no such account").permanent());
    let bus = start(&gated, billing().on(bill).on(hopeless)).await;
    bus.publish(Paid::of(2, 1)).await.expect("confirmed");
    eventually("a letter", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
    assert_eq!(bus.health().subscriptions[0].counts.postponed, 0);
    let letter = &gated.inner.faults().messages(DLQ)[0];
    let error = letter.headers.get_str(dlq::ERROR).expect("an error");
    assert!(error.contains("the ledger is closed") && error.contains("no such account"), "{error}");
    bus.shutdown(MINUTE).await.expect("clean");
}

#[tokio::test(start_paused = true)]
async fn where_everything_fails_a_topic_is_not_emptied_into_its_retry_topic() {
    let gated = queues();
    let guarded = billing().dead_letter(DeadLetter::topic().guard(Guard::in_a_row(3).pause(MINUTE * 60)));
    let bus = start(&gated, guarded.on(bill)).await;
    bus.publish_all((1..20).map(|step| Paid::of(2, step))).await.expect("confirmed");
    eventually("it stands still", || !bus.health().is_up()).await;
    tokio::time::sleep(MINUTE / 2).await;
    assert_eq!(bus.health().subscriptions[0].counts.postponed, 3);
    bus.shutdown(MINUTE).await.expect("clean");
}

/// How the parts of one wait add up: each delay has all attempts that the policy allows, and `max_elapsed` begins anew.
#[tokio::test(start_paused = true)]
async fn each_delay_has_the_attempts_and_the_time_of_the_policy() {
    let gated = queues();
    let policy = Retry::fixed(Duration::from_secs(1)).max_attempts(9).max_elapsed(Duration::from_secs(2));
    let bus = start(&gated, billing().retry(policy).on(bill)).await;
    bus.publish(Paid::of(2, 1)).await.expect("confirmed");
    eventually("a letter", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
    let letters = gated.inner.faults().messages(DLQ);
    assert_eq!(letters[0].headers.get_str(dlq::ATTEMPTS), Some("9"), "three, three times");
    bus.shutdown(MINUTE).await.expect("clean");
}

#[tokio::test]
async fn what_cannot_be_tried_later_is_told_at_start() {
    async fn any(_: Message) {}
    let later = |group: &str| Subscription::group(group).retry_later([MINUTE]);
    let queues = || MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    let error = refused(MemoryTransport::new(), [later("g").on_raw("a", any)]).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "`retry_later` of group g: transport `memory` does not offer `deliver_at` (do without it, or take a transport that has it)"
    );
    let named = |group: &str, topic: &'static str| {
        Subscription::group(group).retry_later(RetryLater::after([MINUTE]).topic_named(move |_, _| topic.to_owned()))
    };
    let help = "(give its retry topics names of their own: `RetryLater::topic_named`)";
    for (subscriptions, text) in [
        (vec![named("g", "a").on_raw("a", any)], "wait in `a`, which group g reads"),
        (
            vec![named("g", "b").on_raw("a", any), Subscription::group("h").on_raw("b", any)],
            "wait in `b`, which group h reads",
        ),
        (vec![named("g", "a.g.dlq").on_raw("a", any)], "wait in `a.g.dlq`, where the dead letters of group g go"),
        (vec![named("g", "r").on_raw("a", any), named("h", "r").on_raw("a", any)], "wait in `r`, as group h does"),
    ] {
        let error = refused(queues(), subscriptions).await;
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.to_string(), format!("group g has messages of `a` {text} {help}"));
    }
    let pattern = later("g").on_raw(TopicSelector::pattern("a.*"), any);
    let error = refused(queues(), [pattern]).await;
    assert!(error.to_string().starts_with("group g retries later and reads topics by the pattern `a.*`"), "{error}");
}

/// One retry topic for all topics of a group: each message says where it came from.
#[tokio::test(start_paused = true)]
async fn topics_of_a_group_may_share_a_retry_topic() {
    let gated = queues();
    let once = async |message: Message, Attempt(attempt): Attempt, State(gated): State<Gated>| {
        if attempt == 1 {
            return Err(HandlerError::new("not yet"));
        }
        gated.note(Step::Handled(message.topic.to_string()));
        Ok(())
    };
    let shared = RetryLater::after([MINUTE]).topic_named(|_, group| format!("{group}.later"));
    let subscription = Subscription::group("g").retry(Retry::never()).retry_later(shared).on_raw(["a", "b"], once);
    let bus = start(&gated, subscription).await;
    bus.send(vec![Message::new("a", "1"), Message::new("b", "2")]).await.expect("confirmed");
    eventually("handled", || bus.health().subscriptions[0].counts.handled == 2).await;
    assert!(gated.steps().contains(&confirmed("g.later")));
    for topic in ["a", "b"] {
        assert!(gated.steps().contains(&Step::Handled(topic.into())), "{:?}", gated.steps());
    }
    bus.shutdown(MINUTE).await.expect("clean");
}

/// Nobody else may write what is believed.
#[tokio::test(start_paused = true)]
async fn an_event_with_a_header_of_ours_is_not_sent() {
    let bus = start(&queues(), billing().on(bill)).await;
    let forged = Outgoing::new(Paid::of(1, 1)).header(retry_later::ROUND, "9");
    let error = bus.publish(forged).await.expect_err("it is refused").to_string();
    assert!(error.contains("header `retry-later-round` is written by the bus itself"), "{error}");
    bus.shutdown(MINUTE).await.expect("clean");
}
