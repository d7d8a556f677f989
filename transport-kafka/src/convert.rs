//! Records to messages and back.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::{Message, SendOptions};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders, Timestamp};

/// A message out of a record: its parts are copied into one allocation and the record is let go, for a record that is kept
/// keeps the client from closing.
pub(crate) fn message(topic: &Arc<str>, record: &BorrowedMessage<'_>) -> Message {
    let headers = record.headers();
    let header_bytes = headers.map_or(0, |headers| {
        headers
            .iter()
            .map(|header| header.value.map_or(0, <[u8]>::len))
            .sum()
    });
    let size = record.key().map_or(0, <[u8]>::len)
        + record.payload().map_or(0, <[u8]>::len)
        + header_bytes;
    let mut arena = BytesMut::with_capacity(size);
    let mut own = |part: &[u8]| -> Bytes {
        arena.extend_from_slice(part);
        arena.split().freeze()
    };
    let payload = record.payload().map(&mut own);
    let key = record.key().map(&mut own);
    let headers: Headers = headers.map_or_else(Headers::new, |headers| {
        headers
            .iter()
            .map(|header| (Arc::from(header.key), header.value.map(&mut own)))
            .collect()
    });
    Message {
        topic: Arc::clone(topic),
        key,
        payload,
        headers,
        timestamp: time(record.timestamp()),
        send: SendOptions::default(),
    }
}

fn time(timestamp: Timestamp) -> Option<SystemTime> {
    let millis = u64::try_from(timestamp.to_millis()?).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

/// Milliseconds since 1970; 0 for what is before.
pub(crate) fn millis(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// The headers for a record; `None` for none.
pub(crate) fn headers(headers: &Headers) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    Some(headers.iter().fold(empty, |record, (name, value)| {
        record.insert(Header {
            key: name,
            value: value.map(|value| &value[..]),
        })
    }))
}
