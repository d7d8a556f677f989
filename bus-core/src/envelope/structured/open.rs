//! A CloudEvent in structured mode, read.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::value::RawValue;

use super::super::Opened;
use super::super::cloud_events::arrival_time;
use super::super::json::{decode, is_json, parse};
use super::{CLOUD_EVENTS, READ, content_type, is_cloud_events};
use crate::codec::essence;
use crate::error::{Result, shown};
use crate::event::{Aggregate, EventMeta};
use crate::message::{Message, Origin};

/// The event in the body of `message`. What may be missing is filled from the broker's own knowledge, as in binary
/// mode.
///
/// # Errors
///
/// [`Decode`](crate::ErrorKind::Decode) for what is no event of CloudEvents 1.0 in JSON, or for one whose data cannot
/// be told.
pub(crate) fn open(message: &Message, origin: &Origin) -> Result<Opened> {
    let outer = content_type(message);
    if let Some(outer) = outer.filter(|outer| is_cloud_events(outer)) {
        check_format(essence(outer))?;
    }
    let body = message.payload.as_ref().ok_or_else(|| decode("a CloudEvent in structured mode has no body"))?;
    let event: Read<'_> = parse(body, "CloudEvent in structured mode")?;
    check_version(event.specversion.as_deref())?;
    let version_given = event.dataversion.0.as_deref().map(version).transpose()?;
    // The SDK for Python wrote the content type of the data into the header until 2.0, and not into the event.
    let outer = || outer.filter(|outer| !is_cloud_events(outer)).map(str::to_owned);
    let content_type = event.datacontenttype.or_else(outer);
    // CloudEvents has no empty attributes.
    let said = |text: &String| !text.is_empty();
    let data = data(body, event.data, event.data_base64, content_type.as_deref())?;
    let meta = EventMeta {
        id: event.id.filter(said).unwrap_or_else(|| origin.to_string()),
        time: event.time.and_then(|time| time.parse().ok()).unwrap_or_else(|| arrival_time(message)),
        event_type: event
            .r#type
            .filter(said)
            .ok_or_else(|| decode("a CloudEvent in structured mode has no `type`"))?
            .into(),
        version: version_given.unwrap_or(1),
        source: event.source.unwrap_or_default().into(),
        aggregate: event.subject.as_deref().and_then(Aggregate::parse),
        correlation_id: event.correlationid.0.filter(said),
        causation_id: event.causationid.0.filter(said),
    };
    Ok(Opened { meta, version_given, content_type, data })
}

/// A CloudEvent as JSON, read: only what we know of it.
#[derive(Deserialize)]
struct Read<'a> {
    specversion: Option<String>,
    id: Option<String>,
    r#type: Option<String>,
    source: Option<String>,
    time: Option<String>,
    subject: Option<String>,
    datacontenttype: Option<String>,
    #[serde(default)]
    dataversion: Text,
    #[serde(default)]
    correlationid: Text,
    #[serde(default)]
    causationid: Text,
    #[serde(borrow, default, deserialize_with = "even_null")]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
}

/// An extension: some software writes numbers and booleans as such.
#[derive(Default)]
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a whole number or a boolean")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text(Some(value.to_string())))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text(Some(value.to_string())))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text(Some(value.to_string())))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Text, E> {
                Ok(Text(Some(value.to_owned())))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// `null` is data, where it is JSON: an event without fields is written so.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn check_format(essence: &str) -> Result<()> {
    if essence.eq_ignore_ascii_case(READ) {
        return Ok(());
    }
    let batch = essence.get(CLOUD_EVENTS.len()..).is_some_and(|rest| rest.to_ascii_lowercase().starts_with("-batch"));
    let problem = match batch {
        true => "is a batch of CloudEvents, which is not read: one message is one event".to_owned(),
        false => format!("is a CloudEvent as `{}`, expected `{READ}`", shown(essence)),
    };
    Err(decode(format!("message {problem}")))
}

/// 1.0 is what there is of 1; 0.3 has other rules for its data.
fn check_version(specversion: Option<&str>) -> Result<()> {
    match specversion {
        Some(version) if version.split('.').next() != Some("1") => {
            Err(decode(format!("CloudEvent is of specversion `{}`, expected `1.0`", shown(version))))
        }
        _ => Ok(()),
    }
}

fn version(text: &str) -> Result<u32> {
    text.parse().map_err(|_| decode("extension `dataversion` is not a whole number from 1"))
}

fn data(
    body: &Bytes,
    data: Option<&RawValue>,
    base64: Option<String>,
    content_type: Option<&str>,
) -> Result<Option<Bytes>> {
    match (data, base64) {
        (Some(_), Some(_)) => Err(decode("CloudEvent has both `data` and `data_base64`")),
        (None, None) => Ok(None),
        (None, Some(base64)) => {
            let decoded = STANDARD_PAD_INDIFFERENT.decode(base64);
            decoded.map(|data| Some(data.into())).map_err(|_| decode("`data_base64` of a CloudEvent is not base64"))
        }
        (Some(data), None) if is_json(content_type) => Ok(Some(body.slice_ref(data.get().as_bytes()))),
        (Some(data), None) => Ok(text(body, data)),
    }
}

/// Data that is not JSON: a string is its text, anything else stands for itself.
fn text(body: &Bytes, data: &RawValue) -> Option<Bytes> {
    let json = data.get();
    if json == "null" {
        return None;
    }
    // Without escapes it stands in the body as it is.
    if let Ok(text) = serde_json::from_str::<&str>(json) {
        return Some(body.slice_ref(text.as_bytes()));
    }
    Some(serde_json::from_str::<String>(json).map_or_else(|_| body.slice_ref(json.as_bytes()), Bytes::from))
}
