//! Messages in work and messages that wait.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable, Aborted, poll_immediate};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep};

use crate::bus::guarded::Guarded;
use crate::bus::health::Stage;
use crate::bus::process::{Attempt, Processor, Turn, Work};
use crate::dispatch::Slot;
use crate::settle::{Lane, Token};
use crate::time::later;
use crate::transport::Delivery;

type Slots<T> = HashMap<Slot, T, foldhash::fast::RandomState>;

/// What is known of a message while its turn owns it.
#[derive(Debug)]
pub(super) struct About {
    pub(super) token: Token,
    pub(super) offset: Option<i64>,
    pub(super) key: Option<Bytes>,
}

impl About {
    pub(super) fn new(work: &Work) -> Self {
        let Delivery { message, token, offset, .. } = &work.received.delivery;
        Self { token: *token, offset: *offset, key: message.key.clone() }
    }
}

pub(super) struct Jobs {
    processor: Arc<Processor>,
    turns: FuturesUnordered<Abortable<UnderWay>>,
    in_work: Slots<InWork>,
    /// Turns that ended while abandoned ones were looked for.
    ended: VecDeque<Ended>,
    /// Abandoned turns that are still there, to be dropped at their next poll.
    abandoned: usize,
    waiting: Slots<(Box<Work>, Instant)>,
    /// When waits end. An entry of a message that is gone is passed over, so nothing is ever searched for.
    due: BinaryHeap<Reverse<(Instant, Slot)>>,
}

pub(super) type Ended = (Slot, Box<Work>, Turn);

struct InWork {
    abort: AbortHandle,
    about: About,
    /// It waits to publish its copy again, and may be left like any that waits.
    parked: Arc<AtomicBool>,
}

/// A turn under way. It owns its message and gives it back.
enum UnderWay {
    Attempt { processor: Arc<Processor>, slot: Slot, work: Option<Box<Work>>, attempt: Attempt },
    Burial(Guarded<Ended>),
}

impl Future for UnderWay {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        match self.get_mut() {
            Self::Burial(burial) => Pin::new(burial).poll(cx),
            Self::Attempt { processor, slot, work, attempt } => {
                let Some(mut owned) = work.take() else { return Poll::Pending };
                match processor.poll(&mut owned, attempt, cx) {
                    Poll::Ready(turn) => Poll::Ready((*slot, owned, turn)),
                    Poll::Pending => {
                        *work = Some(owned);
                        Poll::Pending
                    }
                }
            }
        }
    }
}

impl Jobs {
    pub(super) fn new(processor: Arc<Processor>) -> Self {
        Self {
            processor,
            turns: FuturesUnordered::new(),
            in_work: Slots::default(),
            ended: VecDeque::new(),
            abandoned: 0,
            waiting: Slots::default(),
            due: BinaryHeap::new(),
        }
    }

    /// Keeps an attempt that was not over at its first poll.
    pub(super) fn keep(&mut self, slot: Slot, work: Box<Work>, attempt: Attempt) {
        let (processor, about) = (Arc::clone(&self.processor), About::new(&work));
        self.push(slot, about, Arc::default(), UnderWay::Attempt { processor, slot, work: Some(work), attempt });
    }

    /// Publishes its dead letter, or its copy for later, after `delay`.
    pub(super) fn bury(&mut self, slot: Slot, mut work: Box<Work>, delay: Duration) {
        let (processor, about) = (Arc::clone(&self.processor), About::new(&work));
        let parked = Arc::new(AtomicBool::new(!delay.is_zero()));
        let waits = Arc::clone(&parked);
        let burial = Guarded::new(Box::pin(async move {
            sleep(delay).await;
            // On its way now: left here, it might stand there twice.
            waits.store(false, Relaxed);
            let turn = processor.bury(&mut work).await;
            (slot, work, turn)
        }));
        self.push(slot, about, parked, UnderWay::Burial(burial));
    }

    fn push(&mut self, slot: Slot, about: About, parked: Arc<AtomicBool>, turn: UnderWay) {
        let (abort, registration) = AbortHandle::new_pair();
        self.in_work.insert(slot, InWork { abort, about, parked });
        self.turns.push(Abortable::new(turn, registration));
    }

    /// The next turn that is over. `None` where nothing is in work.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended>> {
        loop {
            if let Some(ended) = self.ended.pop_front() {
                if self.in_work.remove(&ended.0).is_some() {
                    return Poll::Ready(Some(ended));
                }
                continue;
            }
            match ready!(self.turns.poll_next_unpin(cx)) {
                None => return Poll::Ready(None),
                Some(turn) => self.note(turn),
            }
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
        // Turns that wake themselves make a poll end early, with those abandoned still behind them: each poll goes further.
        for _ in 0..=self.turns.len() {
            while self.abandoned > 0
                && let Some(turn) = poll_immediate(self.turns.next()).await.flatten()
            {
                self.note(turn);
            }
        }
        self.abandoned = 0;
    }

    /// Turns under way that are worth waiting for.
    pub(super) fn running(&self) -> usize {
        self.in_work.values().filter(|job| !job.parked.load(Relaxed)).count()
    }

    pub(super) fn wait(&mut self, slot: Slot, work: Box<Work>, delay: Duration) {
        let due = later(Instant::now(), delay);
        self.waiting.insert(slot, (work, due));
        self.due.push(Reverse((due, slot)));
    }

    pub(super) fn take_waiting(&mut self, slot: Slot) -> Option<Box<Work>> {
        self.waiting.remove(&slot).map(|(work, _)| work)
    }

    /// Takes out all that only wait on such lanes.
    pub(super) fn take_all_waiting(&mut self, of: impl Fn(Lane) -> bool) -> Vec<Slot> {
        let taken: Vec<Slot> =
            self.waiting.iter().filter(|(_, (work, _))| of(work.token().lane)).map(|(slot, _)| *slot).collect();
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
        self.waiting.values().map(|(work, until)| (&**work, *until))
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
