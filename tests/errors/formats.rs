//! What a dead letter says of a message that could not be read: the text is a header of its own.

use gulo::bus::Unhandled;
use gulo::dead_letter as dlq;
use gulo::message::Message;
use gulo::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::{Gated, Paid};

#[derive(Serialize, Deserialize)]
struct Other;

impl IntegrationEvent for Other {
    const TYPE: &'static str = "order.other";
    const TOPIC: Option<&'static str> = Some("orders");
}

async fn bill(Event(_): Event<Paid>) {}
async fn other(Event(_): Event<Other>) {}

/// What is written on the letters of `messages`, one after the other; each has its exact bytes.
async fn errors(envelope: Envelope, messages: Vec<Message>) -> Vec<String> {
    let gated = Gated::new();
    let group = Subscription::group("g").unhandled(Unhandled::DeadLetter).on(bill).on(other);
    let bus = Bus::builder("shop").transport(gated.clone()).topic("orders", |t| t.envelope(envelope));
    let bus = bus.subscribe(group).start().await.expect("starts");
    for message in &messages {
        gated.publish_raw(message.clone()).await;
    }
    let letters = gated.read("orders.g.dlq", messages.len()).await;
    for (letter, message) in letters.iter().zip(&messages) {
        assert_eq!((&letter.payload, letter.headers.get_str(dlq::REASON)), (&message.payload, Some("undecodable")));
    }
    bus.shutdown(std::time::Duration::from_secs(5)).await.expect("clean");
    letters.iter().map(|letter| letter.headers.get_str(dlq::ERROR).unwrap_or_default().to_owned()).collect()
}

async fn check(envelope: Envelope, cases: Vec<(Message, &str, &str)>) {
    let messages = cases.iter().map(|(message, ..)| message.clone()).collect();
    for (said, (_, problem, help)) in errors(envelope, messages).await.iter().zip(&cases) {
        assert_eq!(*said, format!("{problem} ({help})"));
    }
}

fn of(body: &'static str) -> Message {
    Message::new("orders", body).key("k")
}

fn paid(body: &'static str) -> Message {
    of(body).header("ce_type", Paid::TYPE)
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_with_what_to_do() {
    let read = "let the event read it, or mend what wrote it";
    let not_utf8 = Message { payload: Some("{}".into()), ..of("").header("ce_type", vec![255]) };
    let cases = vec![
        (paid("hunter2"), "payload is not JSON, at line 1 column 1", read),
        (paid(""), "payload ends too early, at line 1 column 0", read),
        (paid(r#"{"order":1}"#), "payload missing field `step`, at line 1 column 11", read),
        (
            paid(r#"{"order":"hunter2","step":1}"#),
            "payload invalid type: string, expected u32, at line 1 column 18",
            read,
        ),
        (
            paid("{}").header("content-type", "text/hunter2"),
            "content type is `text/hunter2`, expected `application/json`",
            "let the topic read it: `.topic(.., |t| t.reads(codec))`",
        ),
        (
            paid("{}").header("ce_dataversion", "7"),
            "version 7 of `order.paid` is not supported, the handler takes 1",
            "let the event accept it: `ACCEPTS`, and `upcast` where its fields differ",
        ),
        (
            paid("{}").header("ce_dataversion", "-1"),
            "header `ce_dataversion` is not a whole number from 1",
            "who sends it has to mend it",
        ),
        (
            of("{}"),
            "header `ce_type` is missing, and the group handles several types: the type is unknown",
            "let who sends it say the type, or take it with `.on_raw(topic, handler)`",
        ),
        (
            not_utf8,
            "header `ce_type` is not UTF-8: the type is unknown",
            "let who sends it say the type, or take it with `.on_raw(topic, handler)`",
        ),
        (
            of("{}").header("ce_type", "order\nlost"),
            "no handler for events of type `orderlost`",
            "add one with `.on(handler)`, or pass such over: `Unhandled::Skip`",
        ),
    ];
    // With the feature `msgpack` one more content type is expected.
    let cases =
        cases.into_iter().filter(|(_, problem, _)| !(cfg!(feature = "msgpack") && problem.starts_with("content")));
    check(Envelope::CloudEvents, cases.collect()).await;
}

#[tokio::test(start_paused = true)]
async fn an_envelope_that_cannot_be_opened_is_told_with_what_to_do() {
    let who = "who sends it has to mend it, or the topic is described with another envelope";
    let structured = |body| of(body).header("content-type", "application/cloudevents+json");
    let cases = vec![
        (structured("hunter2"), "CloudEvent in structured mode: payload is not JSON, at line 1 column 1", who),
        (structured("[]"), "CloudEvent in structured mode: payload is not a JSON object", who),
        (structured("{}"), "a CloudEvent in structured mode has no `type`", who),
        (structured(r#"{"specversion":"2.0"}"#), "CloudEvent is of specversion `2.0`, expected `1.0`", who),
        (
            structured(r#"{"type":"order.paid","dataversion":"x"}"#),
            "extension `dataversion` is not a whole number from 1",
            who,
        ),
        (
            structured(r#"{"type":"order.paid","data":1,"data_base64":"eA=="}"#),
            "CloudEvent has both `data` and `data_base64`",
            who,
        ),
        (structured(r#"{"type":"order.paid","data_base64":"?"}"#), "`data_base64` of a CloudEvent is not base64", who),
        (
            of("[]").header("content-type", "application/cloudevents-batch+json"),
            "message is a batch of CloudEvents, which is not read: one message is one event",
            who,
        ),
        (
            of("{}").header("content-type", "application/cloudevents+avro"),
            "message is a CloudEvent as `application/cloudevents+avro`, expected `application/cloudevents+json`",
            who,
        ),
        (of("hunter2"), "envelope: payload is not JSON, at line 1 column 1", who),
        (of(r#"{"event_type":"order.paid"}"#), "the envelope has no `payload`", who),
        (of(r#"{"payload":{}}"#), "the envelope has no `event_type`", who),
        (
            of(r#"{"event_type":"order.paid","event_version":"x","payload":{}}"#),
            "`event_version` of the envelope does not begin with a whole number from 1",
            who,
        ),
    ];
    check(Envelope::BuildingBlocks, cases).await;
}
