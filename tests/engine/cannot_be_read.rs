//! Messages that are not what the group's handlers take.

use gulo::bus::Unhandled;
use gulo::dead_letter as dlq;
use gulo::envelope;
use gulo::message::Message;
use gulo::prelude::*;

use crate::bench::{Bench, assert_stops_with, header, headers};
use crate::shared::{Log, Step, step};

async fn notes(Event(step): Event<Step>, State(log): State<Log>) {
    log.done(step);
}

pub async fn what_does_not_decode_is_a_dead_letter_with_its_raw_bytes_and_the_topic_goes_on(bench: Bench) {
    let typed =
        |payload: &'static [u8]| Message::new(bench.topic.clone(), payload).key("1").header(envelope::TYPE, Step::TYPE);
    let cases = [
        (typed(b"\xff\x00 no json"), "payload is not JSON"),
        (typed(br#"{"order":"x","number":1}"#), "invalid type: string, expected u32"),
        (typed(b"{}").header("content-type", "text/xml"), "content type is `text/xml`"),
        (typed(b"{}").header("ce_dataversion", "7"), "version 7 of `engine.step` is not supported"),
        (typed(b"{}").header("ce_dataversion", "new"), "`ce_dataversion` is not a whole number"),
        (typed(b""), "payload ends too early"),
    ];
    let bus = bench.start(bench.subscription().on(notes)).await;
    let mut batch: Vec<Message> = cases.iter().map(|(message, _)| message.clone()).collect();
    batch.push(bench.message(step(1, 1)));
    bench.send(batch).await;
    bench.until_done([step(1, 1)]).await;

    let letters = bench.letters().await;
    assert_eq!(letters.len(), cases.len());
    for (letter, (original, why)) in letters.iter().zip(&cases) {
        assert_eq!((&letter.key, &letter.payload), (&original.key, &original.payload), "{why}");
        assert!(headers(letter).starts_with(&headers(original)), "{:?}", headers(letter));
        assert_eq!([dlq::REASON, dlq::ATTEMPTS].map(|name| header(letter, name)), ["undecodable", "0"], "{why}");
        assert!(header(letter, dlq::ERROR).contains(why), "{}", header(letter, dlq::ERROR));
    }
    assert_stops_with(bus, (1, 0, 6, 0, 0)).await;
    assert_eq!(bench.redelivered().await, []);
}

/// A message of a type that the group has no handler for, though it would decode.
fn foreign(bench: &Bench) -> Message {
    let mut message = bench.message(step(1, 7));
    message.headers.set(envelope::TYPE, "engine.other");
    message
}

pub async fn a_type_without_a_handler_and_a_tombstone_are_passed_over_and_counted(bench: Bench) {
    let bus = bench.start(bench.subscription().on(notes)).await;
    let tombstone = Message::tombstone(bench.topic.clone()).key("1");
    bench.send(vec![foreign(&bench), tombstone, bench.message(step(1, 1))]).await;
    bench.until_done([step(1, 1)]).await;
    assert_eq!(bench.log.texts(), ["1.1 done"]);
    assert_stops_with(bus, (1, 0, 0, 2, 0)).await;
    assert_eq!(bench.letters().await, []);
    assert_eq!(bench.redelivered().await, []);
}

pub async fn a_type_without_a_handler_is_a_dead_letter_where_the_group_says_so(bench: Bench) {
    let bus = bench.start(bench.subscription().unhandled(Unhandled::DeadLetter).on(notes)).await;
    let foreign = foreign(&bench);
    bench.send(vec![foreign.clone(), bench.message(step(1, 1))]).await;
    bench.until_done([step(1, 1)]).await;
    assert_eq!(bench.log.texts(), ["1.1 done"]);
    let letters = bench.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].key, &letters[0].payload), (&foreign.key, &foreign.payload));
    let said = [dlq::REASON, dlq::ERROR, dlq::ATTEMPTS, envelope::TYPE].map(|name| header(&letters[0], name));
    let text = "no handler for events of type `engine.other` (add one with `.on(handler)`, or pass such over: `Unhandled::Skip`)";
    assert_eq!(said, ["undecodable", text, "0", "engine.other"]);
    assert_stops_with(bus, (1, 0, 1, 0, 0)).await;
}
