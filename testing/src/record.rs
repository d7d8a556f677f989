//! What happened, in order: written by the layer and the transport, read by the questions of a test.

mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gulo_bus_core::bus::Publish;
use gulo_bus_core::dead_letter::{self, Reason};
use gulo_bus_core::layer::Invocation;
use gulo_bus_core::message::{Message, Origin};
use gulo_bus_core::retry_later;
use gulo_bus_core::transport::{Outcome, Topology};
use tokio::sync::watch;
use tokio::time::Instant;

pub use log::Log;
use log::kind;
pub(crate) use log::{key_text, line};

/// Something that happened, and when, from the start of the test bus.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: Duration,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// The broker confirmed it.
    Published {
        message: Message,
    },
    /// It did not.
    NotConfirmed {
        message: Message,
        outcome: Outcome,
        error: String,
    },
    /// An attempt succeeded.
    Handled {
        call: Invocation,
    },
    /// An attempt failed.
    Failed {
        call: Invocation,
        error: String,
    },
    /// An attempt was dropped before its end: its lane was lost, or its bus.
    Dropped {
        call: Invocation,
    },
    /// An attempt after the first began; `error` is why the one before it failed.
    Retried {
        call: Invocation,
        error: String,
    },
    Skipped {
        group: Arc<str>,
        message: Message,
        origin: Origin,
    },
    DeadLettered {
        group: Arc<str>,
        message: Message,
        origin: Origin,
        letter: Letter,
    },
    /// It comes again later.
    Postponed {
        group: Arc<str>,
        message: Message,
        origin: Origin,
        error: String,
    },
    /// The bus was stopped and is started again.
    Restarted {
        crashed: bool,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) reason: Reason,
    pub(crate) error: String,
    pub(crate) attempts: u32,
    pub(crate) copy: Message,
}

/// The record of one test bus, over all its restarts.
#[derive(Debug)]
pub(crate) struct Record {
    began: Instant,
    state: Mutex<State>,
    /// Counts up with everything that happens.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// Attempts under way, by number.
    running: BTreeMap<u64, Invocation>,
    next_attempt: u64,
    /// Publishes under way.
    publishing: usize,
    /// Sources that are open.
    sources: usize,
    groups: BTreeSet<Arc<str>>,
    letter_topics: BTreeSet<Arc<str>>,
    retry_topics: BTreeSet<Arc<str>>,
    /// What reads types out of envelopes, once the bus runs.
    reader: Option<Publish>,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), state: Mutex::default(), changes: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has happened: who waits looks again.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn push(&self, what: What) {
        let at = self.began.elapsed();
        self.lock().entries.push(Entry { at, what });
        self.changed();
    }

    /// Notes what the application declares: at its start, and what it meets later, as topics that match a pattern.
    pub(crate) fn declare(&self, topology: &Topology) {
        let mut state = self.lock();
        state.groups.extend(topology.groups.iter().map(|group| Arc::clone(&group.group)));
        let letters = topology.topics.iter().filter(|topic| topic.keep).map(|topic| Arc::clone(&topic.name));
        state.letter_topics.extend(letters);
        let later = topology.topics.iter().filter(|topic| topic.delayed.is_some()).map(|topic| Arc::clone(&topic.name));
        state.retry_topics.extend(later);
    }

    /// The bus is started again, and declares everything anew.
    pub(crate) fn restarted(&self, crashed: bool) {
        self.push(What::Restarted { crashed });
        let mut state = self.lock();
        state.groups.clear();
        state.letter_topics.clear();
        state.retry_topics.clear();
    }

    pub(crate) fn read_by(&self, reader: Publish) {
        self.lock().reader = Some(reader);
    }

    /// The type that `message` says it has, or what it is.
    pub(crate) fn kind(&self, message: &Message) -> String {
        kind(message, self.lock().reader.as_ref())
    }

    pub(crate) fn groups(&self) -> Vec<Arc<str>> {
        self.lock().groups.iter().cloned().collect()
    }

    /// Whether it is a dead letter of this bus, or waits for a later attempt.
    pub(crate) fn is_copy(&self, message: &Message) -> bool {
        let (says, state) = (|name| message.headers.get(name).is_some(), self.lock());
        (says(dead_letter::REASON) && state.letter_topics.contains(&message.topic))
            || (says(retry_later::GROUP) && state.retry_topics.contains(&message.topic))
    }

    /// An attempt begins; returns its number.
    pub(crate) fn begin(&self, call: Invocation) -> u64 {
        if let Some(error) = self.last_failure(&call) {
            self.push(What::Retried { call: call.clone(), error });
        }
        let mut state = self.lock();
        let number = state.next_attempt;
        state.next_attempt += 1;
        state.running.insert(number, call);
        number
    }

    /// Why the attempt before this one failed.
    fn last_failure(&self, call: &Invocation) -> Option<String> {
        let before = call.attempt.checked_sub(1).filter(|attempt| *attempt > 0)?;
        self.lock().entries.iter().rev().find_map(|entry| match &entry.what {
            What::Failed { call: earlier, error } if earlier.attempt == before && is_same(earlier, call) => {
                Some(error.clone())
            }
            _ => None,
        })
    }

    pub(crate) fn end(&self, number: u64, what: What) {
        self.lock().running.remove(&number);
        self.push(what);
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    pub(crate) fn running(&self) -> Vec<Invocation> {
        self.lock().running.values().cloned().collect()
    }

    /// Counts publishes under way, or sources that are open: `by` one more or one less.
    pub(crate) fn count(&self, what: Count, by: isize) {
        let mut state = self.lock();
        let count = match what {
            Count::Publishing => &mut state.publishing,
            Count::Sources => &mut state.sources,
        };
        *count = count.saturating_add_signed(by);
        drop(state);
        self.changed();
    }

    pub(crate) fn publishing(&self) -> usize {
        self.lock().publishing
    }

    /// Resolves when the last source is gone, and with it all that was in work.
    pub(crate) async fn abandoned(&self) {
        let mut changes = self.changes();
        // Its sender is this very record.
        let _ = changes.wait_for(|_| self.lock().sources == 0).await;
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    Publishing,
    Sources,
}

/// Counts as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted {
    record: Arc<Record>,
    what: Count,
}

impl Counted {
    pub(crate) fn new(record: &Arc<Record>, what: Count) -> Self {
        record.count(what, 1);
        Self { record: Arc::clone(record), what }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.record.count(self.what, -1);
    }
}

/// Whether both are attempts of one handler at one message. Queues have no offsets: there the content tells them apart,
/// and those of the same content cannot be told apart by anybody.
fn is_same(one: &Invocation, other: &Invocation) -> bool {
    let place = |call: &Invocation| (Arc::clone(&call.group), call.handler, call.origin.clone());
    place(one) == place(other) && one.message == other.message
}
