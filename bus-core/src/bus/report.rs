//! What a subscription did and how it is: counters, health, and the report of a shutdown.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::settle::Token;
use crate::transport::Status;

/// What a subscription did since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Messages whose handler succeeded.
    pub handled: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Messages whose copy stands confirmed in a dead-letter topic.
    pub dead_lettered: u64,
    /// Messages passed over: tombstones, and types without a handler.
    pub skipped: u64,
}

/// How one subscription is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubscriptionHealth {
    /// Its group.
    pub group: Arc<str>,
    /// What it did.
    pub counts: Counts,
    /// Messages received and not ended: in work, waiting, or queued behind their key.
    pub in_flight: usize,
    /// What does not work for now, in words: the broker away, a dead letter that is not taken.
    pub degraded: Option<String>,
}

/// How a bus is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Health {
    /// The transport's connections.
    pub transport: Status,
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionHealth>,
}

impl Health {
    /// Whether nothing is degraded and the transport is up.
    pub fn is_up(&self) -> bool {
        self.transport == Status::Up && self.subscriptions.iter().all(|subscription| subscription.degraded.is_none())
    }
}

/// What was finished at shutdown, and what was left.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionReport>,
}

/// One subscription at shutdown.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubscriptionReport {
    /// Its group.
    pub group: Arc<str>,
    /// What it did.
    pub counts: Counts,
    /// Messages received but not finished: they are delivered again.
    pub left: usize,
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, SubscriptionReport { group, counts, left }) in self.subscriptions.iter().enumerate() {
            let Counts { handled, retried, dead_lettered, skipped } = counts;
            let line_break = if index == 0 { "" } else { "\n" };
            write!(
                f,
                "{line_break}group {group}: {handled} handled, {retried} retries, {dead_lettered} dead-lettered, \
                 {skipped} skipped, {left} left for redelivery"
            )?;
        }
        Ok(())
    }
}

/// Not all of a bus closed in order by its deadline. Nothing is lost by it: what was finished but could not be made
/// durable is delivered again.
#[non_exhaustive]
pub struct ShutdownError {
    /// What was finished and what was left, as far as it is known.
    pub report: ShutdownReport,
    /// What did not close, each with its reason. Never empty.
    pub problems: Vec<Error>,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shutdown was not clean")?;
        self.problems.iter().try_for_each(|problem| write!(f, "; {problem}"))
    }
}

impl fmt::Debug for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}\n{}", self.report)
    }
}

impl std::error::Error for ShutdownError {}

/// The live side of [`Counts`] and health.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    handled: AtomicU64,
    retried: AtomicU64,
    dead_lettered: AtomicU64,
    skipped: AtomicU64,
    inside: AtomicU64,
    /// The broker's trouble and the parked message's are two things: one may heal while the other lasts.
    source: Mutex<Option<String>>,
    parked: Mutex<BTreeMap<Token, String>>,
    guards: Mutex<BTreeMap<u32, String>>,
}

impl Gauge {
    pub(crate) fn handled(&self) {
        self.handled.fetch_add(1, Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retried.fetch_add(1, Relaxed);
    }

    pub(crate) fn dead_lettered(&self) {
        self.dead_lettered.fetch_add(1, Relaxed);
    }

    pub(crate) fn skipped(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }

    /// Received and not ended.
    pub(crate) fn set_inside(&self, messages: usize) {
        self.inside.store(messages as u64, Relaxed);
    }

    pub(crate) fn inside(&self) -> usize {
        usize::try_from(self.inside.load(Relaxed)).unwrap_or(usize::MAX)
    }

    pub(crate) fn set_source_trouble(&self, trouble: Option<String>) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(crate) fn park(&self, token: Token, trouble: String) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).insert(token, trouble);
    }

    /// Whether it was taken or given up: it is not parked here any more.
    pub(crate) fn unpark(&self, token: Token) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
    }

    /// A lane stands still, or goes on.
    pub(crate) fn set_guard(&self, slot: u32, trouble: Option<String>) {
        let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => drop(guards.insert(slot, trouble)),
            None => drop(guards.remove(&slot)),
        }
    }

    pub(crate) fn clear_guards(&self) {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            handled: self.handled.load(Relaxed),
            retried: self.retried.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
        }
    }

    pub(crate) fn degraded(&self) -> Option<String> {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        let first = parked.values().next().map(|first| match parked.len() {
            1 => first.clone(),
            all => format!("{first}; and {} more parked", all - 1),
        });
        let guard = self.guards.lock().unwrap_or_else(PoisonError::into_inner).values().next().cloned();
        let troubles: Vec<String> = [source, first, guard].into_iter().flatten().collect();
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }
}
