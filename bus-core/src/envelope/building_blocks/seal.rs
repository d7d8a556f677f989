//! The envelope, written.

use std::fmt;

use bytes::{Bytes, BytesMut};
use chrono::Timelike;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::json::{encode, is_json, raw_json};
use super::{
    AGGREGATE_ID, AGGREGATE_TYPE, CAUSATION_ID, CORRELATION_ID, EVENT_ID, EVENT_TYPE, EVENT_VERSION, OCCURRED_AT,
    SOURCE_SERVICE,
};
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventMeta;
use crate::headers::Headers;

/// The body and the headers of an event whose codec wrote `payload`, of `content_type`.
///
/// # Errors
///
/// [`Encode`](ErrorKind::Encode) for what its consumers could not read: an event that is not a JSON object, or an id
/// that is no UUID.
pub(crate) fn seal(
    meta: &EventMeta,
    content_type: &str,
    payload: &[u8],
    buffer: &mut BytesMut,
) -> Result<(Bytes, Headers)> {
    check_ids(meta)?;
    if !is_json(Some(content_type)) {
        return Err(refused(format!("takes only events of JSON, not of `{content_type}`")));
    }
    let fields = raw_json(payload)?.get();
    let fields = serde_json::from_str(fields).map_err(|_| refused("takes only events that are JSON objects"))?;
    let (time, version) = (naive(meta), format!("{}.0", meta.version));
    let said = Said { meta, time: &time, version: &version };
    let envelope = Envelope { said, payload: Payload { said, fields }, content_type };
    let body = encode(&envelope, buffer)?;
    let headers = [
        (EVENT_TYPE, &*meta.event_type),
        (EVENT_ID, &*meta.id),
        (EVENT_VERSION, &*version),
        (CORRELATION_ID, meta.correlation_id.as_deref().unwrap_or_default()),
        (SOURCE_SERVICE, &*meta.source),
    ];
    Ok((body, Headers::pack(buffer, headers.map(|(name, value)| (name, Some(value.as_bytes()))))))
}

fn refused(problem: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Encode, format!("the envelope of building blocks {problem}"))
        .help("give it one, or the topic another envelope")
}

/// Its consumers refuse a message with any other id, and lose it after some tries: better that it is never sent.
fn check_ids(meta: &EventMeta) -> Result<()> {
    let ids = [
        (EVENT_ID, Some(&*meta.id)),
        (CORRELATION_ID, meta.correlation_id.as_deref()),
        (CAUSATION_ID, meta.causation_id.as_deref()),
        (AGGREGATE_ID, meta.aggregate.as_ref().map(|aggregate| &*aggregate.id)),
    ];
    let wrong = ids.into_iter().find(|(_, id)| id.is_some_and(|id| Uuid::try_parse(id).is_err()));
    wrong.map_or(Ok(()), |(name, _)| Err(refused(format!("takes only a UUID as `{name}`"))))
}

/// As Python writes a time without an offset: microseconds where there are any.
fn naive(meta: &EventMeta) -> String {
    let time = meta.time.naive_utc();
    let format = if time.nanosecond() < 1000 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S%.6f" };
    time.format(format).to_string()
}

#[derive(Clone, Copy)]
struct Said<'a> {
    meta: &'a EventMeta,
    time: &'a str,
    version: &'a str,
}

impl<'a> Said<'a> {
    /// What stands in the envelope and in its payload, in the order of the envelope.
    fn fields(self) -> [(&'static str, Option<&'a str>); 7] {
        let meta = self.meta;
        [
            (EVENT_ID, Some(&meta.id)),
            (EVENT_TYPE, Some(&meta.event_type)),
            (EVENT_VERSION, Some(self.version)),
            (OCCURRED_AT, Some(self.time)),
            (CORRELATION_ID, meta.correlation_id.as_deref()),
            (CAUSATION_ID, meta.causation_id.as_deref()),
            (SOURCE_SERVICE, Some(&meta.source)),
        ]
    }

    /// What stands only in the payload.
    fn aggregate(self) -> [(&'static str, Option<&'a str>); 2] {
        let aggregate = self.meta.aggregate.as_ref();
        let kind = aggregate.map(|aggregate| &*aggregate.kind).filter(|kind| !kind.is_empty());
        [(AGGREGATE_ID, aggregate.map(|aggregate| &*aggregate.id)), (AGGREGATE_TYPE, kind)]
    }
}

struct Envelope<'a> {
    said: Said<'a>,
    payload: Payload<'a>,
    content_type: &'a str,
}

impl Serialize for Envelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.said.fields() {
            map.serialize_entry(name, &value)?;
        }
        map.serialize_entry("payload", &self.payload)?;
        map.serialize_entry("content_type", self.content_type)?;
        map.serialize_entry("schema_version", "1.0")?;
        map.end()
    }
}

/// The event with what is said about it, as its consumers make their event of it. A field of the event's own stays as
/// it is.
struct Payload<'a> {
    said: Said<'a>,
    fields: Fields<'a>,
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.said.fields().into_iter().chain(self.said.aggregate()) {
            if !self.fields.0.iter().any(|(own, _)| own == name) {
                map.serialize_entry(name, &value)?;
            }
        }
        for (name, value) in &self.fields.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The fields of a JSON object, their values as they are.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
