//! Messages in work and messages that wait.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable, Aborted, poll_immediate};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep};

use crate::bus::health::Stage;
use crate::bus::process::{Processor, Turn, Work};
use crate::bus::runner::guarded::Guarded;
use crate::dispatch::Slot;
use crate::settle::{Lane, Token};
use crate::transport::Delivery;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A turn under way. It owns its message and gives it back.
pub(super) type Pending = (Guarded<(Work, Turn)>, About);

/// What is known of a message while its turn owns it.
#[derive(Debug)]
pub(super) struct About {
    pub(super) token: Token,
    pub(super) offset: Option<i64>,
    pub(super) key: Option<Bytes>,
}

impl About {
    pub(super) fn new(Delivery { message, token, origin, .. }: &Delivery) -> Self {
        Self { token: *token, offset: origin.offset, key: message.key.clone() }
    }
}

pub(super) struct Jobs {
    processor: Arc<Processor>,
    turns: FuturesUnordered<Abortable<Guarded<Ended>>>,
    in_work: HashMap<Slot, InWork>,
    /// Turns that ended while abandoned ones were looked for.
    ended: VecDeque<Ended>,
    /// Abandoned turns that are still there, to be dropped at their next poll.
    abandoned: usize,
    waiting: HashMap<Slot, (Work, Instant)>,
    /// When waits end. An entry of a message that is gone is passed over, so nothing is ever searched for.
    due: BinaryHeap<Reverse<(Instant, Slot)>>,
}

type Ended = (Slot, Work, Turn);

struct InWork {
    abort: AbortHandle,
    about: About,
    /// It waits to publish its dead letter again, and may be left like any that waits.
    parked: Arc<AtomicBool>,
}

impl Jobs {
    pub(super) fn new(processor: Arc<Processor>) -> Self {
        Self {
            processor,
            turns: FuturesUnordered::new(),
            in_work: HashMap::new(),
            ended: VecDeque::new(),
            abandoned: 0,
            waiting: HashMap::new(),
            due: BinaryHeap::new(),
        }
    }

    /// Begins an attempt and polls it once, on the spot: most are ready then, and cost no wake-up.
    pub(super) async fn poll_once(&mut self, mut work: Work) -> Result<(Work, Turn), Pending> {
        let (processor, about) = (Arc::clone(&self.processor), About::new(&work.delivery));
        let mut turn = Guarded::new(async move {
            let attempt = AssertUnwindSafe(processor.attempt(&mut work)).catch_unwind();
            let turn = attempt.await.unwrap_or_else(|panic| processor.condemn_panicked(&mut work, &*panic));
            (work, turn)
        });
        poll_immediate(&mut turn).await.ok_or((turn, about))
    }

    /// Keeps a turn that was not ready.
    pub(super) fn keep(&mut self, slot: Slot, (turn, about): Pending) {
        let turn = Guarded::new(async move {
            let (work, turn) = turn.await;
            (slot, work, turn)
        });
        self.push(slot, about, Arc::default(), turn);
    }

    /// Publishes its dead letter, after `delay`.
    pub(super) fn bury(&mut self, slot: Slot, mut work: Work, delay: Duration) {
        let (processor, about) = (Arc::clone(&self.processor), About::new(&work.delivery));
        let parked = Arc::new(AtomicBool::new(!delay.is_zero()));
        let waits = Arc::clone(&parked);
        let turn = Guarded::new(async move {
            sleep(delay).await;
            // On its way now: left here, it might stand there twice.
            waits.store(false, Relaxed);
            let turn = processor.bury(&mut work).await;
            (slot, work, turn)
        });
        self.push(slot, about, parked, turn);
    }

    fn push(&mut self, slot: Slot, about: About, parked: Arc<AtomicBool>, turn: Guarded<Ended>) {
        let (abort, registration) = AbortHandle::new_pair();
        self.in_work.insert(slot, InWork { abort, about, parked });
        self.turns.push(Abortable::new(turn, registration));
    }

    /// The next turn that is over. `None` where nothing is in work.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        loop {
            if let Some(ended) = self.ended.pop_front() {
                if self.in_work.remove(&ended.0).is_some() {
                    return Some(ended);
                }
                continue;
            }
            let turn = self.turns.next().await?;
            self.note(turn);
        }
    }

    fn note(&mut self, turn: Result<Ended, Aborted>) {
        match turn {
            Ok(ended) if self.in_work.contains_key(&ended.0) => self.ended.push_back(ended),
            // Abandoned before it ended, or at that very moment: nothing of it counts.
            Ok(_) | Err(Aborted) => self.abandoned = self.abandoned.saturating_sub(1),
        }
    }

    /// Drops what was abandoned, before anything of the same key begins anew: what its future holds goes with it.
    pub(super) async fn reap(&mut self) {
        while self.abandoned > 0 {
            match poll_immediate(self.turns.next()).await.flatten() {
                Some(turn) => self.note(turn),
                None => self.abandoned = 0,
            }
        }
    }

    /// Turns under way that are worth waiting for.
    pub(super) fn running(&self) -> usize {
        self.in_work.values().filter(|job| !job.parked.load(Relaxed)).count()
    }

    pub(super) fn wait(&mut self, slot: Slot, work: Work, delay: Duration) {
        let now = Instant::now();
        // A wait that no clock can count is as good as one of a year.
        let due = now.checked_add(delay.min(YEAR)).unwrap_or(now);
        self.waiting.insert(slot, (work, due));
        self.due.push(Reverse((due, slot)));
    }

    pub(super) fn take_waiting(&mut self, slot: Slot) -> Option<Work> {
        self.waiting.remove(&slot).map(|(work, _)| work)
    }

    /// Takes out all that only wait on such lanes.
    pub(super) fn take_all_waiting(&mut self, of: impl Fn(Lane) -> bool) -> Vec<Slot> {
        let taken: Vec<Slot> =
            self.waiting.iter().filter(|(_, (work, _))| of(work.delivery.token.lane)).map(|(slot, _)| *slot).collect();
        taken.iter().for_each(|slot| drop(self.waiting.remove(slot)));
        let parked = |job: &InWork| job.parked.load(Relaxed) && of(job.about.token.lane);
        let parked: Vec<Slot> = self.in_work.iter().filter(|(_, job)| parked(job)).map(|(slot, _)| *slot).collect();
        parked.iter().for_each(|slot| self.abandon(*slot));
        taken.into_iter().chain(parked).collect()
    }

    /// All that has begun and is under way, and what it does: for reports, and not for every message.
    pub(super) fn under_way(&self) -> impl Iterator<Item = (&About, Stage)> {
        let stage = |job: &InWork| if job.parked.load(Relaxed) { Stage::Parked } else { Stage::InWork };
        self.in_work.values().map(move |job| (&job.about, stage(job)))
    }

    /// All that waits for its next attempt, and until when.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&Work, Instant)> {
        self.waiting.values().map(|(work, until)| (work, *until))
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
            self.abandoned += 1;
            self.processor.gauge.unpark(job.about.token);
        }
    }
}
