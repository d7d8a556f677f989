//! The JSON envelope of `fastapi-building-blocks` for Python: metadata beside the event, which is `payload` and repeats
//! them.
//!
//! ```json
//! {"event_id": "5f0c...", "event_type": "UserRegistered", "event_version": "1.0", "occurred_at": "2026-11-24T10:00:00.123456",
//!  "correlation_id": null, "causation_id": null, "source_service": "user-service",
//!  "payload": {"event_id": "5f0c...", "...": "...", "aggregate_id": null, "aggregate_type": null, "user_id": 42},
//!  "content_type": "application/json", "schema_version": "1.0"}
//! ```
//!
//! Its headers are `event_type`, `event_id`, `event_version`, `correlation_id` (empty where there is none) and
//! `source_service`; its dead letters have none. A version is a text with a point, of which the part before it counts;
//! a time without an offset is UTC. What is an aggregate stands only in `payload`, mostly without its type.

mod seal;

use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::Opened;
use super::cloud_events::arrival_time;
use super::json::{decode, parse};
use crate::error::Result;
use crate::event::{Aggregate, EventMeta};
use crate::message::{Message, Origin};

pub(super) use seal::seal;

const EVENT_ID: &str = "event_id";
const EVENT_TYPE: &str = "event_type";
const EVENT_VERSION: &str = "event_version";
const OCCURRED_AT: &str = "occurred_at";
const CORRELATION_ID: &str = "correlation_id";
const CAUSATION_ID: &str = "causation_id";
const SOURCE_SERVICE: &str = "source_service";
const AGGREGATE_ID: &str = "aggregate_id";
const AGGREGATE_TYPE: &str = "aggregate_type";

/// The event in the body of `message`; `None` where nothing says that it is this envelope, and it is an event by itself, as on
/// any topic.
///
/// # Errors
///
/// [`Decode`](crate::ErrorKind::Decode) for a body that is not JSON, or an envelope without a type or an event.
pub(super) fn open(message: &Message, origin: &Origin) -> Result<Option<Opened>> {
    let body = message.payload.as_ref().ok_or_else(|| decode("message has no body, expected an envelope"))?;
    let is_headed = message.headers.get(EVENT_TYPE).is_some();
    match parse::<Envelope<'_>>(body, "envelope") {
        Ok(said) if is_headed || said.payload.is_some() || said.event_type.is_some() => {
            opened(said, body, message, origin).map(Some)
        }
        Err(error) if is_headed || !is_by_itself(body) => Err(error),
        _ => Ok(None),
    }
}

/// Whether a body that does not read as an envelope is JSON without what makes it one: an event may be of any shape, and have
/// fields of other kinds by these names.
fn is_by_itself(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Signs {
        event_type: Option<IgnoredAny>,
        payload: Option<IgnoredAny>,
    }
    match body.trim_ascii_start().starts_with(b"{") {
        true => parse::<Signs>(body, "").is_ok_and(|said| said.event_type.is_none() && said.payload.is_none()),
        false => serde_json::from_slice::<IgnoredAny>(body).is_ok(),
    }
}

/// The body counts, as for the consumer in Python; what it lacks is taken from the headers, or filled from the broker's own
/// knowledge.
fn opened(said: Envelope<'_>, body: &Bytes, message: &Message, origin: &Origin) -> Result<Opened> {
    let payload = said.payload.ok_or_else(|| decode("the envelope has no `payload`"))?.get();
    let or_header = |value: Option<String>, header: &str| {
        let header = || message.headers.get_str(header).map(str::to_owned);
        value.or_else(header).filter(|value| !value.is_empty())
    };
    let event_type =
        or_header(said.event_type, EVENT_TYPE).ok_or_else(|| decode("the envelope has no `event_type`"))?;
    let version_given = or_header(said.event_version, EVENT_VERSION).as_deref().map(version).transpose()?;
    let meta = EventMeta {
        id: or_header(said.event_id, EVENT_ID).unwrap_or_else(|| origin.to_string()),
        time: said.occurred_at.as_deref().and_then(time).unwrap_or_else(|| arrival_time(message)),
        event_type: event_type.into(),
        version: version_given.unwrap_or(1),
        source: or_header(said.source_service, SOURCE_SERVICE).unwrap_or_default().into(),
        aggregate: aggregate(payload),
        correlation_id: or_header(said.correlation_id, CORRELATION_ID),
        causation_id: said.causation_id.filter(|id| !id.is_empty()),
    };
    let data = Some(body.slice_ref(payload.as_bytes()));
    Ok(Opened { meta, version_given, content_type: said.content_type, data })
}

#[derive(Deserialize)]
struct Envelope<'a> {
    event_id: Option<String>,
    event_type: Option<String>,
    event_version: Option<String>,
    occurred_at: Option<String>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    source_service: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    content_type: Option<String>,
}

fn version(text: &str) -> Result<u32> {
    let major = text.split('.').next().unwrap_or_default();
    major.parse().map_err(|_| decode("`event_version` of the envelope does not begin with a whole number from 1"))
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    text.parse().ok().or_else(|| text.parse::<NaiveDateTime>().ok().map(|time| time.and_utc()))
}

/// What `payload` says it is about, where it says so in the way of this envelope: it is an event, and its fields are
/// its own.
fn aggregate(payload: &str) -> Option<Aggregate> {
    #[derive(Deserialize)]
    struct About {
        aggregate_id: Option<String>,
        aggregate_type: Option<String>,
    }
    let about: About = parse(payload.as_bytes(), "").ok()?;
    Some(Aggregate::new(about.aggregate_type.unwrap_or_default(), about.aggregate_id?))
}

#[cfg(test)]
mod tests;
