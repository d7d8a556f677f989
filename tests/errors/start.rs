//! What is told at `start()`.

use std::time::Duration;

use gulo::ErrorKind;
use gulo::codec::{Codec, CodecError, Json, Raw, ReadEvent, erased_serde};
use gulo::prelude::*;

use crate::said::{on_memory, refused, without_place};
use crate::support::{Gated, Paid, eventually};

async fn bill(Event(_): Event<Paid>) {}
async fn anything(_: Payload) {}
async fn fails(_: Payload) -> Result<(), HandlerError> {
    Err(HandlerError::new("no"))
}

/// A codec that calls what it writes so.
struct Called(&'static str);

impl Codec for Called {
    fn content_type(&self) -> &str {
        assert!(self.0 != "boom", "in content_type()");
        self.0
    }

    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut bytes::BytesMut) -> Result<(), CodecError> {
        Json.encode(event, buffer)
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        Json.decode(payload, read)
    }
}

fn lettered(group: &str, topic: &'static str, letters: &'static str) -> Subscription {
    let named = DeadLetter::topic_named(move |_, _| letters.into());
    Subscription::group(group).dead_letter(named).on_raw(topic, fails)
}

fn cases() -> Vec<(BusBuilder, String)> {
    let panics = "(code that an event, its codec or a strategy brings along must not panic)";
    let group_rule = "(a group's name is 1 to 255 bytes without control characters)";
    let content_type_rule =
        "(`Codec::content_type` is 1 to 256 bytes without control characters, as `application/avro`)";
    let boom = || TopicNaming::new().by(|_| panic!("in a naming"));
    let lower = TopicNaming::new().by(str::to_lowercase);
    let unnamed = DeadLetter::topic_named(|_, _| panic!("in a naming of letters"));
    vec![
        (
            on_memory().subscribe(Subscription::group("").on(bill)),
            format!("the subscription at HERE is of a group called `` {group_rule}"),
        ),
        (
            on_memory().topic_naming(boom()).subscribe(Subscription::group("g").on(bill)),
            format!("group g, at HERE: naming its topic panicked: in a naming {panics}"),
        ),
        (
            on_memory().topic_naming(boom()).topic("orders", |t| t),
            format!("naming the topic `orders` panicked: in a naming {panics}"),
        ),
        (
            on_memory().subscribe(Subscription::group("g").dead_letter(unnamed).on(bill)),
            format!("group g, at HERE: naming the topic for dead letters of `orders` panicked: in a naming of letters {panics}"),
        ),
        (
            on_memory().topic_naming(lower).topic("orders", |t| t).topic("Orders", |t| t.codec(Raw)),
            "`Orders` and `orders` are both the topic `orders`, and are described differently (describe it once, or let the \
             naming tell them apart)"
                .into(),
        ),
        (
            on_memory().topic("orders", |t| t.codec(Called(""))),
            format!("the codec of topic `orders` has no content type {content_type_rule}"),
        ),
        (
            on_memory().topic("orders", |t| t.codec(Called("a\nb"))),
            format!("the codec of topic `orders` has no content type {content_type_rule}"),
        ),
        (
            on_memory().topic("orders", |t| t.codec(Called("boom"))),
            format!("asking the codec of topic `orders` for its content type panicked: in content_type() {panics}"),
        ),
        (
            on_memory().subscribe(Subscription::group("g").on_raw(TopicSelector::pattern(""), anything)),
            "errors::start::anything in group g at HERE reads no topic (name one, or a pattern)".into(),
        ),
        (
            on_memory().subscribe(lettered("g", "a", "a")),
            "group g has its dead letters of `a` in a topic that it reads, `a`: each would come again (give them another name)"
                .into(),
        ),
        (
            on_memory().subscribe(lettered("g", "a", "b")).subscribe(lettered("h", "b", "a")),
            "dead letters go in a circle: those that group g has of `a` go to `b`, those that group h has of `b` go to `a`: \
             each would come again (give them another name)"
                .into(),
        ),
        (
            on_memory()
                .subscribe(lettered("before", "z", "a"))
                .subscribe(lettered("g", "a", "b"))
                .subscribe(lettered("h", "b", "c").on_raw("elsewhere", anything))
                .subscribe(lettered("i", "c", "a")),
            "dead letters go in a circle: those that group g has of `a` go to `b`, those that group h has of `b` go to `c`, \
             those that group i has of `c` go to `a`: each would come again (give them another name)"
                .into(),
        ),
    ]
}

/// What would handle nothing, ever.
#[tokio::test]
async fn a_number_or_a_time_of_nought_is_told_with_its_place_and_what_to_do() {
    let nought = Duration::ZERO;
    let no_attempt = || Retry::default().max_attempts(0);
    let at_a_time = "handles 0 messages at a time (say 1 or more, or `Concurrency::Sequential`)";
    let attempts =
        "attempts a message 0 times (`Retry::max_attempts` counts the first one: say 1 or more, or `Retry::never()`)";
    let deadline = "gives its handlers a deadline of 0 s, which each attempt would miss (say a longer one, or none where \
                    there is no limit)";
    let group = || Subscription::group("g");
    for (group, text) in [
        (group().concurrency(Concurrency::per_key(0)), at_a_time),
        (group().concurrency(Concurrency::unordered(0)), at_a_time),
        (group().retry(no_attempt()), attempts),
        (group().retry(Retry::default().on_error::<std::fmt::Error>(no_attempt())), attempts),
        (group().deadline(nought), deadline),
        (group().deadline(nought).deadline(Duration::from_secs(9)), deadline),
        (group().in_flight(0), "lets 0 messages in flight (say 1 or more, or nothing of `in_flight`)"),
        (group().window(0), "has a window of 0 messages (say 1 or more, or nothing of `window`)"),
    ] {
        let error = refused(on_memory().subscribe(group.on(bill))).await;
        let text = format!("group g at HERE {text}");
        assert_eq!((error.kind(), without_place(&error.to_string())), (ErrorKind::Config, text));
    }
}

#[tokio::test]
async fn what_cannot_work_is_told_with_its_place_and_what_to_do() {
    for (bus, text) in cases() {
        let error = refused(bus).await;
        assert_eq!((error.kind(), without_place(&error.to_string())), (ErrorKind::Config, text));
    }
}

/// Letters that another group takes are what dead letters are for; they end in that one's own.
#[tokio::test(start_paused = true)]
async fn a_group_may_read_the_dead_letters_of_another() {
    let gated = Gated::new();
    let retry = || Retry::never();
    let bus = Bus::builder("shop").transport(gated.clone());
    let bus = bus.subscribe(lettered("g", "a", "b").retry(retry())).subscribe(lettered("h", "b", "c").retry(retry()));
    let bus = bus.start().await.expect("starts");
    gated.publish_raw(Message::new("a", "x").key("k")).await;
    let letter = gated.read("c", 1).await.remove(0);
    assert_eq!(letter.headers.get_str("dead-letter-origin-topic"), Some("b"));
    eventually("settled", || bus.health().subscriptions.iter().all(|group| group.counts.dead_lettered == 1)).await;
    bus.shutdown(Duration::from_secs(5)).await.expect("clean");
}

/// Nobody has written the name of that topic: it is made of the group's. Told before anybody is asked.
#[cfg(feature = "kafka")]
#[tokio::test]
async fn a_group_that_no_topic_can_be_called_by_is_told_as_such_on_kafka() {
    use gulo::kafka::{KafkaConfig, KafkaTransport};
    let nowhere = KafkaTransport::new(KafkaConfig::new("localhost:1"));
    let bus = Bus::builder("shop").transport(nowhere).subscribe(Subscription::group("a b/ü").on(bill));
    let error = refused(bus).await;
    let text = "group `a b/ü` cannot have the topic `orders.a b/ü.dlq`: Kafka has none called so (a name is 1 to 249 of `a-z`, \
                `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`; give the group another name, or that topic one without the \
                group's)";
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Config, text.to_owned()));
}
