//! Messages in work and messages that wait.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, BoxFuture, poll_immediate};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep};

use crate::bus::process::{Processor, Turn, Work};
use crate::dispatch::Slot;
use crate::settle::{Lane, Token};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A turn under way. It owns its message and gives it back.
pub(super) type Pending = (BoxFuture<'static, (Work, Turn)>, Token);

pub(super) struct Jobs {
    processor: Arc<Processor>,
    turns: FuturesUnordered<Abortable<BoxFuture<'static, (Slot, Work, Turn)>>>,
    in_work: HashMap<Slot, InWork>,
    waiting: HashMap<Slot, Work>,
    /// When waits end. An entry of a message that is gone is passed over, so nothing is ever searched for.
    due: BinaryHeap<Reverse<(Instant, Slot)>>,
}

struct InWork {
    abort: AbortHandle,
    token: Token,
    /// A dead letter that is not taken is parked: it may be left like one that waits.
    parked: bool,
}

impl Jobs {
    pub(super) fn new(processor: Arc<Processor>) -> Self {
        Self {
            processor,
            turns: FuturesUnordered::new(),
            in_work: HashMap::new(),
            waiting: HashMap::new(),
            due: BinaryHeap::new(),
        }
    }

    /// Begins an attempt and polls it once, on the spot: most are ready then, and cost no wake-up.
    pub(super) async fn poll_once(&mut self, mut work: Work) -> Result<(Work, Turn), Pending> {
        let (processor, token) = (Arc::clone(&self.processor), work.delivery.token);
        let mut turn: BoxFuture<'static, (Work, Turn)> = Box::pin(async move {
            let turn = processor.attempt(&mut work).await;
            (work, turn)
        });
        poll_immediate(&mut turn).await.ok_or((turn, token))
    }

    /// Keeps a turn that was not ready.
    pub(super) fn keep(&mut self, slot: Slot, (turn, token): Pending) {
        self.push(
            slot,
            token,
            false,
            Box::pin(async move {
                let (work, turn) = turn.await;
                (slot, work, turn)
            }),
        );
    }

    /// Publishes its dead letter, after `delay`.
    pub(super) fn bury(&mut self, slot: Slot, mut work: Work, delay: Duration) {
        let (processor, token) = (Arc::clone(&self.processor), work.delivery.token);
        self.push(
            slot,
            token,
            !delay.is_zero(),
            Box::pin(async move {
                sleep(delay).await;
                let turn = processor.bury(&mut work).await;
                (slot, work, turn)
            }),
        );
    }

    fn push(&mut self, slot: Slot, token: Token, parked: bool, turn: BoxFuture<'static, (Slot, Work, Turn)>) {
        let (abort, registration) = AbortHandle::new_pair();
        self.in_work.insert(slot, InWork { abort, token, parked });
        self.turns.push(Abortable::new(turn, registration));
    }

    /// The next turn that is over. `None` where nothing is in work.
    pub(super) async fn next(&mut self) -> Option<(Slot, Work, Turn)> {
        loop {
            match self.turns.next().await? {
                Ok((slot, work, turn)) if self.in_work.remove(&slot).is_some() => return Some((slot, work, turn)),
                // Abandoned, at the very moment it ended or before.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Attempts and dead letters under way that are worth waiting for.
    pub(super) fn running(&self) -> usize {
        self.in_work.values().filter(|job| !job.parked).count()
    }

    pub(super) fn wait(&mut self, slot: Slot, work: Work, delay: Duration) {
        self.waiting.insert(slot, work);
        let now = Instant::now();
        // A wait that no clock can count is as good as one of a year.
        let due = now.checked_add(delay.min(YEAR)).unwrap_or(now);
        self.due.push(Reverse((due, slot)));
    }

    pub(super) fn take_waiting(&mut self, slot: Slot) -> Option<Work> {
        self.waiting.remove(&slot)
    }

    /// Takes out all that only wait on such lanes.
    pub(super) fn take_all_waiting(&mut self, of: impl Fn(Lane) -> bool) -> Vec<Slot> {
        let taken: Vec<Slot> =
            self.waiting.iter().filter(|(_, work)| of(work.delivery.token.lane)).map(|(slot, _)| *slot).collect();
        taken.iter().for_each(|slot| drop(self.waiting.remove(slot)));
        let parked = |job: &InWork| job.parked && of(job.token.lane);
        let parked: Vec<Slot> = self.in_work.iter().filter(|(_, job)| parked(job)).map(|(slot, _)| *slot).collect();
        parked.iter().for_each(|slot| self.abandon(*slot));
        taken.into_iter().chain(parked).collect()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// One whose wait is over at `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Slot> {
        while self.next_due().is_some_and(|at| at <= now) {
            let Reverse((_, slot)) = self.due.pop()?;
            if self.waiting.contains_key(&slot) {
                return Some(slot);
            }
        }
        None
    }

    /// Drops it, unsettled.
    pub(super) fn abandon(&mut self, slot: Slot) {
        self.waiting.remove(&slot);
        if let Some(job) = self.in_work.remove(&slot) {
            job.abort.abort();
            self.processor.gauge.unpark(job.token);
        }
    }
}
