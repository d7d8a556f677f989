//! [CloudEvents 1.0], structured mode: all of the event is one JSON object ([JSON format], [Kafka binding]).
//!
//! Data of a JSON content type is a member as it is, `data`, and is read without being copied. Any other data is
//! written as `data_base64`; text in `data` is read too, as other SDKs write it. Extensions that are not ours are not
//! read.
//!
//! [CloudEvents 1.0]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
//! [JSON format]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
//! [Kafka binding]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md

mod open;

use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use bytes::{Bytes, BytesMut};
use chrono::SecondsFormat;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::CONTENT_TYPE;
use super::json::{encode, is_json, parse, raw_json};
use crate::error::Result;
use crate::event::{Aggregate, EventMeta};
use crate::headers::Headers;
use crate::message::Message;

pub(super) use open::open;

/// What every media type of a whole event begins with.
const CLOUD_EVENTS: &str = "application/cloudevents";
const READ: &str = "application/cloudevents+json";
const WRITTEN: &str = "application/cloudevents+json; charset=UTF-8";

/// Whether this content type is that of structured mode.
pub(super) fn is(content_type: &[u8]) -> bool {
    let content_type = content_type.trim_ascii_start();
    content_type.get(..CLOUD_EVENTS.len()).is_some_and(|start| start.eq_ignore_ascii_case(CLOUD_EVENTS.as_bytes()))
}

/// Whether `message` is in structured mode although its content type is that of its data, as the SDK for Python wrote
/// it until 2.0.
pub(super) fn is_unsaid(message: &Message) -> bool {
    #[derive(Deserialize)]
    struct Any {
        specversion: Option<IgnoredAny>,
    }
    let body = message.payload.as_deref().unwrap_or_default();
    parse::<Any>(body, "").is_ok_and(|any| any.specversion.is_some())
}

fn content_type(message: &Message) -> Option<&str> {
    message.headers.get_str(CONTENT_TYPE)
}

fn is_cloud_events(content_type: &str) -> bool {
    is(content_type.as_bytes())
}

/// The body and the header of an event whose codec wrote `payload`, of `content_type`.
///
/// # Errors
///
/// [`Encode`](crate::ErrorKind::Encode) for a payload that is not the JSON that it is said to be.
pub(super) fn seal(
    meta: &EventMeta,
    content_type: &str,
    payload: &[u8],
    buffer: &mut BytesMut,
) -> Result<(Bytes, Headers)> {
    let json = is_json(Some(content_type));
    let event = Written {
        specversion: "1.0",
        id: &meta.id,
        r#type: &meta.event_type,
        source: &meta.source,
        time: meta.time.to_rfc3339_opts(SecondsFormat::Micros, true),
        subject: meta.aggregate.as_ref().map(Aggregate::to_string),
        datacontenttype: content_type,
        dataversion: meta.version.to_string(),
        correlationid: meta.correlation_id.as_deref(),
        causationid: meta.causation_id.as_deref(),
        data: json.then(|| raw_json(payload)).transpose()?,
        data_base64: (!json).then_some(Base64(payload)),
    };
    let body = encode(&event, buffer)?;
    Ok((body, Headers::pack(buffer, [(CONTENT_TYPE, Some(WRITTEN.as_bytes()))])))
}

/// A CloudEvent as JSON, written. The extensions are text, as they are in headers.
#[derive(Serialize)]
struct Written<'a> {
    specversion: &'a str,
    id: &'a str,
    r#type: &'a str,
    source: &'a str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    datacontenttype: &'a str,
    dataversion: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<Base64<'a>>,
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::<GeneralPurpose>::new(self.0, &STANDARD))
    }
}

#[cfg(test)]
mod tests;
