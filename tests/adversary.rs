//! Codecs of somebody else's, payload that would be quoted, headers that would be another event's: what hostile messages and
//! clumsy code must not bring about.

#![allow(clippy::unwrap_used)]

use bytes::{BufMut, BytesMut};
use gulo::codec::{AnyCodec, Codec, CodecError, MessagePack, ReadEvent, erased_serde};
use gulo::message::Message;
use gulo::prelude::*;
use gulo::testing::TestBus;
use serde::{Deserialize, Serialize};

const SECRET: &str = "4111-1111";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Placed {}

impl IntegrationEvent for Placed {
    const TYPE: &'static str = "order.placed";
    const TOPIC: Option<&'static str> = Some("orders");
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Paid {
    cents: u64,
}

impl IntegrationEvent for Paid {
    const TYPE: &'static str = "order.paid";
    const TOPIC: Option<&'static str> = Some("orders");
}

async fn placed(Event(_): Event<Placed>) {}

async fn paid(Event(_): Event<Paid>) {}

/// JSON, by somebody who tells more than what is wrong, and as it is usual: the place first.
struct Telling;

impl Codec for Telling {
    fn content_type(&self) -> &str {
        "application/vnd.telling"
    }

    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
        Ok(serde_json::to_writer(buffer.writer(), event)?)
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        let mut json = serde_json::Deserializer::from_slice(payload);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
            .map_err(|error| format!("at .cents: {error}"))?;
        Ok(())
    }
}

/// What the group says of a message that it could not read.
async fn letter(bus: TestBus, message: Message) -> String {
    bus.send(vec![message]).await.unwrap();
    bus.settle().await.unwrap();
    bus.dead_lettered("g")[0].error.clone()
}

#[tokio::test]
async fn a_field_of_an_event_without_fields_is_not_quoted() {
    let group = Subscription::group("g").on(placed);
    let bus = TestBus::start(Bus::builder("shop").subscribe(group)).await.unwrap();
    let body = format!("{{\"x, expected {SECRET}\":1}}");
    let text = letter(bus, Message::new("orders", body).header("ce_type", "order.placed")).await;
    assert!(text.contains("unknown field") && !text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn a_codec_that_puts_the_place_before_serdes_words_quotes_no_value() {
    let group = Subscription::group("g").on(paid);
    let app = Bus::builder("shop").topic("orders", |t| t.codec(Telling)).subscribe(group);
    let text =
        letter(TestBus::start(app).await.unwrap(), Message::new("orders", format!("{{\"cents\":\"{SECRET}\"}}"))).await;
    assert!(text.contains("invalid type: string, expected u64") && !text.contains(SECRET), "{text}");
}

/// MessagePack by way of a codec of one's own, as one that encrypts would.
#[tokio::test]
async fn bytes_behind_a_value_are_an_error_through_another_codec_too() {
    struct Wrapped;
    impl Codec for Wrapped {
        fn content_type(&self) -> &str {
            "application/vnd.wrapped"
        }
        fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
            MessagePack.encode(event, buffer)
        }
        fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
            MessagePack.decode(payload, read)
        }
    }
    let codec = AnyCodec::from(Wrapped);
    let whole = codec.encode(&Paid { cents: 7 }, &mut BytesMut::new()).unwrap();
    assert_eq!(codec.decode::<Paid>(&whole).unwrap(), Paid { cents: 7 });
    assert!(codec.decode::<Paid>(&[&whole[..], b"\x01"].concat()).is_err());
}

/// Those that this event has no value for are the envelope's too.
#[tokio::test]
async fn a_header_of_the_envelope_is_refused_though_the_event_does_not_say_it() {
    for envelope in [Envelope::CloudEvents, Envelope::CloudEventsStructured, Envelope::BuildingBlocks] {
        let app = Bus::builder("shop").topic("orders", |t| t.envelope(envelope));
        let bus = TestBus::start(app).await.unwrap();
        for name in ["ce_id", "ce_type", "ce_subject", "ce_correlationid", "ce_causationid", "content-type"] {
            let sent = bus.publish(Outgoing::new(Paid { cents: 7 }).header(name, "x")).await;
            let refused = sent.map_err(|unsent| unsent.failed[0].error.kind());
            assert!(refused.is_err(), "{envelope:?} {name}");
        }
        bus.publish(Outgoing::new(Paid { cents: 7 }).header("ce_tenant", "7")).await.unwrap();
    }
}

/// An event's own words for what is wrong with it, which name the value as many do.
#[tokio::test]
async fn what_an_event_says_of_its_own_value_is_not_told_through_another_codec() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Checked(#[serde(deserialize_with = "checked")] String);
    fn checked<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let text = String::deserialize(deserializer)?;
        Err(serde::de::Error::custom(format!("`{text}` is no card")))
    }
    let codec = AnyCodec::from(Telling);
    let text = codec.decode::<Checked>(format!("\"{SECRET}\"").as_bytes()).unwrap_err().to_string();
    assert!(!text.contains(SECRET), "{text}");
}

/// A codec that calls back as often as it should not.
#[tokio::test]
async fn a_codec_that_reads_never_or_twice_or_panics_harms_its_own_message_only() {
    struct Odd;
    impl Codec for Odd {
        fn content_type(&self) -> &str {
            "application/vnd.odd"
        }
        fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
            Telling.encode(event, buffer)
        }
        fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
            match payload.first() {
                Some(b'n') => Ok(()),
                Some(b'p') => panic!("odd"),
                Some(b's') => read(&mut <dyn erased_serde::Deserializer<'_>>::erase(
                    &mut serde_json::Deserializer::from_slice(b"[]"),
                ))
                .or(Ok(())),
                _ => {
                    Telling.decode(payload, read)?;
                    Telling.decode(payload, read)
                }
            }
        }
    }
    let group = Subscription::group("g").on(paid).retry(Retry::never());
    let app = Bus::builder("shop").topic("orders", |t| t.codec(Odd)).subscribe(group);
    let bus = TestBus::start(app).await.unwrap();
    let message = |body: &'static str| Message::new("orders", body).key("1");
    bus.send(["n", "p", "s", r#"{"cents":7}"#].map(message).into()).await.unwrap();
    bus.settle().await.unwrap();
    let letters: Vec<_> = bus.dead_lettered("g").into_iter().map(|letter| letter.error).collect();
    assert_eq!(letters.len(), 3, "{letters:?}");
    assert!(
        letters[0].contains("read nothing")
            && letters[1].contains("panicked: odd")
            && letters[2].contains("read nothing"),
        "{letters:?}"
    );
    assert_eq!(bus.handled::<Paid>("g"), [Paid { cents: 7 }]);
}

#[tokio::test]
async fn settling_waits_for_tasks_that_a_handler_left_behind() {
    let spawns = async |Event(Paid { cents }): Event<Paid>, bus: Publish| {
        tokio::spawn(async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            if cents > 0 {
                bus.publish(Paid { cents: cents - 1 }).await.unwrap();
            }
        });
    };
    let bus = TestBus::start(Bus::builder("shop").subscribe(Subscription::group("g").on(spawns))).await.unwrap();
    bus.publish(Paid { cents: 5 }).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.handled::<Paid>("g").len(), 6);
}
