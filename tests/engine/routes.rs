//! Which handlers a message is for: several of one type, topics by pattern, letters that were published again.

use std::time::Duration;

use gulo::dead_letter as dlq;
use gulo::message::Message;
use gulo::prelude::*;

use crate::bench::{Bench, assert_stops_with, header};
use crate::shared::{Log, Step, step};

async fn books(Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>) {
    log.note(format!("{} booked at attempt {}", step.number, attempt.0));
}

/// Step 1 succeeds at its third attempt, step 2 never.
async fn mails(Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>) -> Result<(), HandlerError> {
    if step.number == 2 || step.number == 1 && attempt.0 < 3 {
        return Err(HandlerError::new("no connection"));
    }
    log.note(format!("{} mailed at attempt {}", step.number, attempt.0));
    log.done(step);
    Ok(())
}

/// Step 3 is refused for good.
async fn audits(Event(step): Event<Step>, State(log): State<Log>) -> Result<(), HandlerError> {
    log.note(format!("{} audited", step.number));
    if step.number == 3 { Err(HandlerError::new("forged").permanent()) } else { Ok(()) }
}

pub async fn handlers_of_one_type_have_an_outcome_each_and_only_what_failed_is_tried_again(bench: Bench) {
    let retry = Retry::fixed(Duration::from_millis(10)).max_attempts(4);
    let bus = bench.start(bench.subscription().retry(retry).on(books).on(mails).on(audits)).await;
    bus.publish_all([step(1, 1), step(1, 2), step(1, 3), step(1, 4)]).await.expect("confirmed");
    bench.until_done([step(1, 4)]).await;
    let expected = [
        "1 booked at attempt 1",
        "1 audited",
        "1 mailed at attempt 3",
        "1.1 done",
        "2 booked at attempt 1",
        "2 audited",
        "3 booked at attempt 1",
        "3 mailed at attempt 1",
        "1.3 done",
        "3 audited",
        "4 booked at attempt 1",
        "4 mailed at attempt 1",
        "1.4 done",
    ];
    assert_eq!(bench.log.texts()[..expected.len()], expected);
    bench.until("audited", || bench.log.has("4 audited")).await;

    let letters = bench.letters().await;
    let said = |letter: &Message| [dlq::REASON, dlq::ATTEMPTS, dlq::ERROR].map(|name| header(letter, name).to_owned());
    assert_eq!(said(&letters[0]), ["attempts-exhausted", "4", "no connection"]);
    assert_eq!(said(&letters[1]), ["permanent", "1", "forged"]);
    assert_stops_with(bus, (2, 5, 2, 0, 0)).await;
    assert_eq!(bench.redelivered().await, []);
}

async fn also_fails(Event(step): Event<Step>) -> Result<(), HandlerError> {
    if step.number == 2 { Err(HandlerError::new("disk full").permanent()) } else { Ok(()) }
}

pub async fn a_letter_says_what_each_handler_said_that_failed(bench: Bench) {
    let retry = Retry::fixed(Duration::from_millis(10)).max_attempts(2);
    let bus = bench.start(bench.subscription().retry(retry).on(books).on(also_fails).on(mails)).await;
    bus.publish_all([step(1, 2), step(1, 4)]).await.expect("confirmed");
    bench.until_done([step(1, 4)]).await;
    let letters = bench.letters().await;
    let error = header(&letters[0], dlq::ERROR);
    let texts: Vec<_> = error.split("; ").filter_map(|text| text.rsplit_once("::")).map(|(_, text)| text).collect();
    assert_eq!(texts, ["also_fails: disk full", "mails: no connection"], "{error}");
    assert_eq!(header(&letters[0], dlq::REASON), "attempts-exhausted");
    assert_eq!(bench.log.with("2 booked"), ["2 booked at attempt 1"]);
    assert_stops_with(bus, (1, 1, 1, 0, 0)).await;
}

/// Its own dead letters match the pattern too, and lie in a topic that nobody knew before.
pub async fn a_pattern_finds_topics_made_later_and_passes_over_dead_letters(bench: Bench) {
    let handler = async |Event(step): Event<Step>, origin: Origin, State(log): State<Log>| {
        log.note(format!("{} from {}", step.number, origin.topic));
        if step.number == 2 { Err(HandlerError::new("no").permanent()) } else { Ok(()) }
    };
    let pattern = TopicSelector::pattern(format!("{}-(eu|us).*", bench.topic));
    let (eu, us) = (format!("{}-eu", bench.topic), format!("{}-us", bench.topic));
    bench.make_topic(&eu).await;
    let bus = bench.start(bench.subscription().on_from(pattern, handler)).await;
    let to = |topic: &str, step: Step| Message { topic: topic.into(), ..bench.message(step) };
    bench.send(vec![to(&eu, step(1, 1))]).await;
    bench.until("the topic that was there", || bench.log.has(&format!("1 from {eu}"))).await;

    bench.make_topic(&us).await;
    bench.send(vec![to(&us, step(1, 2)), to(&us, step(1, 3))]).await;
    bench.until("the topic made later", || bench.log.has(&format!("3 from {us}"))).await;
    // Read back by the pattern, so it was published, and no handler got it.
    let counts = || bus.health().subscriptions[0].counts;
    bench.until("the letter, passed over", || (counts().dead_lettered, counts().skipped) == (1, 1)).await;
    assert_eq!(bench.log.with(" from ").len(), 3, "{:#?}", bench.log.texts());
    bus.shutdown(Duration::from_secs(20)).await.expect("clean");
}

pub async fn a_letter_published_again_is_for_its_group_only(bench: Bench) {
    let handler = async |Event(step): Event<Step>, State(log): State<Log>| log.done(step);
    let bus = bench.start(bench.subscription().on(handler)).await;
    let again = |group: &str, number| bench.message(step(1, number)).header(dlq::REPLAYED_FOR, group.to_owned());
    bench.send(vec![again("another", 1), again(&bench.group, 2), bench.message(step(1, 3))]).await;
    bench.until_done([step(1, 2), step(1, 3)]).await;
    assert_eq!(bench.log.texts(), ["1.2 done", "1.3 done"]);
    assert_stops_with(bus, (2, 0, 0, 1, 0)).await;
}

pub async fn a_single_publish_may_differ_in_topic_key_headers_and_partition(bench: Bench) {
    let handler = async |Event(step): Event<Step>, message: Message, origin: Origin, State(log): State<Log>| {
        let key = message.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        let tenant = message.headers.get_str("tenant").unwrap_or("none");
        let partition = origin.partition.unwrap_or_default();
        log.note(format!("{} [{partition}] key {key} of {tenant}", step.number));
    };
    let other = format!("{}-other", bench.topic);
    let bus = bench.bus(bench.subscription().on_from([bench.topic.to_string(), other.clone()], handler));
    let bus = bus.topic(other.clone(), |topic| topic.partitions(3)).start().await.expect("starts");
    bus.publish(step(1, 1)).await.expect("confirmed");
    let special = Outgoing::new(step(1, 2)).topic(other.clone()).key("k-7").header("tenant", "7").partition(2);
    bus.publish_all([special, Outgoing::new(step(1, 3)).topic(other).no_key().partition(1)]).await.expect("confirmed");
    bench.until("all three", || bench.log.texts().len() == 3).await;
    let mut seen = bench.log.texts();
    seen.sort();
    assert_eq!(seen, ["1 [0] key 1 of none", "2 [2] key k-7 of 7", "3 [1] key  of none"]);
    assert_stops_with(bus, (3, 0, 0, 0, 0)).await;
}

/// The name in the program, the name on the broker, and that of its dead letters.
pub async fn topics_are_called_on_the_broker_as_the_strategy_says(bench: Bench) {
    let handler = async |Event(step): Event<Step>, origin: Origin, State(log): State<Log>| {
        log.note(format!("{} from {}", step.number, origin.topic));
        if step.number == 2 { Err(HandlerError::new("no").permanent()) } else { Ok(()) }
    };
    let bus = bench.bus(bench.subscription().on(handler)).topic_naming(TopicNaming::new().environment("staging"));
    let on_broker = format!("staging.{}", bench.topic);
    let letters = format!("{on_broker}.{}.dlq", bench.group);
    let bus = bus.start().await.expect("starts");
    bus.publish_all([step(1, 1), step(1, 2)]).await.expect("confirmed");
    bench.until("both", || bench.log.texts().len() == 2).await;
    assert_eq!(bench.log.texts(), [format!("1 from {on_broker}"), format!("2 from {on_broker}")]);
    assert_stops_with(bus, (1, 0, 1, 0, 0)).await;
    let reader = Bus::builder("reader").shared_transport(bench.client());
    let seen = async |message: Message, State(log): State<Log>| log.note(format!("letter in {}", message.topic));
    // A letter of a letter would have a name that no broker takes.
    let group = Subscription::group(format!("{}-letters", bench.group)).dead_letter(DeadLetter::discard());
    let reader = reader.subscribe(group.on_raw(letters.clone(), seen));
    let reader = reader.state(bench.log.clone()).start().await.expect("starts");
    bench.until("the letter", || bench.log.has(&format!("letter in {letters}"))).await;
    reader.shutdown(Duration::from_secs(20)).await.expect("clean");
}
