//! Topics that change how events lie in them while they are read.

use bytes::{BufMut, BytesMut};
use gulo::codec::{AnyCodec, Codec, CodecError, ReadEvent, erased_serde};
use gulo::prelude::*;

use crate::bench::{Bench, assert_stops_with};
use crate::shared::{Log, Step, step, steps};

/// A codec of somebody else's: JSON behind a mark.
struct Marked;

impl Codec for Marked {
    fn content_type(&self) -> &str {
        "application/vnd.engine.marked"
    }

    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
        buffer.put_u8(b'#');
        Ok(serde_json::to_writer(buffer.writer(), event)?)
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        let json = payload.strip_prefix(b"#").ok_or("no mark")?;
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut serde_json::Deserializer::from_slice(json)))?;
        Ok(())
    }
}

fn codecs() -> Vec<AnyCodec> {
    let all = [
        Json.into(),
        Marked.into(),
        #[cfg(feature = "msgpack")]
        MessagePack.into(),
    ];
    all.into()
}

async fn notes(Event(step): Event<Step>, State(log): State<Log>) {
    log.done(step);
}

/// The group reads all the while; who publishes is deployed anew with the next codec, again and again.
pub async fn a_topic_that_changes_its_codec_while_it_is_read_loses_nothing_and_keeps_its_order(bench: Bench) {
    let bench = bench.spread();
    let reader = bench.bus(bench.subscription().concurrency(Concurrency::per_key(8)).on(notes));
    let reader =
        reader.topic(bench.topic.clone(), |topic| topic.codec(Json).reads(Marked)).start().await.expect("starts");
    let codecs = codecs();
    let rounds = 6;
    for round in 0..rounds {
        let codec = codecs[round as usize % codecs.len()].clone();
        let writer = Bus::builder("writer").shared_transport(bench.client());
        let writer = writer.topic(bench.topic.clone(), |topic| topic.codec(codec)).start().await.expect("starts");
        writer.publish_all(steps(0..5, round * 10..round * 10 + 10)).await.expect("confirmed");
        writer.shutdown(std::time::Duration::from_secs(20)).await.expect("clean");
    }
    bench.until_done(steps(0..5, 0..rounds * 10)).await;
    let content_types = bench.log.texts();
    for order in 0..5 {
        let of_order: Vec<_> = content_types.iter().filter(|text| text.starts_with(&format!("{order}."))).collect();
        let expected: Vec<_> = (0..rounds * 10).map(|number| format!("{order}.{number} done")).collect();
        assert_eq!(of_order, expected.iter().collect::<Vec<_>>(), "each once, in order");
    }
    assert_eq!(bench.letters().await, []);
    assert_stops_with(reader, (u64::from(rounds) * 50, 0, 0, 0, 0)).await;
}

/// A codec that a topic is not said to have is no reason to guess.
pub async fn a_codec_that_is_not_read_is_a_dead_letter_that_names_what_is(bench: Bench) {
    let bus = bench.bus(bench.subscription().on(notes));
    let bus = bus.topic(bench.topic.clone(), |topic| topic.codec(Marked).reads_nothing_else()).start().await.unwrap();
    let json = bench.message(step(1, 1));
    bench.send(vec![json]).await;
    bus.publish(step(1, 2)).await.expect("confirmed");
    bench.until_done([step(1, 2)]).await;
    let letters = bench.letters().await;
    let error = letters[0].headers.get_str(gulo::dead_letter::ERROR);
    let text = "content type is `application/json`, expected `application/vnd.engine.marked` (let the topic read it: \
                `.topic(.., |t| t.reads(codec))`)";
    assert_eq!(error, Some(text));
    assert_stops_with(bus, (1, 0, 1, 0, 0)).await;
}

/// In an envelope in the body, a message carries all that headers would say.
pub async fn structured_events_are_read_beside_binary_ones(bench: Bench) {
    let bus = bench.bus(bench.subscription().on(
        async |Event(step): Event<Step>, Meta(meta): Meta, State(log): State<Log>| {
            log.note(format!("{} {} {}", meta.source, meta.correlation_id.as_deref().unwrap_or("none"), step.number));
            log.done(step);
        },
    ));
    let bus = bus.topic(bench.topic.clone(), |topic| topic.envelope(Envelope::CloudEventsStructured)).start().await;
    let bus = bus.expect("starts");
    bench.send(vec![bench.message(step(1, 1))]).await;
    bus.publish(Outgoing::new(step(1, 2)).correlation_id("c-1")).await.expect("confirmed");
    bench.until_done([step(1, 1), step(1, 2)]).await;
    assert!(bench.log.has("elsewhere none 1") && bench.log.has("engine c-1 2"), "{:#?}", bench.log.texts());
    assert_stops_with(bus, (2, 0, 0, 0, 0)).await;
}

/// As Python's building blocks write it: the event inside of an envelope of JSON, a version as text, a time without a zone.
pub async fn the_envelope_of_building_blocks_is_read_beside_our_own_and_written(bench: Bench) {
    let handler = async |Event(step): Event<Step>, Meta(meta): Meta, State(log): State<Log>| {
        log.note(format!("{} {} {} {}", meta.id, meta.version, meta.source, meta.time.timestamp()));
        log.done(step);
    };
    let bus = bench.bus(bench.subscription().on(handler));
    let bus = bus.topic(bench.topic.clone(), |topic| topic.envelope(Envelope::BuildingBlocks)).start().await.unwrap();
    let theirs = concat!(
        r#"{"event_id":"5f0c0000-0000-4000-8000-000000000001","event_type":"engine.step","event_version":"1.0","#,
        r#""occurred_at":"2026-11-24T10:00:00.123456","correlation_id":null,"causation_id":null,"source_service":"python","#,
        r#""payload":{"event_id":"5f0c0000-0000-4000-8000-000000000001","order":1,"number":1},"#,
        r#""content_type":"application/json","schema_version":"1.0"}"#,
    );
    bench.send(vec![Message::new(bench.topic.clone(), theirs).key("1"), bench.message(step(1, 2))]).await;
    bus.publish(step(1, 3)).await.expect("confirmed");
    bench.until_done([step(1, 1), step(1, 2), step(1, 3)]).await;
    let first = bench.log.with("python");
    assert_eq!(first, ["5f0c0000-0000-4000-8000-000000000001 1 python 1795514400"]);
    assert_stops_with(bus, (3, 0, 0, 0, 0)).await;
}
