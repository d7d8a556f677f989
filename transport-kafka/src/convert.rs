//! Between Kafka's records and our messages. Nothing is lost on the way: null and empty stay apart, headers keep their
//! order and may repeat.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::{Message, SendOptions};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers as _, OwnedHeaders};

use crate::commit::header;

/// Header names seen before, shared among messages: a topic has few, and each message repeats them.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<Arc<str>>);

impl Names {
    /// Beyond this many the names are not names but data, and are not kept.
    const MOST: usize = 512;

    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        if self.0.len() < Self::MOST {
            self.0.insert(name.clone());
        }
        name
    }
}

/// A message copied out of librdkafka's memory, which is freed with the last message of its fetch: one that is kept while
/// it is handled must not keep the megabyte around it. Key, payload and header values share one allocation.
pub(crate) fn take_out(record: &BorrowedMessage<'_>, topic: &Arc<str>, names: &mut Names) -> Message {
    let headers = record.headers();
    let mut buffer = BytesMut::with_capacity(size_of_parts(record, headers));
    let mut part = |bytes: &[u8]| {
        buffer.extend_from_slice(bytes);
        buffer.split().freeze()
    };
    Message {
        topic: topic.clone(),
        key: record.key().map(&mut part),
        payload: record.payload().map(&mut part),
        headers: headers.map_or_else(Headers::new, |list| take_headers(list, &mut part, names)),
        timestamp: record.timestamp().to_millis().map(from_millis),
        send: SendOptions::default(),
    }
}

fn size_of_parts(record: &BorrowedMessage<'_>, headers: Option<&BorrowedHeaders>) -> usize {
    let values = headers.map_or(0, |list| {
        let values = (0..list.count()).filter_map(|index| header(list, index)?.1);
        values.map(<[u8]>::len).sum()
    });
    record.key_len() + record.payload_len() + values
}

fn take_headers(list: &BorrowedHeaders, part: &mut impl FnMut(&[u8]) -> Bytes, names: &mut Names) -> Headers {
    let mut headers = Headers::with_capacity(list.count());
    for (name, value) in (0..list.count()).filter_map(|index| header(list, index)) {
        headers.append_nullable(names.get(&name), value.map(&mut *part));
    }
    headers
}

/// The headers to send; none at all where there are none, as Kafka has it.
pub(crate) fn to_native(headers: &Headers) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let native = OwnedHeaders::new_with_capacity(headers.len());
    let add = |native: OwnedHeaders, (key, value): (&Arc<str>, Option<&Bytes>)| {
        let value = value.map(|value| &value[..]);
        native.insert(Header { key, value })
    };
    Some(headers.iter().fold(native, add))
}

/// What Kafka's protocol cannot carry is refused, not changed.
pub(crate) fn check(message: &Message) -> Result<()> {
    let refuse = |what: &str| {
        let text = format!("a message for topic `{}` {what}", message.topic);
        Err(Error::new(ErrorKind::Refused, text))
    };
    if message.topic.is_empty() || message.topic.contains('\0') {
        return refuse("has no topic that Kafka could have");
    }
    // librdkafka's header names end at a NUL.
    if message.headers.iter().any(|(name, _)| name.contains('\0')) {
        return refuse("has a header with a NUL in its name");
    }
    if message.send.partition.is_some_and(|number| i32::try_from(number).is_err()) {
        return refuse("names a partition that Kafka cannot have");
    }
    match message.timestamp.map(to_millis) {
        // 0 is librdkafka's word for "now".
        Some(None | Some(0)) => refuse("has a timestamp that does not lie behind 1970-01-01"),
        _ => Ok(()),
    }
}

/// Milliseconds since 1970; `None` before.
pub(crate) fn to_millis(time: SystemTime) -> Option<i64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

fn from_millis(millis: i64) -> SystemTime {
    let duration = Duration::from_millis(millis.unsigned_abs());
    let time = match millis {
        0.. => UNIX_EPOCH.checked_add(duration),
        _ => UNIX_EPOCH.checked_sub(duration),
    };
    time.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_order_repetitions_and_nulls() {
        let mut headers = Headers::new();
        headers.append("a", "1");
        headers.append_nullable("a", None);
        headers.append("b", "");
        headers.append("a", "2");
        let native = to_native(&headers).unwrap();
        let list = native.as_borrowed();
        let back: Vec<_> = (0..list.count()).filter_map(|index| header(list, index)).collect();
        let expected: [(&str, Option<&[u8]>); 4] =
            [("a", Some(b"1")), ("a", None), ("b", Some(b"")), ("a", Some(b"2"))];
        for (have, want) in back.iter().zip(expected) {
            assert_eq!((&*have.0, have.1), want);
        }
        assert_eq!(back.len(), 4);
        assert!(to_native(&Headers::new()).is_none());
    }

    #[test]
    fn times_survive_in_milliseconds() {
        for millis in [1, 1_700_000_000_123, i64::from(u32::MAX)] {
            assert_eq!(to_millis(from_millis(millis)), Some(millis));
        }
        assert_eq!(to_millis(from_millis(-5)), None);
    }

    #[test]
    fn what_kafka_cannot_carry_is_refused() {
        let good = Message::new("t", "x").header("h", "v");
        assert!(check(&good).is_ok());
        let nul = good.clone().header("a\0b", "v");
        let mut early = good.clone();
        early.timestamp = Some(UNIX_EPOCH);
        let mut beyond = good.clone();
        beyond.send.partition = Some(u32::MAX);
        for bad in [nul, early, beyond, Message::new("", "x"), Message::new("a\0", "x")] {
            assert_eq!(check(&bad).unwrap_err().kind(), ErrorKind::Refused);
        }
    }

    #[test]
    fn names_are_shared_up_to_a_bound() {
        let mut names = Names::default();
        let first = names.get("a");
        assert!(Arc::ptr_eq(&first, &names.get("a")));
        (0..2 * Names::MOST).for_each(|number| drop(names.get(&number.to_string())));
        assert_eq!(names.0.len(), Names::MOST);
    }
}
