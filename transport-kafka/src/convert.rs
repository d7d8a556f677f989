//! Between Kafka's records and our messages. Nothing is lost on the way: null and empty stay apart, headers keep their
//! order and may repeat.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::{Message, Wishes};
use gulo_bus_core::{Error, ErrorKind};
use rdkafka::Message as _;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::BorrowedMessage;

use crate::native::{HeaderList, HeadersToSend, Record};

/// Copies messages out of librdkafka's memory, which is freed with the last message of its fetch: one that is kept while it
/// is handled must not keep the megabyte around it. The parts of messages that come together share an allocation, which is
/// small enough to be kept by any of them.
#[derive(Debug, Default)]
pub(crate) struct Copier {
    chunk: BytesMut,
}

/// What a message is made of.
struct Parts<'a> {
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    headers: HeaderList<'a>,
    timestamp: Option<i64>,
}

impl Copier {
    /// Bytes that messages share.
    const CHUNK: usize = 8 << 10;

    /// What is larger has an allocation of its own.
    const LARGE: usize = Self::CHUNK / 4;

    /// The message that lies in a partition's own queue.
    pub(crate) fn copy(&mut self, record: Record<'_>, topic: &Arc<str>) -> Message {
        let (key, payload) = (record.key(), record.payload());
        self.copy_parts(&Parts { key, payload, headers: record.headers(), timestamp: record.timestamp() }, topic)
    }

    /// The message that came by the consumer's queue.
    pub(crate) fn copy_borrowed(&mut self, record: &BorrowedMessage<'_>, topic: &Arc<str>) -> Message {
        let (key, payload, headers) = (record.key(), record.payload(), HeaderList::of(record.headers()));
        self.copy_parts(&Parts { key, payload, headers, timestamp: record.timestamp().to_millis() }, topic)
    }

    fn copy_parts(&mut self, parts: &Parts<'_>, topic: &Arc<str>) -> Message {
        let size = parts.key.map_or(0, <[u8]>::len) + parts.payload.map_or(0, <[u8]>::len);
        let mut own = BytesMut::new();
        let large = size > Self::LARGE;
        let buffer = if large { &mut own } else { &mut self.chunk };
        if buffer.capacity() < size {
            *buffer = BytesMut::with_capacity(if large { size } else { Self::CHUNK });
        }
        let mut part = |bytes: &[u8]| {
            buffer.extend_from_slice(bytes);
            buffer.split().freeze()
        };
        let (key, payload) = (parts.key.map(&mut part), parts.payload.map(&mut part));
        Message {
            topic: topic.clone(),
            key,
            payload,
            // Never behind a large payload: its buffer would grow by as much again for them.
            headers: Headers::pack(&mut self.chunk, parts.headers.iter()),
            timestamp: parts.timestamp.map(from_millis),
            send: Wishes::default(),
        }
    }
}

/// The headers to send; none at all where there are none, as Kafka has it.
pub(crate) fn to_native(headers: &Headers) -> Result<Option<HeadersToSend>, Code> {
    let count = headers.len();
    if count == 0 {
        return Ok(None);
    }
    let mut native = HeadersToSend::with_room(count)?;
    headers.iter().try_for_each(|(name, value)| native.push(name, value))?;
    Ok(Some(native))
}

/// What Kafka's protocol cannot carry is refused, not changed.
pub(crate) fn check(message: &Message) -> gulo_bus_core::Result<()> {
    let refuse = |what: &str, help: &str| {
        let text = format!("a message for topic `{}` {what}", message.topic);
        Err(Error::new(ErrorKind::Refused, text).help(help))
    };
    if message.topic.is_empty() || message.topic.as_bytes().contains(&0) {
        return refuse("has no topic that Kafka could have", "give it another name");
    }
    // librdkafka's header names end at a NUL.
    if message.headers.is_nul_in_a_name() {
        return refuse("has a header with a NUL in its name", "give it another name");
    }
    if message.send.partition.is_some_and(|number| i32::try_from(number).is_err()) {
        return refuse("names a partition that Kafka cannot have", "they count from 0; or name none");
    }
    match message.timestamp.map(to_millis) {
        // 0 is librdkafka's word for "now".
        Some(None | Some(0)) => refuse(
            "has a timestamp that does not lie behind 1970-01-01",
            "give it a later one, or none: it is now then",
        ),
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
        let native = to_native(&headers).unwrap().unwrap();
        let back: Vec<_> = native.list().iter().collect();
        let expected: [(&str, Option<&[u8]>); 4] =
            [("a", Some(b"1")), ("a", None), ("b", Some(b"")), ("a", Some(b"2"))];
        for (have, want) in back.iter().zip(expected) {
            assert_eq!((&*have.0, have.1), want);
        }
        assert_eq!(back.len(), 4);
        assert!(to_native(&Headers::new()).unwrap().is_none());
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
}
