//! Attempts later than a message should be held in memory for: it waits on the broker, in a topic of the group's own, and its key
//! goes on meanwhile. [`RetryLater`] says when; the constants are the headers of what waits.
//!
//! ```
//! # use std::time::Duration;
//! # use gulo_bus_core::bus::Subscription;
//! # use gulo_bus_core::retry::Retry;
//! const MINUTE: Duration = Duration::from_secs(60);
//! let email = Subscription::group("email")
//!     .retry(Retry::exponential(Duration::from_millis(100)).max_attempts(5)) // five attempts, in memory
//!     .retry_later([MINUTE, 15 * MINUTE, 120 * MINUTE]);                     // and five more each time after these
//! ```
//!
//! What has failed as often as [`Retry`](crate::retry::Retry) allows is copied to the group's retry topic, `<topic>.<group>.retry`,
//! to be delivered after the first delay. Only when that copy is confirmed is the message settled. From there it is handled as it
//! would have been from its own topic; when it fails again it waits for the second delay, and after the last one it is a dead
//! letter of the topic it came from. What failed for good, or cannot be read, is a dead letter at once. Other groups hear nothing
//! of all this.
//!
//! **Order per key ends there**: later messages of its key are handled while it waits, and perhaps while it is handled again.
//! Where that must not be, leave it out, and let the key wait in memory.
//!
//! Where it is taken out of a program again, what waits by then stays in the retry topics: let them run empty before.
//!
//! It needs a transport with [`deliver_at`](crate::transport::Capability::DeliverAt), and topics by name. One that waits counts for
//! the [`Guard`](crate::dead_letter::Guard) as a dead letter does: where everything fails, a topic is not emptied into another one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::message::{Message, Origin, SendOptions};

/// All headers of what waits begin so. They are taken off before a handler sees the message, and what they say is believed only of
/// messages in the group's own retry topics.
pub const PREFIX: &str = "retry-later-";
/// The group for which it waits.
pub const GROUP: &str = "retry-later-group";
/// Which of the delays it waits for, from 1.
pub const ROUND: &str = "retry-later-round";
/// How often it was handled.
pub const ATTEMPTS: &str = "retry-later-attempts";
/// When it failed first, [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) in UTC.
pub const FIRST_FAILED_AT: &str = "retry-later-first-failed-at";
/// The topic it came from.
pub const ORIGIN_TOPIC: &str = "retry-later-origin-topic";
/// The partition, where the broker has them.
pub const ORIGIN_PARTITION: &str = "retry-later-origin-partition";
/// The offset, where the broker has one.
pub const ORIGIN_OFFSET: &str = "retry-later-origin-offset";
/// Of several handlers those that are to be called again, with `|` between.
pub const HANDLERS: &str = "retry-later-handlers";

/// No more attempts are believed: adding to them must not come to an end.
const MOST: u32 = 1_000_000;

/// Between the names of handlers: not part of any name of Rust's.
const BETWEEN: &str = "|";

/// The retry topic of `group` for messages of `topic`: `<topic>.<group>.retry`, unless the group names others.
///
/// ```
/// assert_eq!(&*gulo_bus_core::retry_later::topic_name("users", "email"), "users.email.retry");
/// ```
pub fn topic_name(topic: &str, group: &str) -> Arc<str> {
    format!("{topic}.{group}.retry").into()
}

type Name = dyn Fn(&str, &str) -> String + Send + Sync;

/// After which delays a message is tried again that has failed as often as the policy allows, each time with as many attempts.
/// [The module](self) has an example.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::bus::Subscription;
/// # use gulo_bus_core::retry_later::RetryLater;
/// let hours = RetryLater::after([1, 6, 24].map(|hours| Duration::from_secs(hours * 3600)))
///     .topic_named(|topic, group| format!("later.{group}.{topic}"));
/// let reports = Subscription::group("reports").retry_later(hours);
/// ```
#[derive(Clone)]
pub struct RetryLater {
    delays: Arc<[Duration]>,
    name: Arc<Name>,
}

impl RetryLater {
    /// After each of these in turn.
    pub fn after(delays: impl IntoIterator<Item = Duration>) -> Self {
        let name = |topic: &str, group: &str| topic_name(topic, group).to_string();
        Self { delays: delays.into_iter().collect(), name: Arc::new(name) }
    }

    /// In the topic that `name` makes of the message's topic and the group, both in this order. It must be the group's own.
    #[must_use]
    pub fn topic_named(mut self, name: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Self {
        self.name = Arc::new(name);
        self
    }

    pub(crate) fn topic_for(&self, topic: &str, group: &str) -> Arc<str> {
        (self.name)(topic, group).into()
    }

    /// The delay behind this many.
    pub(crate) fn delay(&self, rounds: u32) -> Option<Duration> {
        self.delays.get(usize::try_from(rounds).ok()?).copied()
    }

    /// Of its delays.
    pub(crate) fn longest(&self) -> Duration {
        self.delays.iter().copied().max().unwrap_or_default()
    }
}

impl<const N: usize> From<[Duration; N]> for RetryLater {
    fn from(delays: [Duration; N]) -> Self {
        Self::after(delays)
    }
}

impl From<Vec<Duration>> for RetryLater {
    fn from(delays: Vec<Duration>) -> Self {
        Self::after(delays)
    }
}

impl fmt::Debug for RetryLater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLater").field("delays", &self.delays).finish_non_exhaustive()
    }
}

/// What is known of a message besides itself, from one delay to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past {
    /// Delays behind it.
    pub(crate) rounds: u32,
    pub(crate) attempts: u32,
    /// `None` where it does not say.
    pub(crate) first_failed: Option<DateTime<Utc>>,
    /// Of several handlers those that are to be called again; none where there is one.
    pub(crate) handlers: Vec<String>,
}

impl Past {
    /// The copy of `message` that waits in `topic` until `at`: its key, its exact bytes, its own headers in order, its timestamp, and
    /// behind all that what is known of it.
    pub(crate) fn copy(
        &self,
        message: &Message,
        origin: &Origin,
        (topic, group): (Arc<str>, &str),
        at: SystemTime,
    ) -> Message {
        let mut headers = message.headers.clone();
        headers.retain(|name| !name.starts_with(PREFIX));
        headers.append(GROUP, group.to_owned());
        headers.append(ROUND, self.rounds.to_string());
        headers.append(ATTEMPTS, self.attempts.to_string());
        if let Some(first) = self.first_failed {
            headers.append(FIRST_FAILED_AT, first.to_rfc3339_opts(SecondsFormat::Millis, true));
        }
        headers.append(ORIGIN_TOPIC, origin.topic.to_string());
        if let Some(partition) = origin.partition {
            headers.append(ORIGIN_PARTITION, partition.to_string());
        }
        if let Some(offset) = origin.offset {
            headers.append(ORIGIN_OFFSET, offset.to_string());
        }
        if !self.handlers.is_empty() {
            headers.append(HANDLERS, self.handlers.join(BETWEEN));
        }
        let send = SendOptions { deliver_at: Some(at), ..SendOptions::default() };
        Message { topic, headers, send: send.into(), ..message.clone() }
    }

    /// Takes what is known off a message from a retry topic. `topics` are those whose messages wait there, and never empty. Whoever
    /// wrote it: what cannot be right counts for nothing.
    pub(crate) fn take_off(message: &mut Message, topics: &[Arc<str>], now: DateTime<Utc>) -> Option<(Self, Origin)> {
        let said = |name| message.headers.get_str(name);
        let named = topics.iter().find(|topic| said(ORIGIN_TOPIC) == Some(topic));
        let origin = Origin {
            topic: Arc::clone(named.or_else(|| topics.first())?),
            partition: said(ORIGIN_PARTITION).and_then(|text| text.parse().ok()),
            offset: said(ORIGIN_OFFSET).and_then(|text| text.parse().ok()).filter(|offset| *offset >= 0),
        };
        let number = |name| said(name).and_then(|text| text.parse::<u32>().ok()).unwrap_or_default();
        let first = said(FIRST_FAILED_AT).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        let names = said(HANDLERS).into_iter().flat_map(|names| names.split(BETWEEN));
        let past = Self {
            rounds: number(ROUND),
            attempts: number(ATTEMPTS).min(MOST),
            first_failed: first.map(|time| time.with_timezone(&Utc)).filter(|time| *time <= now),
            handlers: names.map(str::to_owned).collect(),
        };
        message.headers.retain(|name| !name.starts_with(PREFIX));
        message.topic = Arc::clone(&origin.topic);
        Some((past, origin))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    fn origin() -> Origin {
        Origin { topic: "users".into(), partition: Some(3), offset: Some(42) }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(9, 0).expect("a time")
    }

    fn past() -> Past {
        let handlers = vec!["a::b".into(), "c".into()];
        Past { rounds: 2, attempts: 10, first_failed: DateTime::from_timestamp(1, 0), handlers }
    }

    #[test]
    fn what_is_known_of_a_message_comes_off_again_and_leaves_it_as_it_was() {
        let mut message = Message::new("users", vec![0, 159, 255]).key("k").header("mine", "1").header("b", "2");
        message.timestamp = Some(UNIX_EPOCH + Duration::from_millis(7));
        let at = UNIX_EPOCH + Duration::from_secs(9);
        let mut copy = past().copy(&message, &origin(), ("users.email.retry".into(), "email"), at);
        assert_eq!((&*copy.topic, copy.send.deliver_at), ("users.email.retry", Some(at)));
        assert_eq!((copy.headers.get_str(GROUP), copy.headers.get_str(ROUND)), (Some("email"), Some("2")));
        copy.send = message.send.clone();
        let topics = ["orders".into(), "users".into()];
        assert_eq!(Past::take_off(&mut copy, &topics, now()), Some((past(), origin())));
        assert_eq!(copy, message);
    }

    #[test]
    fn what_an_earlier_round_said_is_replaced() {
        let message = Message::new("users", "").header(ROUND, "1").header("mine", "1").header(HANDLERS, "x");
        let past = Past { handlers: Vec::new(), ..past() };
        let copy = past.copy(&message, &origin(), ("r".into(), "g"), UNIX_EPOCH);
        assert_eq!(copy.headers.get_all(ROUND).collect::<Vec<_>>(), [Some(&b"2"[..])]);
        assert_eq!(copy.headers.get(HANDLERS), None);
    }

    proptest! {
        /// Of a topic that is not the group's, of the future, no number, no text.
        #[test]
        fn nonsense_counts_for_nothing_and_comes_off(
            values in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..5)), 8),
        ) {
            let mut message = Message::new("r", "x").header("mine", "1");
            let names =
                [GROUP, ROUND, ATTEMPTS, FIRST_FAILED_AT, ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, HANDLERS];
            for (name, value) in names.into_iter().zip(values) {
                message.headers.append_nullable(name, value.map(Into::into));
            }
            message.headers.append("retry-later-other", "2999-01-01T00:00:00Z");
            let (past, origin) = Past::take_off(&mut message, &["users".into()], now()).expect("a topic");
            prop_assert_eq!(&*origin.topic, "users");
            prop_assert!(past.first_failed.is_none());
            prop_assert_eq!(message, Message::new("users", "x").header("mine", "1"));
        }
    }

    #[test]
    fn delays_come_in_turn_and_end() {
        let [one, two] = [1, 2].map(Duration::from_secs);
        let later = RetryLater::from([one, two]);
        assert_eq!([0, 1, 2, u32::MAX].map(|rounds| later.delay(rounds)), [Some(one), Some(two), None, None]);
    }
}
