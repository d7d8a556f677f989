//! Ours in AMQP.

use std::time::{SystemTime, UNIX_EPOCH};

use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::Capability;
use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};

use super::{CONTENT_ENCODING, CONTENT_TYPE, KEPT, KEY, MILLIS, ORDER, OURS, THEIRS, THEIRS_TOO, TOMBSTONE, deaths};
use crate::NAME;
use crate::names::LONGEST;

/// `delivery_mode`: survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// What a table costs besides names and values, and what the other properties may take of the frame.
const ENTRY: usize = 6;
const PROPERTIES: usize = 2048;

/// Most headers that `gulo-order` can order.
const MOST: usize = 256;

/// The longest `expiration`, in milliseconds. With more the broker ends the channel.
const LONGEST_LIFE: u128 = u32::MAX as u128;

/// By these a sender names further queues, as a list. Where one is no list, as ours would be none, the broker ends the channel, and
/// with it the confirms of all that is on its way.
const ROUTING: [&str; 2] = ["CC", "BCC"];

/// The id of a message, which the broker gives back with what it could not route: that of the event, where it has one.
pub(crate) fn id_of(message: &Message) -> Option<&str> {
    message.headers.get_str("ce_id").filter(|id| (1..=LONGEST).contains(&id.len()))
}

/// The key, where it can be a routing key: for exchanges that look at it.
pub(crate) fn routing_key(message: &Message) -> ShortString {
    let text = message.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    text.and_then(|text| ShortString::try_new(text).ok()).unwrap_or_default()
}

/// What the headers may take of one frame, into which they all must go.
pub(crate) fn largest_header(frame_max: usize) -> usize {
    frame_max.saturating_sub(PROPERTIES)
}

/// All but the payload. `own_id` for a message that has none.
pub(crate) fn properties(
    message: &Message,
    own_id: impl FnOnce() -> String,
    persistent: bool,
) -> Result<BasicProperties> {
    let id = id_of(message).map_or_else(own_id, str::to_owned);
    let mut properties = BasicProperties::default().with_message_id(short(id)?);
    if persistent {
        properties = properties.with_delivery_mode(PERSISTENT);
    }
    let mut table = FieldTable::default();
    let waits = message.send.deliver_at.is_some();
    let mut places: Vec<Place> = Vec::with_capacity(message.headers.len());
    for (name, value) in message.headers.iter() {
        let place = match (name, value.and_then(as_short)) {
            (CONTENT_TYPE, Some(value)) if properties.content_type().is_none() => {
                properties = properties.with_content_type(value);
                Place::ContentType
            }
            (CONTENT_ENCODING, Some(value)) if properties.content_encoding().is_none() => {
                properties = properties.with_content_encoding(value);
                Place::ContentEncoding
            }
            _ => Place::Table(put(&mut table, name, value, waits)?),
        };
        places.push(place);
    }
    if let Some(order) = order(&places)? {
        table.insert(ORDER.into(), AMQPValue::LongString(order.into()));
    }
    if let Some(kind) = message.headers.get("ce_type").and_then(as_short) {
        properties = properties.with_type(kind);
    }
    if let Some(correlation) = message.headers.get("ce_correlationid").and_then(as_short) {
        properties = properties.with_correlation_id(correlation);
    }
    if let Some(key) = &message.key {
        table.insert(KEY.into(), AMQPValue::LongString(key.to_vec().into()));
    }
    if message.payload.is_none() {
        table.insert(TOMBSTONE.into(), AMQPValue::Boolean(true));
    }
    properties = timed(properties, &mut table, message.timestamp);
    if let Some(expires) = message.send.expires {
        let millis = expires.as_millis();
        if millis > LONGEST_LIFE {
            let error = Error::new(ErrorKind::Refused, format!("a message that expires after {expires:?}"));
            return Err(error.help("RabbitMQ counts to 49 days: give it less, or none"));
        }
        properties = properties.with_expiration(short(millis.to_string())?);
    }
    Ok(if table.inner().is_empty() { properties } else { properties.with_headers(table) })
}

/// The size of the table, as the frame will have it.
pub(crate) fn size_of(headers: &Headers) -> usize {
    headers.size() + headers.len() * (ENTRY + THEIRS.len())
}

/// Whether the broker or ourselves would take a header of this name for their own. A copy of what came, which a dead letter is, may
/// have any.
fn is_anothers(name: &str) -> bool {
    ROUTING.contains(&name)
        || [KEY, ORDER, TOMBSTONE, MILLIS].contains(&name)
        || [KEPT, THEIRS, THEIRS_TOO].iter().any(|prefix| name.starts_with(prefix))
}

/// A header's name in the table, of a message that `waits` or not.
fn put(table: &mut FieldTable, name: &str, value: Option<&[u8]>, waits: bool) -> Result<ShortString> {
    let place = match name.strip_prefix(OURS) {
        Some(attribute) => short(format!("{THEIRS}{attribute}"))?,
        None if is_anothers(name) || waits && deaths::is_the_brokers(name) => short(format!("{KEPT}{name}"))?,
        None => short(name)?,
    };
    if table.contains_key(place.as_str()) {
        let error = Error::new(
            ErrorKind::Unsupported,
            format!(
                "transport `{NAME}` does not offer `{}`: header `{name}` is given more than once",
                Capability::DuplicateHeaders
            ),
        );
        return Err(error.help("give it once, or take a transport that has it"));
    }
    let value = value.map_or(AMQPValue::Void, |value| AMQPValue::LongString(LongString::from(value.to_vec())));
    table.insert(place.clone(), value);
    Ok(place)
}

/// Where a header lies. Sorted, as a reader finds them: properties first, then the table by name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    ContentType,
    ContentEncoding,
    Table(ShortString),
}

/// Where each header stands among the sorted ones; `None` where they are sorted.
fn order(names: &[Place]) -> Result<Option<Vec<u8>>> {
    if names.is_sorted() {
        return Ok(None);
    }
    if names.len() > MOST {
        let text = format!("a message of {} headers", names.len());
        return Err(Error::new(ErrorKind::TooLarge, text).help(format!("RabbitMQ takes {MOST} of us")));
    }
    let mut sorted: Vec<&Place> = names.iter().collect();
    sorted.sort_unstable();
    let place = |name| sorted.binary_search(&name).unwrap_or_default() as u8;
    Ok(Some(names.iter().map(place).collect()))
}

fn timed(properties: BasicProperties, table: &mut FieldTable, timestamp: Option<SystemTime>) -> BasicProperties {
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = since(timestamp.unwrap_or_else(SystemTime::now));
    if timestamp.is_some() && at.subsec_millis() > 0 {
        table.insert(MILLIS.into(), AMQPValue::LongLongInt(i64::try_from(at.as_millis()).unwrap_or(i64::MAX)));
    }
    properties.with_timestamp(at.as_secs())
}

fn as_short(value: &[u8]) -> Option<ShortString> {
    std::str::from_utf8(value).ok().and_then(|text| ShortString::try_new(text).ok())
}

fn short(text: impl Into<String>) -> Result<ShortString> {
    let text = text.into();
    if text.len() > LONGEST {
        let start: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
        return Err(Error::new(ErrorKind::TooLarge, format!("`{start}..` has {} bytes", text.len()))
            .help(format!("names and ids of AMQP have {LONGEST} at most")));
    }
    Ok(text.into())
}
