//! A dead letter as a typed record.

mod show;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use gulo_bus_core::codec::{Encoded, Json};
use gulo_bus_core::dead_letter;
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::{Message, Origin, Wishes};
use gulo_bus_core::transport::Delivery;
use gulo_bus_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;

use crate::convention::{Account, Convention};
use crate::republish::provenance;

/// A message that could not be handled, and what is written on it.
///
/// All of it was written by somebody else and may be wrong: what cannot be read is `None`, and nothing here is a
/// reason to trust it. `Display` is for people, some lines without the payload; `Debug` shows neither payload, key nor
/// values of headers.
///
/// ```
/// # use gulo_bus_core::message::{Message, Origin};
/// # use gulo_dead_letters::{Letter, Reason};
/// let message = Message::new("users.email.dlq", r#"{"user_id":7}"#)
///     .key("7")
///     .header("tenant", "a")
///     .header("dead-letter-reason", "permanent")
///     .header("dead-letter-error", "no address")
///     .header("dead-letter-origin-topic", "users")
///     .header("dead-letter-origin-group", "email");
/// let letter = Letter::read(message, Origin { topic: "users.email.dlq".into(), partition: Some(0), offset: Some(4) });
/// assert_eq!((&letter.reason, letter.origin.group.as_deref()), (&Reason::Permanent, Some("email")));
/// assert_eq!((letter.payload_text().as_ref(), letter.headers.len()), (r#"{"user_id":7}"#, 1));
///
/// // As it was before it died.
/// assert_eq!(letter.origin.place().map(|place| place.to_string()).as_deref(), Some("users"));
/// assert_eq!(letter.message().topic.as_ref(), "users");
/// println!("{:?} failed at {:?}: {}", letter.key_text(), letter.failed_at(), letter.failure);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Letter {
    /// Where the letter stands now, in the dead-letter topic.
    pub stands: Origin,
    /// When it was written there, by the broker's timestamp. `None` where the writer kept the message's own (Kafka
    /// Connect).
    pub written_at: Option<DateTime<Utc>>,
    /// Whose headers say the rest.
    pub convention: Convention,
    /// Where the message came from.
    pub origin: CameFrom,
    /// Why it became a dead letter.
    pub reason: Reason,
    /// What the last failure said.
    pub failure: Failure,
    /// How often it was handled; 0 where it never got to a handler.
    pub attempts: Option<u32>,
    /// When it failed first.
    pub first_failed_at: Option<DateTime<Utc>>,
    /// When it failed last.
    pub last_failed_at: Option<DateTime<Utc>>,
    /// How often it has been sent back before, and died again.
    pub replays: u32,
    /// The message's key.
    pub key: Option<Bytes>,
    /// The message's exact bytes; `None` is a tombstone.
    pub payload: Option<Bytes>,
    /// The message's own headers, in order: without those that made it a dead letter.
    pub headers: Headers,
}

/// Where a message came from, as far as its dead letter says. [`Letter`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CameFrom {
    /// The topic.
    pub topic: Option<Arc<str>>,
    /// The partition.
    pub partition: Option<u32>,
    /// The offset, not negative.
    pub offset: Option<i64>,
    /// When it was published there.
    pub published_at: Option<DateTime<Utc>>,
    /// The group that could not handle it.
    pub group: Option<Arc<str>>,
}

impl CameFrom {
    /// The place, where the topic is known.
    pub fn place(&self) -> Option<Origin> {
        let topic = Arc::clone(self.topic.as_ref()?);
        Some(Origin { topic, partition: self.partition, offset: self.offset })
    }
}

/// Why a message became a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It failed as often as the policy allows.
    AttemptsExhausted,
    /// A handler said that trying again is of no use.
    Permanent,
    /// It cannot be read as what it should be.
    Undecodable,
    /// Something else, as the letter has it; `None` where it does not say.
    Unknown(Option<Arc<str>>),
}

impl Reason {
    /// What `text` means, as the bus writes it.
    pub(crate) fn named(text: Option<Arc<str>>) -> Self {
        use dead_letter::Reason as Written;
        match text.as_deref() {
            Some(name) if name == Written::AttemptsExhausted.name() => Self::AttemptsExhausted,
            Some(name) if name == Written::Permanent.name() => Self::Permanent,
            Some(name) if name == Written::Undecodable.name() => Self::Undecodable,
            _ => Self::Unknown(text),
        }
    }
}

/// What a failure said. `Display` is `class: message`, on one line. [`Letter`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Failure {
    /// The class of the error: `java.lang.IllegalStateException`.
    pub class: Option<String>,
    /// The class of its cause.
    pub cause: Option<String>,
    /// Its text.
    pub message: Option<String>,
    /// The stack trace.
    pub trace: Option<String>,
}

impl Letter {
    /// What `message`, found at `stands`, says of itself. A message without any headers of a dead letter is one of
    /// unknown origin. Never fails: what cannot be read is left out.
    pub fn read(message: Message, stands: Origin) -> Self {
        let convention = Convention::of(&message.headers);
        let account = convention.account(&message);
        let Account { origin, reason, failure, attempts, first_failed_at, last_failed_at } = account;
        let written_at = message.timestamp.and_then(utc).filter(|_| !convention.keeps_timestamp());
        let replays = message.headers.get_str(provenance::REPLAYS).and_then(|count| count.parse().ok());
        let mut headers = message.headers;
        headers.retain(|name| !convention.owns(name) && !provenance::is(name));
        Self {
            stands,
            written_at,
            convention,
            origin,
            reason,
            failure,
            attempts,
            first_failed_at,
            last_failed_at,
            replays: replays.unwrap_or_default(),
            key: message.key,
            payload: message.payload,
            headers,
        }
    }

    /// When it failed, the last time; where it does not say, when it was written.
    pub fn failed_at(&self) -> Option<DateTime<Utc>> {
        self.last_failed_at.or(self.written_at)
    }

    /// The type of the event, as its own headers have it.
    pub fn event_type(&self) -> Option<&str> {
        self.headers.get_str(gulo_bus_core::envelope::TYPE)
    }

    /// The message as it was before it died: under the topic it came from, where that is known. With it
    /// [`Bus::read`](gulo_bus_core::bus::Bus::read) makes the event of it, in whatever envelope and codec.
    pub fn message(&self) -> Message {
        Message {
            topic: Arc::clone(self.origin.topic.as_ref().unwrap_or(&self.stands.topic)),
            key: self.key.clone(),
            payload: self.payload.clone(),
            headers: self.headers.clone(),
            timestamp: self.origin.published_at.map(Into::into),
            send: Wishes::default(),
        }
    }

    /// The payload as text, `\u{fffd}` for what is not UTF-8. Empty for a tombstone.
    pub fn payload_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.payload.as_deref().unwrap_or_default())
    }

    /// The key as text, `\u{fffd}` for what is not UTF-8.
    pub fn key_text(&self) -> Option<Cow<'_, str>> {
        self.key.as_deref().map(String::from_utf8_lossy)
    }

    /// The payload, out of JSON.
    ///
    /// ```
    /// # use gulo_bus_core::message::{Message, Origin};
    /// # use gulo_dead_letters::Letter;
    /// #[derive(serde::Deserialize)]
    /// struct User { user_id: u64 }
    /// # let stands = Origin { topic: "users.email.dlq".into(), partition: Some(0), offset: Some(4) };
    /// # let letter = Letter::read(Message::new("users.email.dlq", r#"{"user_id":7}"#), stands);
    /// assert_eq!(letter.json::<User>().unwrap().user_id, 7);
    /// ```
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) where it is no such thing, or a tombstone. The text never quotes the payload.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let at = |error: Error| error.context(format_args!("dead letter {}", self.stands));
        let payload = self.payload.as_deref();
        let tombstone =
            || Error::new(ErrorKind::Decode, "a tombstone has no payload").help("its key says what is gone");
        let payload = payload.ok_or_else(|| at(tombstone()))?;
        Encoded::new(&Json.into(), payload).decode().map_err(at)
    }
}

impl From<Delivery> for Letter {
    fn from(delivery: Delivery) -> Self {
        let stands = delivery.origin();
        Self::read(delivery.message, stands)
    }
}

/// `None` for what no calendar of ours has: converting it would panic.
pub(crate) fn utc(time: std::time::SystemTime) -> Option<DateTime<Utc>> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    DateTime::from_timestamp(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())
}
