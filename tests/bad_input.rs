//! Input that makes no sense: each is told by its text, or has a result that makes sense; nothing panics, hangs or is lost.

mod support;

use std::ops::RangeInclusive;
use std::time::Duration;

use gulo::codec::{Codec, CodecError, ReadEvent, erased_serde};
use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use gulo::prelude::*;
use gulo::{Error, ErrorKind, dead_letter as dlq};
use serde::{Deserialize, Serialize};

use support::{Gated, Paid, Step, eventually};

async fn bill(Event(_): Event<Paid>) {}
async fn anything(_: Payload) {}
async fn fails(Event(_): Event<Paid>) -> Result<(), HandlerError> {
    Err(HandlerError::new("no"))
}

fn on_memory() -> BusBuilder {
    Bus::builder("shop").transport(MemoryTransport::new())
}

async fn refused(bus: BusBuilder) -> Error {
    bus.start().await.map(|_| ()).expect_err("start is refused")
}

/// An event of whatever type, version and accepted versions.
macro_rules! event {
    ($name:ident, $handler:ident, $type:expr, $version:expr, $accepts:expr) => {
        #[derive(Serialize, Deserialize)]
        struct $name;
        impl IntegrationEvent for $name {
            const TYPE: &'static str = $type;
            const VERSION: u32 = $version;
            const ACCEPTS: RangeInclusive<u32> = $accepts;
            const TOPIC: Option<&'static str> = Some("odd");
        }
        async fn $handler(Event(_): Event<$name>) {}
    };
}

const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef!";

event!(Nameless, nameless, "", 1, 1..=1);
event!(Control, control, "a\nb", 1, 1..=1);
event!(TooLong, too_long, LONG, 1, 1..=1);
event!(Zero, zero, "zero", 0, 0..=0);
event!(Foreign, foreign, "foreign", 3, 1..=2);

/// What is behind the place in the program, without it.
fn behind_the_place(error: &Error) -> String {
    let text = error.to_string();
    let Some((before, behind)) = text.split_once("tests/bad_input.rs:") else { return text };
    let behind = behind.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
    format!("{before}HERE{behind}")
}

#[tokio::test]
async fn what_cannot_be_is_told_at_start() {
    let group = Subscription::group;
    let type_rule = "a type is 1 to 256 bytes without control characters";
    let group_rule = "a group's name is 1 to 255 bytes without control characters";
    let topic_rule = "(a name is 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`)";
    let cases = [
        (on_memory().subscribe(group("a\0b").on(bill)), format!("the subscription at HERE is of a group called `ab` ({group_rule})")),
        (on_memory().subscribe(group(&"g".repeat(256)).on(bill)), format!("the subscription at HERE is of a group called `{}` ({group_rule})", "g".repeat(256))),
        (on_memory().subscribe(group("g").on(nameless)), format!("group g takes events of type `` at HERE ({type_rule})")),
        (on_memory().subscribe(group("g").on(control)), format!("group g takes events of type `ab` at HERE ({type_rule})")),
        (on_memory().subscribe(group("g").on(too_long)), format!("group g takes events of type `{}` at HERE ({type_rule})", &LONG[..256])),
        (on_memory().subscribe(group("g").on(zero)), "group g takes version 0 of `zero` at HERE (versions count from 1)".into()),
        (
            on_memory().subscribe(group("g").on(foreign)),
            "group g takes `foreign` at HERE, which is of version 3 and accepts 1 to 2 (let it accept its own version)".into(),
        ),
        (
            on_memory().subscribe(group("g").on_raw([] as [&str; 0], anything)),
            "bad_input::anything in group g at HERE reads no topic (name one, or a pattern)".into(),
        ),
        (on_memory().subscribe(group("g").on_raw("two words", anything)), format!("there can be no topic called `two words` {topic_rule}")),
        (on_memory().topic("", |topic| topic), format!("there can be no topic called `` {topic_rule}")),
        (
            on_memory().subscribe(group("g").dead_letter(DeadLetter::topic_named(|topic, _| topic.into())).on(bill)),
            "group g has its dead letters of `orders` in a topic that it reads, `orders`: each would come again (give them another name)".into(),
        ),
        (
            on_memory().subscribe(group("g").dead_letter(DeadLetter::topic_named(|_, _| String::new())).on(bill)),
            format!("there can be no topic called `` {topic_rule}"),
        ),
    ];
    for (bus, text) in cases {
        let error = refused(bus).await;
        assert_eq!((error.kind(), behind_the_place(&error)), (ErrorKind::Config, text));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_no_handler_could_take_is_not_sent() {
    let gated = Gated::new();
    let bus = Bus::builder("shop").transport(gated.clone()).topic("odd", |topic| topic).start().await.expect("starts");
    let type_rule = "(a type is 1 to 256 bytes without control characters)";
    let texts = [
        (bus.publish(Nameless).await, format!("events cannot be of type `` {type_rule}")),
        (bus.publish(Control).await, format!("events cannot be of type `ab` {type_rule}")),
        (
            bus.publish(Outgoing::new(Paid::of(1, 1)).topic("odd").id("")).await,
            "event id of `order.paid` is empty (leave it out, and it gets one)".into(),
        ),
    ];
    for (result, text) in texts {
        let unsent = result.expect_err("refused");
        assert!(unsent.to_string().contains(&text), "{unsent}");
    }
    assert!(!gated.steps().iter().any(|step| matches!(step, Step::Confirmed(_))));
}

#[tokio::test]
async fn a_service_has_a_name_that_may_be_a_source() {
    for name in ["", "my svc", "é", "a<b", "a\nb"] {
        let error = refused(Bus::builder(name).transport(MemoryTransport::new())).await;
        let shown: String = name.chars().filter(|c| !c.is_control()).collect();
        let text = format!(
            "a service cannot be called `{shown}` (it is the source of its events, a URI reference: letters, digits and \
             signs, no spaces)"
        );
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Config, text));
    }
    for name in ["shop", "/shop/eu-1", "https://example.org/shop?a=b", "urn:x:shop"] {
        Bus::builder(name).transport(MemoryTransport::new()).start().await.expect("starts");
    }
}

/// What an error says is to be done is done, and then it works.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_missing_is_named_as_the_program_has_to_name_it() {
    let bus = || on_memory().topic_naming(TopicNaming::new().environment("staging"));
    let unsent = bus().start().await.expect("starts").publish(Paid::of(1, 1)).await.expect_err("no topic");
    let text = unsent.to_string();
    assert!(text.ends_with("(name it with `Bus::builder(..).topic(\"orders\", |t| t)`)"), "{text}");
    let bus = bus().topic("orders", |t| t).start().await.expect("starts");
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    let queues = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    let nobody_reads = Bus::builder("shop").transport(queues).topic("orders", |t| t).start().await.expect("starts");
    let unsent = nobody_reads.publish(Paid::of(1, 1)).await.expect_err("no queue");
    assert!(!unsent.to_string().contains("name it with"), "it is named: {unsent}");
    let unsent = bus.publish(Outgoing::new(Paid::of(1, 1)).topic("two words")).await.expect_err("no such name");
    assert!(unsent.to_string().contains("there can be no topic called `staging.two words` (a name is"), "{unsent}");
}

#[tokio::test]
async fn a_state_that_is_missing_is_told_with_those_that_there_are() {
    async fn takes(Event(_): Event<Paid>, State(_): State<std::sync::Arc<String>>) {}
    let error = refused(on_memory().state(String::new()).subscribe(Subscription::group("g").on(takes))).await;
    let text = "takes State<alloc::sync::Arc<alloc::string::String>>, and there is no such state, only `alloc::string::String`";
    assert!(error.to_string().contains(text), "{error}");
}

#[tokio::test(start_paused = true)]
async fn too_many_headers_are_told_with_those_of_the_bus() {
    let bus = on_memory().topic("orders", |t| t).start().await.expect("starts");
    let event = (0..65).fold(Outgoing::new(Paid::of(1, 1)), |event, number| event.header(format!("h{number}"), "x"));
    let unsent = bus.publish(event).await.expect_err("too many");
    let text = "number of headers, the bus's own included, of `order.paid` is 72, the limit is 64 (raise it with \
                `Bus::builder(..).limits(..)`)";
    assert!(unsent.to_string().contains(text), "{unsent}");
}

#[tokio::test(start_paused = true)]
async fn a_prefix_of_nothing_is_none() {
    let naming = TopicNaming::new().prefix("").environment(".");
    assert_eq!(&*naming.name("users"), "users");
}

/// Durations as long as there are, and numbers as small: they are waits that never end, and one by one.
#[tokio::test(start_paused = true)]
async fn the_longest_durations_and_the_smallest_numbers_are_taken() {
    let gated = Gated::new();
    let group = Subscription::group("g")
        .concurrency(Concurrency::per_key(1))
        .in_flight(1)
        .window(1)
        .deadline(Duration::MAX)
        .stall_after(Duration::MAX)
        .commit(CommitPolicy { every: 0, interval: Duration::MAX })
        .retry(Retry::fixed(Duration::MAX).max_attempts(1))
        .on(fails);
    let waits = Subscription::group("waits").retry(Retry::fixed(Duration::MAX).max_attempts(9)).on(fails);
    let bus = Bus::builder("shop").transport(gated.clone()).subscribe(group).subscribe(waits).start().await.unwrap();
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    let letter = gated.read("orders.g.dlq", 1).await.remove(0);
    assert_eq!(letter.headers.get_str(dlq::ATTEMPTS), Some("1"));
    eventually("parked", || bus.health().subscriptions[1].in_flight == 1).await;
    assert!(!bus.health().to_json().is_empty());
    bus.shutdown(Duration::MAX).await.expect("clean");
}

/// A codec of somebody's own that does everything wrong.
struct Wrong(&'static str);

impl Codec for Wrong {
    fn content_type(&self) -> &str {
        "application/wrong"
    }

    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut bytes::BytesMut) -> Result<(), CodecError> {
        Json.encode(event, buffer)
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        match self.0 {
            "panics" => panic!("in a codec"),
            "reads nothing" => Ok(()),
            "reads twice" => Json.decode(payload, &mut *read).and_then(|()| Json.decode(payload, read)),
            _ => Err("it is Tuesday".into()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_codec_that_does_everything_wrong_loses_nothing() {
    let cases = [
        ("panics", Some("handler panicked: in a codec")),
        ("reads nothing", Some("the codec of application/wrong read nothing (`Codec::decode` has to call `read`)")),
        (
            "fails",
            Some("payload is not application/wrong: it is Tuesday (let the event read it, or mend what wrote it)"),
        ),
        ("reads twice", None),
    ];
    for (what, expected) in cases {
        let gated = Gated::new();
        let group = Subscription::group("g").retry(Retry::fixed(Duration::ZERO).max_attempts(1)).on(bill);
        let bus = Bus::builder("shop").transport(gated.clone()).topic("orders", |topic| topic.codec(Wrong(what)));
        let bus = bus.subscribe(group).start().await.expect("starts");
        bus.publish(Paid::of(1, 1)).await.expect("confirmed");
        let counts = || bus.health().subscriptions[0].counts;
        eventually(what, || counts().handled + counts().dead_lettered == 1).await;
        assert_eq!(counts().dead_lettered, u64::from(expected.is_some()), "{what}");
        if let Some(expected) = expected {
            let letter = gated.read("orders.g.dlq", 1).await.remove(0);
            assert_eq!(letter.headers.get_str(dlq::ERROR), Some(expected), "{what}");
            assert_eq!(letter.payload.as_deref(), Some(&br#"{"order":1,"step":1}"#[..]));
        }
        bus.shutdown(Duration::from_secs(5)).await.expect("clean");
    }
}
