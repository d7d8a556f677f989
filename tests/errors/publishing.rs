//! What publishing says of what it cannot send.

use gulo::codec::{Codec, CodecError, Json, ReadEvent, erased_serde};
use gulo::event::Aggregate;
use gulo::prelude::*;
use gulo::transport::Outcome::Refused;
use gulo::{ErrorKind, memory::MemoryTransport};
use serde::{Deserialize, Serialize};

use crate::said::{of, on_memory};
use crate::support::Paid;

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
