//! Attempts later than memory should hold a message for: it waits on the broker, in a topic of the group's own.

use std::sync::Arc;
use std::time::Duration;

use gulo::dead_letter::{self as dlq};
use gulo::message::Message;
use gulo::prelude::*;
use gulo::retry_later;
use gulo::transport::{GroupSpec, Topics, Topology, TopologyMode};
use tokio::time::Instant;

use crate::bench::{Bench, assert_stops_with, header, headers};
use crate::hindered::{Hindered, Way};
use crate::shared::{Log, Step, step};

const ROUND: Duration = Duration::from_millis(400);

/// How much longer than it should a wait may take.
const SLACK: Duration = Duration::from_secs(5);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// As those of [`Bench::assert_waits`]. A delivery time is one of the calendar, which goes on where the clock stands: a little of what
/// is waited for is over when it begins.
fn assert_waits(bench: &Bench, instants: &[Instant], expected: &[u64]) {
    let (waits, slack) = (instants.windows(2).map(|pair| pair[1] - pair[0]), ms(if bench.paused { 100 } else { 0 }));
    let waits: Vec<Duration> = waits.collect();
    assert_eq!(waits.len(), expected.len(), "{waits:?}");
    for (wait, expected) in waits.iter().zip(expected) {
        let expected = ms(*expected);
        assert!(*wait + slack >= expected && *wait < expected + SLACK, "{wait:?} instead of {expected:?}: {waits:?}");
    }
}

/// Two attempts, and two more after each of `rounds` delays.
fn group(bench: &Bench, rounds: usize) -> Subscription {
    let subscription = bench.subscription().retry(Retry::fixed(ms(50)).max_attempts(2));
    subscription.retry_later(vec![ROUND; rounds])
}

/// Order 1 succeeds at the seventh attempt, order 2 never, order 3 at once, order 4 never will.
async fn handler(Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>) -> Result<(), HandlerError> {
    log.attempt(step, attempt);
    match step.order {
        1 if step.number == 1 && attempt.0 < 7 => Err(HandlerError::new("not yet")),
        2 => Err(HandlerError::new("never")),
        4 => Err(HandlerError::new("hopeless").permanent()),
        _ => {
            log.done(step);
            Ok(())
        }
    }
}

pub async fn a_message_is_tried_again_after_each_delay_until_it_succeeds(bench: Bench) {
    let bus = bench.start(group(&bench, 3).on(handler)).await;
    bus.publish(step(1, 1)).await.expect("confirmed");
    bench.until_done([step(1, 1)]).await;
    assert_waits(&bench, &bench.log.attempts_at(step(1, 1)), &[50, 400, 50, 400, 50, 400]);
    let attempts: Vec<_> = (1..=7).map(|attempt| format!("1.1 attempt {attempt}")).collect();
    assert_eq!(bench.log.with("attempt"), attempts);
    assert_eq!(bus.health().subscriptions[0].counts.postponed, 3);
    assert_stops_with(bus, (1, 6, 0, 0, 0)).await;
    assert_eq!(bench.letters().await, []);
}

pub async fn when_all_delays_are_used_up_it_is_a_dead_letter_of_its_own_topic(bench: Bench) {
    let bus = bench.start(group(&bench, 2).on(handler)).await;
    let mut message = bench.message(step(2, 1)).header("mine", "1");
    message.timestamp = Some(std::time::UNIX_EPOCH + ms(1_700_000_000_123));
    let before = chrono::Utc::now();
    bench.send(vec![message.clone()]).await;
    bench.until("a letter", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
    let counts = bus.health().subscriptions[0].counts;
    assert_eq!((counts.postponed, counts.retried, counts.handled), (2, 5, 0));
    assert_waits(&bench, &bench.log.attempts_at(step(2, 1)), &[50, 400, 50, 400, 50]);
    bus.shutdown(Duration::from_secs(20)).await.expect("clean");
    let letters = bench.letters().await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((&letter.key, &letter.payload), (&message.key, &message.payload));
    let said = [dlq::REASON, dlq::ERROR, dlq::ORIGIN_TOPIC, dlq::ORIGIN_GROUP, dlq::ATTEMPTS, dlq::ORIGIN_TIMESTAMP];
    let said = said.map(|name| header(letter, name));
    let origin = ["attempts-exhausted", "never", &*bench.topic, &*bench.group, "6", "2023-11-14T22:13:20.123Z"];
    assert_eq!(said, origin);
    let time = |name| chrono::DateTime::parse_from_rfc3339(header(letter, name)).expect("a time");
    let (first, last) = (time(dlq::FIRST_FAILED_AT), time(dlq::LAST_FAILED_AT));
    assert!(first >= before - ms(1), "{first}");
    // With a clock of the test's own no time goes by that people could read.
    assert!(bench.paused || last - first >= chrono::TimeDelta::milliseconds(800), "{first} to {last}");
    let ours: Vec<_> = headers(letter).into_iter().filter(|(name, _)| name.starts_with(retry_later::PREFIX)).collect();
    assert_eq!(ours, []);
    assert_eq!(header(letter, "mine"), "1");
}

pub async fn what_failed_for_good_or_cannot_be_read_does_not_wait(bench: Bench) {
    let bus = bench.start(group(&bench, 2).on(handler)).await;
    let unreadable = Message { payload: Some("{".into()), ..bench.message(step(3, 1)) };
    bench.send(vec![bench.message(step(4, 1)), unreadable]).await;
    bench.until("letters", || bus.health().subscriptions[0].counts.dead_lettered == 2).await;
    assert_eq!(bus.health().subscriptions[0].counts.postponed, 0);
    assert_stops_with(bus, (0, 0, 2, 0, 0)).await;
    let reasons: Vec<_> = bench.letters().await.iter().map(|letter| header(letter, dlq::REASON).to_owned()).collect();
    assert_eq!(reasons, ["permanent", "undecodable"]);
}

/// Its key goes on at once, and one that comes again later is behind what came after it.
pub async fn later_messages_of_its_key_go_on_meanwhile(bench: Bench) {
    // Long enough for a broker that is busy.
    let subscription = group(&bench, 0).retry_later([ms(2000); 3]).concurrency(Concurrency::per_key(4));
    let bus = bench.start(subscription.on(handler)).await;
    bus.publish_all([step(1, 1), step(1, 2), step(1, 3)]).await.expect("confirmed");
    bench.until_done([step(1, 1), step(1, 2), step(1, 3)]).await;
    assert_eq!(bench.log.with("done"), ["1.2 done", "1.3 done", "1.1 done"]);
    let texts = bench.log.texts();
    let place = |text: &str| texts.iter().position(|have| have == text).expect("it is there");
    assert!(place("1.1 attempt 2") < place("1.2 attempt 1"), "until then they waited: {texts:?}");
    assert!(place("1.3 done") < place("1.1 attempt 3"), "and no longer: {texts:?}");
    assert_stops_with(bus, (3, 6, 0, 0, 0)).await;
}

pub async fn another_group_hears_nothing_of_it(bench: Bench) {
    let other: Arc<str> = format!("other-{}", bench.group).into();
    let quiet = async |Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>| {
        log.note(format!("other {}.{} attempt {}", step.order, step.number, attempt.0));
    };
    let bus = bench.bus(group(&bench, 3).on(handler)).subscribe(Subscription::group(other).on(quiet));
    let bus = bus.start().await.expect("starts");
    bus.publish(step(1, 1)).await.expect("confirmed");
    bench.until_done([step(1, 1)]).await;
    assert_eq!(bench.log.with("other"), ["other 1.1 attempt 1"]);
    bus.shutdown(Duration::from_secs(20)).await.expect("clean");
}

/// It gets the message each time as it was sent, and is told the topic it was sent to.
pub async fn a_handler_sees_nothing_of_how_it_came(bench: Bench) {
    let look = async |message: Message, origin: Origin, attempt: Attempt, State(log): State<Log>| {
        let names: Vec<_> = headers(&message).into_iter().map(|(name, _)| name).collect();
        log.note(format!("{names:?} {} {:?} {origin}", message.topic, message.timestamp));
        if attempt.0 < 5 { Err(HandlerError::new("not yet")) } else { Ok(()) }
    };
    let bus = bench.start(group(&bench, 3).on_raw(bench.topic.clone(), look)).await;
    bench.send(vec![bench.message(step(1, 1)).header("mine", "1").header("a", "2")]).await;
    bench.until("handled", || bus.health().subscriptions[0].counts.handled == 1).await;
    let seen = bench.log.texts();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|text| *text == seen[0]), "{seen:#?}");
    assert!(!seen[0].contains(retry_later::PREFIX) && seen[0].contains(&*bench.topic), "{seen:#?}");
    bus.shutdown(Duration::from_secs(20)).await.expect("clean");
}

/// Whoever can write to the retry topic gets no more than the attempts there are, and nothing is lost by what he writes.
pub async fn what_others_write_into_a_retry_topic_does_no_harm(bench: Bench) {
    let bus = bench.start(group(&bench, 1).on(handler)).await;
    let retry = retry_later::topic_name(&bench.topic, &bench.group);
    let forged = |values: [&str; 5]| {
        let mut message = Message { topic: retry.clone(), ..bench.message(step(2, 1)) };
        let names = [
            retry_later::ROUND,
            retry_later::ATTEMPTS,
            retry_later::ORIGIN_TOPIC,
            retry_later::ORIGIN_OFFSET,
            retry_later::FIRST_FAILED_AT,
        ];
        for (name, value) in names.into_iter().zip(values) {
            message = message.header(name, value.to_owned());
        }
        message
    };
    let bare = Message { topic: retry.clone(), ..bench.message(step(3, 1)) };
    let messages = vec![
        forged(["4294967295", "4294967295", "no-such-topic", "-7", "2999-01-01T00:00:00Z"]),
        forged(["-1", "many", "", "x", "yesterday"]),
        // As we would write it.
        forged(["1", "7", &bench.topic, "", "2020-01-02T03:04:05Z"]),
        bare,
    ];
    bench.send(messages).await;
    bench.until_done([step(3, 1)]).await;
    bench.until("letters", || bus.health().subscriptions[0].counts.dead_lettered == 3).await;
    let counts = bus.health().subscriptions[0].counts;
    assert_eq!((counts.handled, counts.postponed), (1, 1), "the second one has its delay");
    bus.shutdown(Duration::from_secs(20)).await.expect("clean");
    let letters = bench.letters().await;
    let said = |letter: &Message| [dlq::ORIGIN_TOPIC, dlq::REASON].map(|name| header(letter, name).to_owned());
    assert!(letters.iter().all(|letter| said(letter) == [&bench.topic, "attempts-exhausted"]), "{letters:?}");
    let ours = letters.iter().find(|letter| header(letter, dlq::FIRST_FAILED_AT) == "2020-01-02T03:04:05.000Z");
    assert_eq!(ours.map(|letter| header(letter, dlq::ATTEMPTS)), Some("9"), "{letters:?}");
}

/// Those of several handlers that have done their part are not called again.
pub async fn of_several_handlers_only_those_that_failed_are_called_later(bench: Bench) {
    let steady = async |Event(step): Event<Step>, State(log): State<Log>| log.note(format!("steady {}", step.order));
    let bus = bench.start(group(&bench, 3).on(handler).on(steady)).await;
    bus.publish(step(1, 1)).await.expect("confirmed");
    bench.until_done([step(1, 1)]).await;
    bench.until("handled", || bus.health().subscriptions[0].counts.handled == 1).await;
    assert_eq!(bench.log.with("steady"), ["steady 1"]);
    assert_eq!(bench.log.with("attempt").len(), 7);
    assert_stops_with(bus, (1, 6, 0, 0, 0)).await;
}

/// A bus whose way to its retry topic is hindered.
async fn hindered(bench: &Bench, way: Way) -> (Bus, Hindered) {
    let hindered = Hindered::new(bench.client(), retry_later::topic_name(&bench.topic, &bench.group), way);
    let subscription = group(bench, 3).concurrency(Concurrency::per_key(4)).on(handler);
    let bus = bench.bus(subscription).transport(hindered.clone()).start().await.expect("starts");
    (bus, hindered)
}

pub async fn a_copy_for_later_that_is_not_taken_settles_nothing_and_is_offered_again(bench: Bench) {
    let (bus, hindered) = hindered(&bench, Way::Shut).await;
    bus.publish_all([step(1, 1), step(1, 2), step(3, 1)]).await.expect("confirmed");
    bench.until("it is offered again", || hindered.tried() > 2).await;
    let trouble = bus.health().subscriptions[0].degraded.clone().unwrap_or_default();
    assert!(trouble.contains("is parked, its copy for later is not taken"), "{trouble}");
    assert!(trouble.contains("the way is shut") && trouble.contains(&*bench.topic), "{trouble}");
    bench.until_done([step(3, 1)]).await;
    assert!(!bench.log.has("1.2 attempt 1"), "its key waits: nothing of it is anywhere else yet");
    assert_eq!(bus.health().subscriptions[0].counts.postponed, 0);
    drop(bus);
    // Nothing of it was settled: it is all there, for a bus that has its way.
    let (bus, _) = self::hindered(&bench, Way::Open).await;
    bench.until_done([step(1, 1), step(1, 2)]).await;
    assert!(bus.health().is_up(), "{:?}", bus.health());
    bus.shutdown(Duration::from_secs(20)).await.expect("clean");
}

/// The copy stands there, and the bus is gone before it could settle.
pub async fn a_crash_between_copy_and_settle_may_double_and_never_loses(bench: Bench) {
    let (bus, hindered) = hindered(&bench, Way::Silent).await;
    bus.publish(step(1, 1)).await.expect("confirmed");
    bench.until("the copy is there", || hindered.tried() == 1).await;
    drop(bus);
    let (bus, _) = self::hindered(&bench, Way::Open).await;
    bench.until("both", || bench.log.with("1.1 done").len() == 2).await;
    assert_stops_with(bus, (2, 11, 0, 0, 0)).await;
    assert_eq!(bench.redelivered().await, []);
}

pub async fn what_waits_outlives_its_bus(bench: Bench) {
    let patient = || bench.subscription().retry(Retry::fixed(ms(50)).max_attempts(2)).retry_later([ms(2000); 3]);
    let bus = bench.start(patient().on(handler)).await;
    bus.publish(step(1, 1)).await.expect("confirmed");
    bench.until("it waits", || bus.health().subscriptions[0].counts.postponed == 1).await;
    assert_stops_with(bus, (0, 1, 0, 0, 0)).await;
    let bus = bench.start(patient().on(handler)).await;
    bench.until_done([step(1, 1)]).await;
    let attempts: Vec<_> = (1..=7).map(|attempt| format!("1.1 attempt {attempt}")).collect();
    assert_eq!(bench.log.with("attempt"), attempts);
    assert_stops_with(bus, (1, 5, 0, 0, 0)).await;
}

/// A topic that does not exist yet, of which one group retries later: all that is missing is named.
pub async fn a_retry_topic_that_is_missing_is_named_at_start(bench: Bench) {
    let reads = GroupSpec { group: bench.group.clone(), topics: Topics::Named(vec![bench.topic.clone()]) };
    let topology = Topology { mode: TopologyMode::Create, topics: Vec::new(), groups: vec![reads] };
    bench.client().ensure(&topology).await.expect("the topic is made");
    bench.make_topic(&bench.letters_topic()).await;
    let bus = bench.bus(group(&bench, 1).on(handler)).topology(TopologyMode::Check).start().await;
    let error = bus.expect_err("one is missing").to_string();
    // Long names are cut in the middle.
    let retry = retry_later::topic_name(&bench.topic, &bench.group);
    assert!(error.contains(&retry[retry.len() - 20..]), "{error}");
}
