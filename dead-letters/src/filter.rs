//! Which letters one wants to see.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use gulo_bus_core::message::Origin;

use crate::letter::{Letter, Reason};

/// Which letters: those that fulfil every condition. What is said more than once (groups, reasons, topics, keys,
/// errors) is fulfilled by any of them. A letter that does not say what is asked for does not fulfil it.
///
/// ```
/// # use chrono::{Duration, Utc};
/// # use gulo_dead_letters::{Filter, Letter, Reason};
/// # fn example(letters: Vec<Letter>, last: &Letter) {
/// // What the ledger could not take in the last day, the group billing alone.
/// let filter = Filter::new()
///     .group("billing")
///     .origin_topic("orders")
///     .reason(Reason::AttemptsExhausted)
///     .error("the ledger is closed")
///     .failed_from(Utc::now() - Duration::days(1))
///     .after(&last.stands); // what stands behind the last one that was dealt with
/// let chosen: Vec<Letter> = letters.into_iter().filter(|letter| filter.accepts(letter)).collect();
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Filter {
    groups: Vec<String>,
    reasons: Vec<Reason>,
    topics: Vec<String>,
    keys: Vec<Bytes>,
    errors: Vec<String>,
    from: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    /// The last offset that is not wanted, by partition.
    after: HashMap<Option<u32>, i64>,
}

impl Filter {
    /// All letters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that this group could not handle.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Those with this reason. [`Reason::Unknown`] with `None` means those that do not say one.
    #[must_use]
    pub fn reason(mut self, reason: Reason) -> Self {
        self.reasons.push(reason);
        self
    }

    /// Those that came from this topic.
    #[must_use]
    pub fn origin_topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Those with exactly this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Those whose error has `text` in its class, its cause's class or its message, whatever the case.
    #[must_use]
    pub fn error(mut self, text: &str) -> Self {
        self.errors.push(text.to_lowercase());
        self
    }

    /// Those that failed at `time` or later, by [`Letter::failed_at`].
    #[must_use]
    pub fn failed_from(mut self, time: DateTime<Utc>) -> Self {
        self.from = Some(time);
        self
    }

    /// Those that failed before `time`, by [`Letter::failed_at`].
    #[must_use]
    pub fn failed_before(mut self, time: DateTime<Utc>) -> Self {
        self.before = Some(time);
        self
    }

    /// Those behind `place` in its partition: how one goes on where one stopped. Say it once for each partition, with
    /// [`Letter::stands`] of the last one that was dealt with; other partitions are not touched by it. A place without
    /// an offset changes nothing.
    #[must_use]
    pub fn after(mut self, place: &Origin) -> Self {
        if let Some(offset) = place.offset {
            let last = self.after.entry(place.partition).or_insert(offset);
            *last = offset.max(*last);
        }
        self
    }

    /// Whether `letter` is wanted.
    pub fn accepts(&self, letter: &Letter) -> bool {
        let says = |wanted: &[String], said: Option<&str>| {
            wanted.is_empty() || said.is_some_and(|said| wanted.iter().any(|wanted| wanted == said))
        };
        says(&self.groups, letter.origin.group.as_deref())
            && says(&self.topics, letter.origin.topic.as_deref())
            && (self.reasons.is_empty() || self.reasons.contains(&letter.reason))
            && (self.keys.is_empty() || letter.key.as_ref().is_some_and(|key| self.keys.contains(key)))
            && (self.errors.is_empty() || self.errors.iter().any(|text| has_error(letter, text)))
            && self.is_in_time(letter)
            && self.is_behind(&letter.stands)
    }

    fn is_in_time(&self, letter: &Letter) -> bool {
        let at = letter.failed_at();
        self.from.is_none_or(|from| at.is_some_and(|at| at >= from))
            && self.before.is_none_or(|before| at.is_some_and(|at| at < before))
    }

    fn is_behind(&self, stands: &Origin) -> bool {
        let last = self.after.get(&stands.partition);
        last.is_none_or(|last| stands.offset.is_none_or(|offset| offset > *last))
    }
}

fn has_error(letter: &Letter, text: &str) -> bool {
    let failure = &letter.failure;
    let mut said = [&failure.class, &failure.cause, &failure.message].into_iter().flatten();
    said.any(|said| said.to_lowercase().contains(text))
}
