//! AMQP's in ours.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::{Message, Wishes};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, ShortString};

use super::{
    CONTENT_ENCODING, CONTENT_TYPE, KEPT, KEY, MILLIS, ORDER, OURS, OWN_ID, THEIRS, THEIRS_TOO, TOMBSTONE, deaths,
};

/// Where RabbitMQ counts how often a quorum queue has handed a message out before.
const DELIVERIES: &str = "x-delivery-count";

/// What came, and how often it had been handed out before.
pub(crate) fn message(topic: &Arc<str>, delivery: Delivery) -> (Message, u32) {
    let counted =
        delivery.properties.headers().as_ref().and_then(|table| table.inner().get(DELIVERIES)).and_then(number);
    let before = counted.and_then(|count| u32::try_from(count).ok()).unwrap_or_else(|| u32::from(delivery.redelivered));
    (parts(topic, &delivery.properties, delivery.data.into()), before)
}

pub(super) fn parts(topic: &Arc<str>, properties: &BasicProperties, payload: Bytes) -> Message {
    let (mut own, mut odd) = (Own::default(), false);
    let headers = properties.headers().as_ref().map_or(0, |table| table.inner().len());
    let mut list: Vec<(Name<'_>, Value<'_>)> = Vec::with_capacity(if headers == 0 { 0 } else { headers + 2 });
    list.extend(property(CONTENT_TYPE, properties.content_type()));
    list.extend(property(CONTENT_ENCODING, properties.content_encoding()));
    if let Some(table) = properties.headers() {
        for (name, value) in table.inner() {
            if own.takes(name.as_str(), value) {
                continue;
            }
            match deaths::without_ours(name.as_str(), value, table) {
                None => {
                    let (read, is_usual) = Name::of(name.as_str());
                    odd |= !is_usual;
                    list.push((read, Value::of(value)));
                }
                Some(None) => {}
                Some(Some(rest)) => list.push((Name::Same(name.as_str()), Value::Text(json(&rest)))),
            }
        }
    }
    if let Some(order) = own.order {
        list = ordered(list, order);
    }
    if odd {
        keep_one_of_a_name(&mut list);
    }
    add_properties(&mut list, properties);
    let timestamp = own.millis.or_else(|| properties.timestamp().map(|seconds| seconds.saturating_mul(1000)));
    Message {
        topic: topic.clone(),
        key: own.key.map(Bytes::copy_from_slice),
        payload: (!own.tombstone).then_some(payload),
        headers: pack(&list),
        timestamp: timestamp.and_then(at),
        send: Wishes::default(),
    }
}

/// What we wrote besides the headers.
#[derive(Default)]
struct Own<'a> {
    key: Option<&'a [u8]>,
    order: Option<&'a [u8]>,
    millis: Option<u64>,
    tombstone: bool,
}

impl<'a> Own<'a> {
    fn takes(&mut self, name: &str, value: &'a AMQPValue) -> bool {
        match (name, value) {
            (KEY, AMQPValue::LongString(key)) => self.key = Some(key.as_bytes()),
            (ORDER, AMQPValue::LongString(order)) => self.order = Some(order.as_bytes()),
            (TOMBSTONE, AMQPValue::Boolean(true)) => self.tombstone = true,
            (MILLIS, _) if number(value).is_some_and(|millis| millis >= 0) => {
                self.millis = number(value).and_then(|millis| u64::try_from(millis).ok());
            }
            (DELIVERIES, _) => {}
            _ => return false,
        }
        true
    }
}

enum Name<'a> {
    Same(&'a str),
    Attribute(String),
}

impl<'a> Name<'a> {
    /// With whether we write no other name for what we read as the same.
    fn of(name: &'a str) -> (Self, bool) {
        let attribute = |name| Self::Attribute(format!("{OURS}{name}"));
        if let Some(known) = name.strip_prefix(THEIRS) {
            return (attribute(known), true);
        }
        if let Some(known) = name.strip_prefix(THEIRS_TOO) {
            return (attribute(known), false);
        }
        match name.strip_prefix(KEPT) {
            Some(kept) => (Self::Same(kept), false),
            None => (Self::Same(name), !name.starts_with(OURS)),
        }
    }
}

impl AsRef<str> for Name<'_> {
    fn as_ref(&self) -> &str {
        match self {
            Self::Same(name) => name,
            Self::Attribute(name) => name,
        }
    }
}

enum Value<'a> {
    Null,
    Bytes(&'a [u8]),
    Text(String),
}

impl<'a> Value<'a> {
    fn of(value: &'a AMQPValue) -> Self {
        match value {
            AMQPValue::Void => Self::Null,
            AMQPValue::LongString(bytes) => Self::Bytes(bytes.as_bytes()),
            AMQPValue::ShortString(text) => Self::Bytes(text.as_str().as_bytes()),
            AMQPValue::ByteArray(bytes) => Self::Bytes(bytes.as_slice()),
            other => Self::Text(json(other)),
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Null => None,
            Self::Bytes(bytes) => Some(bytes),
            Self::Text(text) => Some(text.as_bytes()),
        }
    }
}

fn property<'a>(name: &'static str, value: &'a Option<ShortString>) -> Option<(Name<'a>, Value<'a>)> {
    value.as_ref().map(|value| (Name::Same(name), Value::Bytes(value.as_str().as_bytes())))
}

/// Names that differ in the table may be the same with us, where others wrote them: the first one counts, or a copy of the message
/// could not be sent on.
fn keep_one_of_a_name(list: &mut Vec<(Name<'_>, Value<'_>)>) {
    let mut seen = std::collections::HashSet::with_capacity(list.len());
    let first: Vec<bool> = list.iter().map(|(name, _)| seen.insert(name.as_ref().to_owned())).collect();
    let mut first = first.into_iter();
    list.retain(|_| first.next().unwrap_or(true));
}

/// What other software says by properties, where it says nothing as CloudEvents.
fn add_properties<'a>(list: &mut Vec<(Name<'a>, Value<'a>)>, properties: &'a BasicProperties) {
    let id = properties.message_id().as_ref().map_or("", ShortString::as_str);
    if id.starts_with(OWN_ID) || list.iter().any(|(name, _)| matches!(name, Name::Attribute(_))) {
        return;
    }
    list.extend(property("amqp-message-id", properties.message_id()));
    list.extend(property("amqp-type", properties.kind()));
    list.extend(property("amqp-correlation-id", properties.correlation_id()));
    list.extend(property("amqp-reply-to", properties.reply_to()));
    list.extend(property("amqp-app-id", properties.app_id()));
}

/// Puts what came sorted in the order in which it was sent; leaves it where `order` does not fit, as after somebody added
/// or took out a header.
fn ordered<'a>(list: Vec<(Name<'a>, Value<'a>)>, order: &[u8]) -> Vec<(Name<'a>, Value<'a>)> {
    let mut seen = [false; 256];
    let fits = order.len() == list.len()
        && order
            .iter()
            .all(|place| usize::from(*place) < list.len() && !std::mem::replace(&mut seen[usize::from(*place)], true));
    if !fits {
        return list;
    }
    let mut list: Vec<_> = list.into_iter().map(Some).collect();
    order.iter().filter_map(|place| list[usize::from(*place)].take()).collect()
}

fn pack(list: &[(Name<'_>, Value<'_>)]) -> Headers {
    if list.is_empty() {
        return Headers::default();
    }
    let size = |(name, value): &(Name<'_>, Value<'_>)| 8 + name.as_ref().len() + value.bytes().map_or(0, <[u8]>::len);
    let mut buffer = BytesMut::with_capacity(list.iter().map(size).sum());
    Headers::pack(&mut buffer, list.iter().map(|(name, value)| (name, value.bytes())))
}

fn number(value: &AMQPValue) -> Option<i64> {
    Some(match value {
        AMQPValue::ShortShortInt(number) => i64::from(*number),
        AMQPValue::ShortShortUInt(number) => i64::from(*number),
        AMQPValue::ShortInt(number) => i64::from(*number),
        AMQPValue::ShortUInt(number) => i64::from(*number),
        AMQPValue::LongInt(number) => i64::from(*number),
        AMQPValue::LongUInt(number) => i64::from(*number),
        AMQPValue::LongLongInt(number) => *number,
        AMQPValue::Timestamp(number) => i64::try_from(*number).ok()?,
        _ => return None,
    })
}

/// Whoever wrote it, it must not make a time that cannot be.
fn at(millis: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

fn json(value: &AMQPValue) -> String {
    let mut text = String::new();
    write_json(&mut text, value);
    text
}

/// Numbers and truth values as they are written, lists and tables as JSON.
fn write_json(text: &mut String, value: &AMQPValue) {
    // Writing to a string does not fail.
    let _ = match value {
        AMQPValue::Boolean(value) => write!(text, "{value}"),
        AMQPValue::Float(value) => write!(text, "{value}"),
        AMQPValue::Double(value) => write!(text, "{value}"),
        AMQPValue::FieldArray(list) => {
            write_list(text, '[', ']', list.as_slice().iter(), write_json);
            Ok(())
        }
        AMQPValue::FieldTable(table) => {
            write_list(text, '{', '}', table.inner().iter(), |text, (name, value)| {
                text.push_str(&quoted(name.as_str()));
                text.push(':');
                write_json(text, value);
            });
            Ok(())
        }
        AMQPValue::LongString(value) => write!(text, "{}", quoted(&String::from_utf8_lossy(value.as_bytes()))),
        AMQPValue::ShortString(value) => write!(text, "{}", quoted(value.as_str())),
        AMQPValue::ByteArray(value) => write!(text, "{}", quoted(&String::from_utf8_lossy(value.as_slice()))),
        AMQPValue::DecimalValue(value) => write!(text, "{}e-{}", value.value, value.scale),
        AMQPValue::Void => write!(text, "null"),
        other => number(other).map_or(Ok(()), |number| write!(text, "{number}")),
    };
}

fn write_list<T>(
    text: &mut String,
    open: char,
    close: char,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut String, T),
) {
    text.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(close);
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
