//! What a subscription did: counters, what health is made of, and the report of a shutdown.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::bus::health::{Board, LaneHealth, Parked};
use crate::error::Error;
use crate::settle::Token;

/// What a subscription did since it started.
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # fn example(bus: &Bus) {
/// for group in bus.health().subscriptions {
///     println!("{}: {} handled, {} dead letters", group.group, group.counts.handled, group.counts.dead_lettered);
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Messages whose handlers all succeeded.
    pub handled: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Messages whose copy stands confirmed in a dead-letter topic, was taken, or by the group's choice was discarded.
    pub dead_lettered: u64,
    /// Messages passed over: tombstones, types without a handler, letters sent back for another group.
    pub skipped: u64,
    /// Messages whose copy stands confirmed in a [retry topic](crate::retry_later), each time one does.
    pub postponed: u64,
}

/// What was finished at shutdown, and what was left. As text, one line a group.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::bus::Bus;
/// # async fn example(bus: Bus) {
/// match bus.shutdown(Duration::from_secs(30)).await {
///     Ok(report) => println!("{report}"), // group email: 5 handled, 1 retries, 0 dead-lettered, 0 skipped, 0 left ..
///     Err(error) => eprintln!("{error}; {}", error.report),
/// }
/// # }
/// ```
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
            let Counts { handled, retried, dead_lettered, skipped, postponed } = counts;
            let line_break = if index == 0 { "" } else { "\n" };
            let later = if *postponed == 0 { String::new() } else { format!("{postponed} postponed, ") };
            write!(
                f,
                "{line_break}group {group}: {handled} handled, {retried} retries, {dead_lettered} dead-lettered, \
                 {skipped} skipped, {later}{left} left for redelivery"
            )?;
        }
        Ok(())
    }
}

/// Not all of a bus closed in order by its deadline. Nothing is lost by it: what was finished but could not be made
/// durable is delivered again. [`ShutdownReport`] has an example.
#[non_exhaustive]
pub struct ShutdownError {
    /// What was finished and what was left, as far as it is known.
    pub report: ShutdownReport,
    /// What did not close, each with its reason. Never empty.
    pub problems: Vec<Error>,
}

impl ShutdownError {
    /// Of whoever closes a bus for others, and cannot. Nothing is known of what was finished.
    pub fn new(problem: Error) -> Self {
        Self { report: ShutdownReport::default(), problems: vec![problem] }
    }
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
#[derive(Debug)]
pub(crate) struct Gauge {
    handled: AtomicU64,
    retried: AtomicU64,
    dead_lettered: AtomicU64,
    skipped: AtomicU64,
    postponed: AtomicU64,
    inside: AtomicU64,
    /// The broker's trouble and the parked message's are two things: one may heal while the other lasts.
    source: Mutex<Option<String>>,
    parked: Mutex<BTreeMap<Token, Parked>>,
    guards: Mutex<BTreeMap<u32, String>>,
    pub(crate) board: Board,
}

/// Only the subscription's own task counts, so nothing can come between; a locked addition for each message would cost
/// more.
fn one_more(count: &AtomicU64) {
    count.store(count.load(Relaxed) + 1, Relaxed);
}

impl Gauge {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            handled: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            dead_lettered: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            postponed: AtomicU64::new(0),
            inside: AtomicU64::new(0),
            source: Mutex::default(),
            parked: Mutex::default(),
            guards: Mutex::default(),
            board,
        }
    }

    pub(crate) fn handled(&self) {
        one_more(&self.handled);
    }

    pub(crate) fn retried(&self) {
        one_more(&self.retried);
    }

    pub(crate) fn dead_lettered(&self) {
        one_more(&self.dead_lettered);
    }

    pub(crate) fn skipped(&self) {
        one_more(&self.skipped);
    }

    pub(crate) fn postponed(&self) {
        one_more(&self.postponed);
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

    /// Its copy was not taken.
    pub(crate) fn park(&self, token: Token, mut parked: Parked) {
        let mut all = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = all.get(&token) {
            parked.since = before.since;
        }
        all.insert(token, parked);
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
            postponed: self.postponed.load(Relaxed),
        }
    }

    /// How the lanes are at this moment.
    pub(crate) fn lanes(&self, now: Instant) -> Vec<LaneHealth> {
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        self.board.lanes(now, |lane| {
            let of_lane = parked.iter().filter(|(token, _)| token.lane == lane);
            of_lane.map(|(_, parked)| parked.clone()).collect()
        })
    }

    /// What does not work for now, in words.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        let first = parked.values().next().map(|Parked { origin, copy, reason, .. }| {
            let first = format!("{origin} is parked, its {copy} is not taken: {reason}");
            if parked.len() == 1 { first } else { format!("{first}; and {} more parked", parked.len() - 1) }
        });
        let guard = self.guards.lock().unwrap_or_else(PoisonError::into_inner).values().next().cloned();
        [source, first, guard].into_iter().flatten().collect()
    }
}
