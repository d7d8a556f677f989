//! [CloudEvents 1.0], binary mode.
//!
//! The payload is the event as its codec wrote it; every attribute is a header `ce_<name>` with a UTF-8 value, and
//! `datacontenttype` is the header `content-type` ([Kafka binding]). Extensions of ours: `dataversion`,
//! `correlationid`, `causationid`. An aggregate is the `subject`, as `kind/id`.
//!
//! [CloudEvents 1.0]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
//! [Kafka binding]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md

mod form;

use std::borrow::Cow;

use bytes::BytesMut;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Aggregate, EventMeta};
use crate::headers::{Headers, Packing};
use crate::message::{Message, Origin};
use crate::time::utc;

use form::Filled;
pub(crate) use form::Form;

/// The media type of the payload.
pub const CONTENT_TYPE: &str = "content-type";
/// The type of the event.
pub const TYPE: &str = "ce_type";
const SPEC_VERSION: &str = "ce_specversion";
const ID: &str = "ce_id";
const SOURCE: &str = "ce_source";
const TIME: &str = "ce_time";
const SUBJECT: &str = "ce_subject";
/// The version of the payload's shape.
pub const DATA_VERSION: &str = "ce_dataversion";
const CORRELATION_ID: &str = "ce_correlationid";
const CAUSATION_ID: &str = "ce_causationid";

/// Whether a header says something of the event itself, in one that has it or in one that has not.
pub(super) fn is_own(name: &str) -> bool {
    [SPEC_VERSION, ID, TYPE, SOURCE, TIME, SUBJECT, DATA_VERSION, CORRELATION_ID, CAUSATION_ID].contains(&name)
}

/// The headers that say `meta`, for a payload of `content_type`, and `more` behind them; written to the end of
/// `buffer`, whose memory they share.
pub(super) fn write(
    buffer: &mut BytesMut,
    meta: &EventMeta,
    content_type: &str,
    more: &Headers,
    form: &mut Form,
) -> Headers {
    let (time, odd_time);
    let time: &[u8] = match form.time.of(meta.time) {
        Some(text) => {
            time = text;
            &time
        }
        None => {
            odd_time = meta.time.to_rfc3339_opts(SecondsFormat::Micros, true);
            odd_time.as_bytes()
        }
    };
    let mut packing = Packing::into(buffer);
    match form.filled_in_before(meta, content_type, time) {
        Some(before) => before.fill_in(&mut packing, meta, time),
        None => write_always_there(&mut packing, meta, content_type, time, form),
    }
    if let Some(aggregate) = &meta.aggregate {
        packing.put(SUBJECT, Some(aggregate.to_string().as_bytes()));
    }
    if let Some(id) = &meta.correlation_id {
        packing.put(CORRELATION_ID, Some(id.as_bytes()));
    }
    if let Some(id) = &meta.causation_id {
        packing.put(CAUSATION_ID, Some(id.as_bytes()));
    }
    more.iter().for_each(|(name, value)| packing.put(name, value));
    Headers::packed(packing)
}

/// What every event has.
fn write_always_there(packing: &mut Packing<'_>, meta: &EventMeta, content_type: &str, time: &[u8], form: &mut Form) {
    let version = if meta.version == 1 { Cow::Borrowed("1") } else { meta.version.to_string().into() };
    packing.put(CONTENT_TYPE, Some(content_type.as_bytes()));
    packing.put(SPEC_VERSION, Some(b"1.0"));
    packing.put(ID, Some(meta.id.as_bytes()));
    let id_end = packing.written();
    packing.put(TYPE, Some(meta.event_type.as_bytes()));
    packing.put(SOURCE, Some(meta.source.as_bytes()));
    packing.put(TIME, Some(time));
    let time_end = packing.written();
    packing.put(DATA_VERSION, Some(version.as_bytes()));
    form.learn(|| Filled {
        headers: packing.copy(),
        id: (id_end, meta.id.len()),
        time: (time_end, time.len()),
        event_type: meta.event_type.clone(),
        source: meta.source.clone(),
        version: meta.version,
        content_type: content_type.into(),
    });
}

/// The type that `message` says it has; `None` where it says nothing readable.
pub fn event_type(message: &Message) -> Option<&str> {
    message.headers.get_str(TYPE)
}

/// The version that a header says a payload has.
///
/// # Errors
///
/// [`Decode`](ErrorKind::Decode) for one that is no number: it cannot be known which shape the payload has.
pub(crate) fn version(said: &[u8]) -> Result<u32> {
    let problem = || format!("header `{DATA_VERSION}` is not a whole number from 1");
    let unreadable = || Error::new(ErrorKind::Decode, problem()).help("who sends it has to mend it");
    std::str::from_utf8(said).ok().and_then(|said| said.parse().ok()).ok_or_else(unreadable)
}

/// What `message` says about itself in its headers. They are data from outside: what is missing or unreadable is filled
/// from the broker's own knowledge, and `expected_type` stands in where the type is not given. An envelope in the body
/// is not looked into: [`Bus::read`](crate::bus::Bus::read) does that. [The module](super) has an example.
pub fn read(message: &Message, origin: &Origin, expected_type: &str) -> EventMeta {
    // What is empty is not said: CloudEvents has no empty attributes.
    let text = |name: &str| message.headers.get_str(name).filter(|text| !text.is_empty());
    let owned = |name: &str| text(name).map(str::to_owned);
    EventMeta {
        id: owned(ID).unwrap_or_else(|| origin.to_string()),
        time: text(TIME).and_then(|time| time.parse().ok()).unwrap_or_else(|| arrival_time(message)),
        event_type: text(TYPE).unwrap_or(expected_type).to_owned().into(),
        version: message.headers.get(DATA_VERSION).and_then(|said| version(said).ok()).unwrap_or(1),
        source: text(SOURCE).unwrap_or_default().into(),
        aggregate: text(SUBJECT).and_then(Aggregate::parse),
        correlation_id: owned(CORRELATION_ID),
        causation_id: owned(CAUSATION_ID),
    }
}

pub(super) fn arrival_time(message: &Message) -> DateTime<Utc> {
    message.timestamp.and_then(utc).unwrap_or_else(Utc::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin { topic: "users".into(), partition: Some(3), offset: Some(42) }
    }

    fn meta() -> EventMeta {
        EventMeta {
            id: "0190".into(),
            time: "2026-11-24T10:00:00.123456Z".parse().expect("a time"),
            event_type: "user.registered".into(),
            version: 2,
            source: "user-service".into(),
            aggregate: Some(Aggregate::new("user", "a/b")),
            correlation_id: Some("c".into()),
            causation_id: Some("d".into()),
        }
    }

    fn headers() -> Headers {
        write(&mut BytesMut::new(), &meta(), "application/json", &Headers::new(), &mut Form::of_one())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let message = Message { headers: headers(), ..Message::new("users", "") };
        assert_eq!(read(&message, &origin(), "x"), meta());
    }

    #[test]
    fn the_headers_are_those_of_the_cloudevents_kafka_binding() {
        let headers = headers();
        let shown: Vec<_> = headers.iter().collect();
        assert_eq!(
            shown,
            [
                ("content-type", Some(&b"application/json"[..])),
                ("ce_specversion", Some(b"1.0")),
                ("ce_id", Some(b"0190")),
                ("ce_type", Some(b"user.registered")),
                ("ce_source", Some(b"user-service")),
                ("ce_time", Some(b"2026-11-24T10:00:00.123456Z")),
                ("ce_dataversion", Some(b"2")),
                ("ce_subject", Some(b"user/a/b")),
                ("ce_correlationid", Some(b"c")),
                ("ce_causationid", Some(b"d")),
            ]
        );
    }

    #[test]
    fn headers_after_those_of_another_event_are_as_they_would_be_without() {
        let written = |meta: &EventMeta, form: &mut Form| {
            let mut more = Headers::new();
            more.append("tenant", "7");
            write(&mut BytesMut::new(), meta, "application/json", &more, form)
        };
        let others: [fn(&mut EventMeta); 9] = [
            |meta| meta.id = "0191".into(),
            |meta| meta.id = "another length".into(),
            |meta| meta.time += chrono::TimeDelta::microseconds(1),
            |meta| meta.time += chrono::TimeDelta::days(4_000_000),
            |meta| meta.event_type = "user.gone".into(),
            |meta| meta.source = "another".into(),
            |meta| meta.version = 3,
            |meta| meta.aggregate = None,
            |meta| (meta.correlation_id, meta.causation_id) = (None, Some("e".into())),
        ];
        let mut form = Form::of_many();
        for change in others {
            let mut other = meta();
            change(&mut other);
            for meta in [meta(), other] {
                let (with, without) = (written(&meta, &mut form), written(&meta, &mut Form::of_one()));
                assert_eq!(with, without);
                assert_eq!((with.len(), with.size()), (without.len(), without.size()));
            }
        }
        let one_more = write(&mut BytesMut::new(), &meta(), "text/json", &Headers::new(), &mut form);
        assert_eq!(one_more.get_str(CONTENT_TYPE), Some("text/json"));
    }

    #[test]
    fn a_message_without_our_headers_is_known_by_its_origin() {
        let meta = read(&Message::new("users", "{}"), &origin(), "user.registered");
        assert_eq!((&*meta.id, &*meta.event_type, meta.version), ("users[3]@42", "user.registered", 1));
    }
}
