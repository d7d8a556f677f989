//! A message as it travels: bytes, key and headers, no types. [`Bus::send`](crate::bus::Bus::send) sends it as it is; a
//! handler gets it as it came by taking a [`Message`].
//!
//! ```
//! # use gulo_bus_core::bus::Bus;
//! # use gulo_bus_core::message::Message;
//! # async fn example(bus: &Bus) -> Result<(), gulo_bus_core::transport::Unsent> {
//! let photo = Message::new("photos", b"..".as_slice()).key("7").header("content-type", "image/png");
//! bus.send(vec![photo]).await?;
//! # Ok(()) }
//! ```

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::headers::Headers;

/// One message on its way to a topic, or as it came from one.
///
/// A payload of `None` is a *tombstone* (Kafka: a null value, which [log compaction] reads as "delete this key").
/// It is not an empty payload. Cloning is cheap: the parts are reference-counted.
///
/// [log compaction]: https://kafka.apache.org/documentation/#compaction
///
/// ```
/// # use gulo_bus_core::message::Message;
/// let message = Message::new("users", r#"{"user_id":7}"#).key("7").header("tenant", "a");
/// let forgotten = Message::tombstone("users").key("7");
/// assert_eq!((message.size(), forgotten.payload), (21, None));
/// ```
///
/// `Debug` shows neither the payload nor the values of headers: they may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes, or where it came from.
    pub topic: Arc<str>,
    /// Messages of one key keep their order; `None` has no order.
    pub key: Option<Bytes>,
    /// The content; `None` is a tombstone.
    pub payload: Option<Bytes>,
    /// In the order sent.
    pub headers: Headers,
    /// When it was made, in whole milliseconds on most brokers. `None` when sending: the broker's client fills it in.
    pub timestamp: Option<SystemTime>,
    /// Wishes of the sender; nothing on a message received.
    pub send: Wishes,
}

impl Message {
    /// A message for `topic` with `payload`, without key and headers.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self { payload: Some(payload.into()), ..Self::tombstone(topic) }
    }

    /// A message for `topic` without a payload.
    pub fn tombstone(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            key: None,
            payload: None,
            headers: Headers::new(),
            timestamp: None,
            send: Wishes::default(),
        }
    }

    /// With this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Bytes of key, payload and headers.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.payload.as_ref().map_or(0, Bytes::len) + self.headers.size()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, key, payload, headers, timestamp, send } = self;
        let payload = payload.as_ref().map(|payload| format!("{} bytes", payload.len()));
        let headers: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Message")
            .field("topic", topic)
            .field("key", key)
            .field("payload", &payload.as_deref().unwrap_or("none"))
            .field("headers", &headers)
            .field("timestamp", timestamp)
            .field("send", send)
            .finish()
    }
}

/// What a sender may ask of the broker for one message. Each needs a capability of the transport; one that the
/// transport lacks makes the publish fail as *refused*, by the capability's name. Nothing is silently ignored.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::message::{Message, SendOptions};
/// let mut message = Message::new("prices", "42");
/// message.send.partition = Some(3);
/// // All at once:
/// message.send = SendOptions { expires: Some(Duration::from_secs(60)), ..SendOptions::default() }.into();
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// This partition instead of the one the key hashes to. Needs `partitions`.
    pub partition: Option<u32>,
    /// Not to be delivered before this time. Needs `deliver_at`.
    pub deliver_at: Option<SystemTime>,
    /// Worthless after this long. Needs `expires`.
    pub expires: Option<Duration>,
    /// Higher goes first. Needs `priority`.
    pub priority: Option<u8>,
}

/// [`SendOptions`], which most messages do not have: read and set through it, and an allocation only where something is
/// set.
///
/// ```
/// # use gulo_bus_core::message::Message;
/// let mut message = Message::new("users", "{}");
/// assert!(message.send.is_empty());
/// message.send.partition = Some(3);
/// assert_eq!(message.send.partition, Some(3));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Wishes(Option<Box<SendOptions>>);

static NONE: SendOptions = SendOptions { partition: None, deliver_at: None, expires: None, priority: None };

impl Wishes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|wishes| **wishes == NONE)
    }
}

impl Deref for Wishes {
    type Target = SendOptions;
    fn deref(&self) -> &SendOptions {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Wishes {
    fn deref_mut(&mut self) -> &mut SendOptions {
        self.0.get_or_insert_default()
    }
}

impl From<SendOptions> for Wishes {
    fn from(options: SendOptions) -> Self {
        Self((options != NONE).then(|| Box::new(options)))
    }
}

impl PartialEq for Wishes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Wishes {}

/// Where a delivered message stood in the broker: for dead-letter headers, logs and spans, not for arithmetic.
///
/// ```
/// # use gulo_bus_core::message::Origin;
/// let origin = Origin { topic: "users".into(), partition: Some(3), offset: Some(42) };
/// assert_eq!(origin.to_string(), "users[3]@42");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The topic it was published to.
    pub topic: Arc<str>,
    /// The partition, where the broker has them.
    pub partition: Option<u32>,
    /// Its place in the partition's log, where the broker has one.
    pub offset: Option<i64>,
}

impl fmt::Display for Origin {
    /// `topic`, `topic[partition]` or `topic[partition]@offset`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.topic)?;
        if let Some(partition) = self.partition {
            write!(f, "[{partition}]")?;
        }
        if let Some(offset) = self.offset {
            write!(f, "@{offset}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_carries_is_not_shown() {
        let message = Message::new("users", "hunter2").key("7").header("authorization", "hunter2");
        let shown = format!("{message:?} {:?}", Message::tombstone("users"));
        assert!(!shown.contains("hunter2"), "{shown}");
        let parts = ["users", "\"7 bytes\"", "authorization", "payload: \"none\""];
        assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
    }
}
