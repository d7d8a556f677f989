//! Where messages go that cannot be handled, and what is written on them. [`DeadLetter`] is a group's choice; the
//! constants are the headers of the copies. [The guide to dead letters] shows how they are read and sent back.
//!
//! ```
//! # use gulo_bus_core::bus::Subscription;
//! # use gulo_bus_core::dead_letter::{self, DeadLetter};
//! # use gulo_bus_core::message::Message;
//! let email = Subscription::group("email")
//!     .dead_letter(DeadLetter::topic_named(|topic, group| format!("dead.{group}.{topic}")));
//!
//! /// A line for whoever looks at one.
//! fn line(letter: &Message) -> Option<String> {
//!     let said = |name| letter.headers.get_str(name);
//!     Some(format!("{}: {}", said(dead_letter::REASON)?, said(dead_letter::ERROR)?))
//! }
//! # let letter = Message::new("users.email.dlq", "").header(dead_letter::REASON, "permanent");
//! # let letter = letter.header(dead_letter::ERROR, "no address");
//! # assert_eq!(line(&letter).as_deref(), Some("permanent: no address"));
//! ```
//!
//! [The guide to dead letters]: https://github.com/gulo-rs/gulo/blob/main/docs/dead-letters.md

mod policy;

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::error::Error;
use crate::headers::Headers;
use crate::message::{Message, Origin, Wishes};
use crate::time::utc;

pub use policy::{DeadLetter, Guard};
pub(crate) use policy::{Tally, To};

/// All dead-letter headers begin so. Values are UTF-8 text. None is ever read to say where a message goes, or to
/// authorise; a message is passed over for [`REPLAYED_FOR`], and for [`REASON`] where a pattern found its topic.
pub const PREFIX: &str = "dead-letter-";
/// Why: `attempts-exhausted`, `permanent` or `undecodable`.
pub const REASON: &str = "dead-letter-reason";
/// What the last failure said, at most 1,024 bytes.
pub const ERROR: &str = "dead-letter-error";
/// The topic it came from.
pub const ORIGIN_TOPIC: &str = "dead-letter-origin-topic";
/// The partition, where the broker has them.
pub const ORIGIN_PARTITION: &str = "dead-letter-origin-partition";
/// The offset, where the broker has one.
pub const ORIGIN_OFFSET: &str = "dead-letter-origin-offset";
/// When it was published, [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) in UTC, where known. The copy has a
/// timestamp of its own, so that retention counts from the day it became a dead letter.
pub const ORIGIN_TIMESTAMP: &str = "dead-letter-origin-timestamp";
/// The group that could not handle it.
pub const ORIGIN_GROUP: &str = "dead-letter-origin-group";
/// How often it was handled, 0 where it never got to a handler.
pub const ATTEMPTS: &str = "dead-letter-attempts";
/// When it failed first, RFC 3339 in UTC.
pub const FIRST_FAILED_AT: &str = "dead-letter-first-failed-at";
/// When it failed last, RFC 3339 in UTC.
pub const LAST_FAILED_AT: &str = "dead-letter-last-failed-at";

/// On a dead letter that was published again to where it came from: the group that it is for. Other groups pass it
/// over.
pub const REPLAYED_FOR: &str = "dead-letter-replayed-for";
/// How often it was published again.
pub const REPLAYS: &str = "dead-letter-replays";

const ERROR_BYTES: usize = 1024;

/// The dead-letter topic of `group` for messages of `topic`: `<topic>.<group>.dlq`, unless the group names others.
///
/// ```
/// assert_eq!(&*gulo_bus_core::dead_letter::topic_name("users", "email"), "users.email.dlq");
/// ```
pub fn topic_name(topic: &str, group: &str) -> Arc<str> {
    format!("{topic}.{group}.dlq").into()
}

/// Why a message became a dead letter. A layer is told it in [`Fate`](crate::layer::Fate).
///
/// ```
/// # use gulo_bus_core::dead_letter::Reason;
/// assert_eq!(Reason::AttemptsExhausted.name(), "attempts-exhausted");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It failed as often as the policy allows.
    AttemptsExhausted,
    /// A handler said that trying again is of no use.
    Permanent,
    /// It cannot be read as what it should be: content type, type, version or payload; or no handler is for it, and the
    /// group [keeps such messages](crate::bus::Unhandled::DeadLetter).
    Undecodable,
}

impl Reason {
    /// As it stands in [`REASON`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts-exhausted",
            Self::Permanent => "permanent",
            Self::Undecodable => "undecodable",
        }
    }
}

/// All that is to be said of one dead letter.
#[derive(Debug)]
pub(crate) struct Epitaph<'a> {
    pub(crate) group: &'a str,
    /// Where the letter goes.
    pub(crate) topic: Arc<str>,
    pub(crate) origin: &'a Origin,
    pub(crate) reason: Reason,
    pub(crate) error: &'a Error,
    pub(crate) attempts: u32,
    pub(crate) first_failed: DateTime<Utc>,
    pub(crate) last_failed: DateTime<Utc>,
}

impl Epitaph<'_> {
    /// The copy of `message` for the dead-letter topic: its key, its exact bytes, its own headers in order, and behind
    /// them ours. Those of an earlier death are replaced, but for the count of replays.
    pub(crate) fn copy(&self, message: &Message) -> Message {
        let mut headers = message.headers.clone();
        headers.retain(|name| !name.starts_with(PREFIX) || name == REPLAYS);
        headers.extend(self.headers(message));
        self.carrying(message, headers)
    }

    /// The copy with nothing but origin and reason on it, for a broker that refuses the whole one as too large.
    pub(crate) fn cut_copy(&self, message: &Message) -> Message {
        let essential = [REPLAYS, REASON, ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_GROUP];
        let mut headers = message.headers.clone();
        headers.retain(|name| name == REPLAYS);
        headers.extend(self.headers(message));
        headers.retain(|name| essential.contains(&name));
        self.carrying(message, headers)
    }

    fn carrying(&self, message: &Message, headers: Headers) -> Message {
        Message {
            topic: Arc::clone(&self.topic),
            key: message.key.clone(),
            payload: message.payload.clone(),
            headers,
            timestamp: None,
            send: Wishes::default(),
        }
    }

    fn headers(&self, message: &Message) -> Headers {
        let mut headers = Headers::new();
        headers.append(REASON, self.reason.name());
        headers.append(ERROR, capped(&self.error.to_string(), ERROR_BYTES));
        headers.append(ORIGIN_TOPIC, self.origin.topic.to_string());
        if let Some(partition) = self.origin.partition {
            headers.append(ORIGIN_PARTITION, partition.to_string());
        }
        if let Some(offset) = self.origin.offset {
            headers.append(ORIGIN_OFFSET, offset.to_string());
        }
        if let Some(timestamp) = message.timestamp.and_then(utc) {
            headers.append(ORIGIN_TIMESTAMP, rfc3339(timestamp));
        }
        headers.append(ORIGIN_GROUP, self.group.to_owned());
        headers.append(ATTEMPTS, self.attempts.to_string());
        headers.append(FIRST_FAILED_AT, rfc3339(self.first_failed));
        headers.append(LAST_FAILED_AT, rfc3339(self.last_failed));
        headers
    }
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `text` in at most `bytes` bytes, whole characters, no control characters.
fn capped(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn copies(message: &Message, error: &str) -> [Message; 2] {
        let origin = Origin { topic: "users".into(), partition: Some(3), offset: Some(42) };
        let epitaph = Epitaph {
            group: "email",
            topic: topic_name("users", "email"),
            origin: &origin,
            reason: Reason::AttemptsExhausted,
            error: &Error::new(ErrorKind::Other, error),
            attempts: 5,
            first_failed: DateTime::from_timestamp(1, 0).expect("a time"),
            last_failed: DateTime::from_timestamp(2, 0).expect("a time"),
        };
        [epitaph.copy(message), epitaph.cut_copy(message)]
    }

    #[test]
    fn a_copy_keeps_bytes_key_and_headers_and_says_why_and_from_where() {
        let message = Message::new("users", vec![0, 159, 255]).key("k").header("mine", "1").header(ATTEMPTS, "9");
        let [copy, _] = copies(&message, "smtp down\r\nfor good");
        assert_eq!((&*copy.topic, &copy.key, &copy.payload), ("users.email.dlq", &message.key, &message.payload));
        let shown: Vec<_> = copy.headers.iter().map(|(name, _)| (name, copy.headers.get_str(name))).collect();
        let expected = [
            ("mine", "1"),
            (REASON, "attempts-exhausted"),
            (ERROR, "smtp down  for good"),
            (ORIGIN_TOPIC, "users"),
            (ORIGIN_PARTITION, "3"),
            (ORIGIN_OFFSET, "42"),
            (ORIGIN_GROUP, "email"),
            (ATTEMPTS, "5"),
            (FIRST_FAILED_AT, "1970-01-01T00:00:01.000Z"),
            (LAST_FAILED_AT, "1970-01-01T00:00:02.000Z"),
        ];
        assert_eq!(shown, expected.map(|(name, value)| (name, Some(value))));
    }

    #[test]
    fn a_cut_copy_has_origin_reason_and_the_count_of_replays_only() {
        let [_, cut] = copies(&Message::new("users", "x").header("mine", "1").header(REPLAYS, "2"), "e");
        let names: Vec<_> = cut.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [REPLAYS, REASON, ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_GROUP]);
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let [copy, _] = copies(&Message::new("users", "x"), &"ä".repeat(1000));
        assert_eq!(copy.headers.get_str(ERROR).expect("text").len(), ERROR_BYTES);
    }
}
