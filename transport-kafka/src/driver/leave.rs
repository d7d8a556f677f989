//! The end of a source: the last commit, then out of the group.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::Driver;
use crate::shared::Leave;
use crate::source::too_late;

/// Leaving needs a moment of its own, so the last commit ends this long before the deadline, if there is so much.
const FOR_LEAVING: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Leaving {
    commit_until: Instant,
    done: Option<oneshot::Sender<Result<()>>>,
    result: Result<()>,
}

impl Leaving {
    pub(super) fn new(leave: Leave) -> Self {
        let now = Instant::now();
        let left = leave.deadline.saturating_duration_since(now);
        let commit_until = now + left.saturating_sub(FOR_LEAVING.min(left / 2));
        Self { commit_until, done: leave.done, result: Ok(()) }
    }
}

impl Driver {
    /// Leaves as soon as possible: nobody waits for this source.
    pub(super) fn give_up(&mut self) {
        self.leaving = Some(Leaving::new(Leave { deadline: Instant::now(), done: None }));
    }

    /// Whether it was told to leave and all is committed, or will not be in time.
    pub(super) fn ready_to_leave(&mut self) -> bool {
        let Some(leaving) = &self.leaving else { return false };
        let commit_until = leaving.commit_until;
        let result = if self.is_solo() || self.nothing_to_commit() {
            Ok(())
        } else if self.is_lost() {
            Err(Error::new(
                ErrorKind::Unavailable,
                "the group had taken the lanes away: verdicts may be lost, what they settled comes again",
            )
            .help("was the process asleep, or cut off, for longer than session.timeout.ms?"))
        } else if Instant::now() >= commit_until {
            Err(too_late())
        } else {
            return false;
        };
        if let Some(leaving) = &mut self.leaving {
            leaving.result = result;
        }
        true
    }

    pub(super) fn nothing_to_commit(&self) -> bool {
        let state = self.shared.lock();
        // A transaction whose outcome is not known never lets go of its lanes.
        let has_failed = state.failed.is_some();
        !self.commits.is_under_way() && state.lanes.iter().all(|lane| has_failed && lane.bound || !lane.is_awaited())
    }

    /// Out of the group, by dropping the consumer, on this thread: it blocks until the coordinator has been told, and
    /// longer where there is none. Whatever refers to the consumer goes first, or the drop would wait for it for ever.
    pub(super) fn leave(mut self) {
        self.serve();
        self.stop_acting();
        self.answer_all();
        self.shared.lock().lanes.clear();
        self.await_probe();
        let Self { identities, consumer, leaving, shared, .. } = self;
        drop(identities);
        match Arc::into_inner(consumer) {
            Some(consumer) => drop(consumer),
            None => tracing::warn!("the Kafka consumer is still in use and leaves its group late"),
        }
        shared.fail(ErrorKind::Closed, "the Kafka source is closed".into());
        if let Some(Leaving { done: Some(done), result, .. }) = leaving {
            // Nobody listens any more where the deadline has passed.
            let _ = done.send(result);
        }
    }

    /// A probe holds the consumer for as long as it waits for a broker.
    fn await_probe(&self) {
        let until = Instant::now() + super::trouble::PROBE_TIMEOUT * 2;
        while Arc::strong_count(&self.consumer) > 1 && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
