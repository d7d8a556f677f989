//! What publishing says of what it cannot send.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gulo::ErrorKind;
use gulo::codec::{Codec, CodecError, Json, Raw, ReadEvent, erased_serde};
use gulo::event::{Aggregate, Publishable};
use gulo::memory::{MemoryConfig, MemoryTransport};
use gulo::message::{Message, SendOptions};
use gulo::prelude::*;
use gulo::transport::Outcome::{self, NotSent, Refused};
use serde::{Deserialize, Serialize};

use crate::said::{of, on_memory};
use crate::support::{Paid, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// Panics as an event where it is told to.
#[derive(Serialize, Deserialize)]
struct Bomb {
    #[serde(serialize_with = "explode")]
    at: String,
}

fn explode<S: serde::Serializer>(at: &str, serializer: S) -> Result<S::Ok, S::Error> {
    assert!(at != "serialize", "in serde");
    serializer.serialize_str(at)
}

impl IntegrationEvent for Bomb {
    const TYPE: &'static str = "bomb";
    const TOPIC: Option<&'static str> = Some("orders");

    fn key(&self) -> Option<String> {
        assert!(self.at != "key", "in key()");
        None
    }

    fn aggregate(&self) -> Option<Aggregate> {
        assert!(self.at != "aggregate", "in aggregate()");
        None
    }
}

/// One whose topic cannot be had.
#[derive(Serialize, Deserialize)]
struct Adrift;

impl IntegrationEvent for Adrift {
    const TYPE: &'static str = "adrift";

    fn topic() -> Option<std::sync::Arc<str>> {
        panic!("in topic()")
    }
}

/// Says of its event what it does not know.
struct Lost;

impl Publishable for Lost {
    type Event = Paid;

    fn into_outgoing(self) -> Outgoing<Paid> {
        panic!("in into_outgoing()")
    }
}

struct Encodes;

impl Codec for Encodes {
    fn content_type(&self) -> &str {
        "application/bomb"
    }

    fn encode(&self, _: &dyn erased_serde::Serialize, buffer: &mut bytes::BytesMut) -> Result<(), CodecError> {
        buffer.extend_from_slice(b"half");
        panic!("in a codec")
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        Json.decode(payload, read)
    }
}

/// Nothing of the caller goes with it, nothing is sent, and the next event is none the worse.
#[tokio::test(start_paused = true)]
async fn code_of_ones_own_that_panics_is_an_error_of_its_event() {
    let memory = MemoryTransport::new();
    let keys = PartitionKey::by(|meta, own| {
        assert!(meta.correlation_id.as_deref() != Some("boom"), "in a partition key");
        own
    });
    let naming = TopicNaming::new().by(|name| {
        assert!(name != "boom", "in a naming");
        name.to_owned()
    });
    let bus = Bus::builder("shop").transport(memory.clone()).partition_key(keys).topic_naming(naming);
    let bus = bus.topic("orders", |t| t).topic("bombs", |t| t.codec(Encodes)).start().await.expect("starts");
    let help = "(code that an event, its codec or a strategy brings along must not panic)";
    let bomb = |at: &str| Bomb { at: at.into() };
    let paid = || Outgoing::new(Paid::of(1, 1));
    let cases = [
        (bus.publish(bomb("serialize")).await, " to orders: encoding `bomb` panicked: in serde"),
        (bus.publish(bomb("key")).await, " to orders: encoding `bomb` panicked: in key()"),
        (bus.publish(bomb("aggregate")).await, " to orders: encoding `bomb` panicked: in aggregate()"),
        (bus.publish(Lost).await, ": what is said of `order.paid` panicked: in into_outgoing()"),
        (bus.publish(Adrift).await, ": naming the topic of `adrift` panicked: in topic()"),
        (bus.publish(paid().topic("bombs")).await, " to bombs: encoding `order.paid` panicked: in a codec"),
        (
            bus.publish(paid().correlation_id("boom")).await,
            " to orders: encoding `order.paid` panicked: in a partition key",
        ),
        (bus.publish(paid().topic("boom")).await, ": naming the topic of `order.paid` panicked: in a naming"),
    ];
    for (result, text) in cases {
        assert_eq!(of(result), (Refused, ErrorKind::Encode, format!("refused{text} {help}")));
    }
    assert!(memory.faults().messages("orders").is_empty() && memory.faults().messages("bombs").is_empty());
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    assert_eq!(memory.faults().messages("orders").len(), 1);
}

#[tokio::test]
async fn events_of_any_type_are_told_of_in_the_same_words() {
    let bus = on_memory().topic("orders", |t| t).start().await.expect("starts");
    let result = bus.publish_events(vec![Paid::of(1, 1).into(), Bomb { at: "key".into() }.into()]).await;
    let text = "refused to orders: encoding `bomb` panicked: in key() (code that an event, its codec or a strategy \
                brings along must not panic); and 1 more not confirmed";
    assert_eq!(of(result), (Refused, ErrorKind::Encode, text.into()));
}

/// An event of a topic that is there; `change` says what is wrong with it.
async fn refused_on(bus: &Bus, change: impl FnOnce(Outgoing<Paid>) -> Outgoing<Paid>) -> (Outcome, ErrorKind, String) {
    of(bus.publish(change(Outgoing::new(Paid::of(1, 1)))).await)
}

#[tokio::test(start_paused = true)]
async fn what_an_event_cannot_say_is_refused_with_what_to_do() {
    let memory = MemoryTransport::new();
    let bus = Bus::builder("shop").transport(memory.clone()).topic("orders", |t| t).start().await.expect("starts");
    let name_rule = "(a name is text without control characters, and not empty)";
    let raise = "(raise it with `Bus::builder(..).limits(..)`)";
    let late = DateTime::<Utc>::MAX_UTC;
    let cases = [
        (
            refused_on(&bus, |event| event.id("a\nb")).await,
            "event id of `order.paid` has control characters (give it plain text, or leave it out)".to_owned(),
        ),
        (
            refused_on(&bus, |event| event.id("\u{85}")).await,
            "event id of `order.paid` has control characters (give it plain text, or leave it out)".into(),
        ),
        (
            refused_on(&bus, |event| event.time(late)).await,
            "time of `order.paid` cannot be written as RFC 3339 (give it one of the years 0 to 9999)".into(),
        ),
        (
            refused_on(&bus, |event| event.time(DateTime::<Utc>::MIN_UTC)).await,
            "time of `order.paid` cannot be written as RFC 3339 (give it one of the years 0 to 9999)".into(),
        ),
        (refused_on(&bus, |event| event.header("", "x")).await, format!("there can be no header called `` {name_rule}")),
        (
            refused_on(&bus, |event| event.header("a\0b", "x")).await,
            format!("there can be no header called `ab` {name_rule}"),
        ),
        (
            refused_on(&bus, |event| event.header("ce_id", "x")).await,
            "header `ce_id` is written by the bus itself (give yours another name, or use the methods of `Outgoing`)".into(),
        ),
        (
            refused_on(&bus, |event| event.header("dead-letter-replays", "x")).await,
            "header `dead-letter-replays` is written by the bus itself (give yours another name, or use the methods of \
             `Outgoing`)"
                .into(),
        ),
        (
            refused_on(&bus, |event| event.partition(99)).await,
            "topic `orders` has 4 partitions, and none of number 99 (they count from 0; or name none)".into(),
        ),
        (
            refused_on(&bus, |event| event.send_options(priority())).await,
            "transport `memory` does not offer `priority` (do without it, or take a transport that has it)".into(),
        ),
        (
            refused_on(&bus, |event| event.id("x".repeat(300))).await,
            format!("event id of `order.paid` is 300 bytes, the limit is 256 {raise}"),
        ),
        (
            refused_on(&bus, |event| event.key("k".repeat(4097))).await,
            format!("key of `order.paid` is 4097 bytes, the limit is 4096 {raise}"),
        ),
        (
            refused_on(&bus, |event| event.header("big", vec![0; 20_000])).await,
            format!("size of all headers of `order.paid` is 20168 bytes, the limit is 16384 {raise}"),
        ),
    ];
    for ((outcome, _, said), text) in cases {
        // The one about all headers depends on a UUID and a time of fixed length.
        assert_eq!((outcome, said), (Refused, format!("refused to orders: {text}")));
    }
    assert!(memory.faults().messages("orders").is_empty());
}

fn priority() -> SendOptions {
    SendOptions { priority: Some(1), ..SendOptions::default() }
}

/// What an event was led to by is not the publisher's own: an odd one must not keep handlers from publishing.
#[tokio::test(start_paused = true)]
async fn an_odd_correlation_is_handed_on_as_it_came() {
    let memory = MemoryTransport::new();
    let again = async |Event(paid): Event<Paid>, bus: Publish| {
        bus.publish(Outgoing::new(paid).topic("bills")).await.map_err(HandlerError::from)
    };
    let bus = Bus::builder("shop").transport(memory.clone()).topic("bills", |t| t);
    let bus = bus.subscribe(Subscription::group("g").on(again)).start().await.expect("starts");
    let odd = format!("a\n{}", "x".repeat(500));
    bus.publish(Outgoing::new(Paid::of(1, 1)).correlation_id(&odd)).await.expect("confirmed");
    eventually("billed", || memory.faults().messages("bills").len() == 1).await;
    assert_eq!(memory.faults().messages("bills")[0].headers.get_str("ce_correlationid"), Some(&*odd));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_and_a_bus_that_is_gone_are_told_with_what_to_do() {
    let memory = MemoryTransport::with(MemoryConfig::new().publish_timeout(SECOND).max_message_bytes(200));
    let bus = Bus::builder("shop").transport(memory.clone()).topic("orders", |t| t).start().await.expect("starts");
    let send = async |bytes: usize| of(bus.send(vec![Message::new("orders", vec![0; bytes])]).await);
    let text = "refused to orders: a message of 300 bytes for topic `orders` is over the limit of 200 bytes \
                (`MemoryConfig::max_message_bytes` sets it)";
    assert_eq!(send(300).await, (Refused, ErrorKind::TooLarge, text.into()));
    memory.faults().hold_publishes();
    let text = "not sent to orders: the memory broker took nothing within 1s (a fault holds publishes or delays them; \
                `MemoryConfig::publish_timeout` says how long they wait)";
    assert_eq!(send(1).await, (NotSent, ErrorKind::TimedOut, text.into()));
    memory.faults().down();
    let text = "not sent to orders: not published within 1s: the memory broker is away: a fault switched it off \
                (`Faults::up` brings it back)";
    assert_eq!(send(1).await, (NotSent, ErrorKind::Unavailable, text.into()));
    memory.faults().up();
    memory.faults().release_publishes();
    let publisher = bus.publisher();
    bus.shutdown(SECOND).await.expect("clean");
    let text = "not sent to orders: the memory publisher is closed (publish before the bus shuts down)";
    assert_eq!(of(publisher.send(vec![Message::new("orders", "x")]).await), (NotSent, ErrorKind::Closed, text.into()));
}

/// Of a batch, the one at fault comes first and the others say that they may go.
#[tokio::test]
async fn the_others_of_a_batch_say_that_they_may_be_published_again() {
    let bus = on_memory().topic("orders", |t| t).start().await.expect("starts");
    let events = [Outgoing::new(Paid::of(1, 1)), Outgoing::new(Paid::of(1, 2)).id("")];
    let unsent = bus.publish_all(events).await.expect_err("refused");
    let said: Vec<_> = unsent.failed.iter().map(|failed| (failed.index, failed.error.to_string())).collect();
    let texts = [
        (1, "event id of `order.paid` is empty (leave it out, and it gets one)".to_owned()),
        (0, "another event of the batch was refused (publish it again without that one)".into()),
    ];
    assert_eq!(said, texts);
}

#[derive(Serialize, Deserialize)]
struct Ratio(#[serde(serialize_with = "never")] f64);

fn never<S: serde::Serializer>(_: &f64, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("not today"))
}

impl IntegrationEvent for Ratio {
    const TYPE: &'static str = "ratio";
    const TOPIC: Option<&'static str> = Some("orders");
}

#[tokio::test]
async fn what_a_codec_or_an_envelope_cannot_write_is_told_with_what_to_do() {
    let bus = on_memory().topic("orders", |t| t).topic("photos", |t| t.codec(Raw));
    let bus = bus.topic("pythons", |t| t.envelope(Envelope::BuildingBlocks)).start().await.expect("starts");
    let raw = "give it a value that its codec can write, or its topic another codec";
    let cases = [
        (
            bus.publish(Ratio(1.0)).await,
            format!("orders: errors::publishing::Ratio does not encode as application/json: not today ({raw})"),
        ),
        (
            bus.publish(Outgoing::new(Paid::of(1, 1)).topic("photos")).await,
            format!(
                "photos: errors::support::Paid does not encode as application/octet-stream: is bytes or text only: the \
                 event must be a newtype of `Vec<u8>`, `Bytes` or `String` ({raw})"
            ),
        ),
        (
            bus.publish(Outgoing::new(Paid::of(1, 1)).topic("pythons").id("order 7")).await,
            "pythons: the envelope of building blocks takes only a UUID as `event_id` (give it one, or the topic another \
             envelope)"
                .into(),
        ),
    ];
    for (result, text) in cases {
        assert_eq!(of(result), (Refused, ErrorKind::Encode, format!("refused to {text}")));
    }
}
