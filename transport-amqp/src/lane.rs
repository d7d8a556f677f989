//! One queue as a member of a group reads it: a channel of its own, opened, lost and opened again under a new epoch.

mod feed;
mod open;
mod opening;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gulo_bus_core::message::Origin;
use gulo_bus_core::settle::{Lane, Token, Verdict};
use gulo_bus_core::transport::{CommitPolicy, Inbox, LaneEvent};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, Sleep, sleep};

use crate::names;

pub(crate) use feed::Feed;
use open::{Failure, Open, unsure};
pub(crate) use opening::{Opened, Opening};

/// Between attempts to open a lane.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// What a queue is to its member. Its state says how it stands; its slot is for ever.
pub(crate) struct QueueLane {
    opening: Arc<Opening>,
    window: usize,
    commit: CommitPolicy,
    slot: u32,
    next_epoch: u32,
    rest: Duration,
    /// When it was last opened.
    opened_at: Instant,
    /// The last epoch ended without the broker's word that it knows all of its verdicts.
    unsure: bool,
    state: State,
}

enum State {
    Opening(BoxFuture<'static, Result<Opened>>),
    /// Until the next attempt.
    Resting(Pin<Box<Sleep>>),
    Open(Box<Open>),
    /// Being given back; then it opens again.
    Closing(Lane, BoxFuture<'static, Result<()>>),
}

impl QueueLane {
    /// A lane that is open from its first look on.
    pub(crate) fn new(opening: Arc<Opening>, opened: Opened, slot: u32, window: usize, commit: CommitPolicy) -> Self {
        let state = State::Opening(Box::pin(std::future::ready(Ok(opened))));
        let opened_at = Instant::now();
        Self { opening, window, commit, slot, next_epoch: 0, rest: FIRST_REST, opened_at, unsure: false, state }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    fn open_mut(&mut self, lane: Lane) -> Option<&mut Open> {
        match &mut self.state {
            State::Open(open) if open.id == lane => Some(open),
            _ => None,
        }
    }

    /// Goes on with whatever it is at; adds at most `room` deliveries. An error is for the source to tell; the lane goes on
    /// by itself.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox, room: usize) -> Result<()> {
        loop {
            match &mut self.state {
                State::Opening(opening) => match opening.as_mut().poll(cx) {
                    Poll::Ready(Ok(opened)) => self.opened(opened, inbox),
                    Poll::Ready(Err(failure)) => {
                        self.state = State::Resting(Box::pin(sleep(self.rest)));
                        self.rest = LONGEST_REST.min(self.rest * 2);
                        // The rest must be polled, or nobody wakes when it is over.
                        let _ = self.poll(cx, inbox, room);
                        return Err(failure);
                    }
                    Poll::Pending => return Ok(()),
                },
                State::Resting(rest) => match rest.as_mut().poll(cx) {
                    Poll::Ready(()) => self.state = State::Opening(Opening::again(&self.opening)),
                    Poll::Pending => return Ok(()),
                },
                State::Closing(lane, closing) => match closing.as_mut().poll(cx) {
                    Poll::Ready(closed) => {
                        // Where nobody answered it is not known what the broker knows.
                        self.unsure = closed.is_err();
                        inbox.events.push(if closed.is_ok() {
                            LaneEvent::Closed(*lane)
                        } else {
                            LaneEvent::Lost(*lane)
                        });
                        self.state = State::Opening(Opening::again(&self.opening));
                    }
                    Poll::Pending => return Ok(()),
                },
                State::Open(open) => match open.poll(cx, inbox, room, self.window, self.opening.topic()) {
                    Ok(()) => return Ok(()),
                    Err(failure) => {
                        inbox.events.push(LaneEvent::Lost(open.id));
                        self.unsure = true;
                        self.state = self.after_a_loss(&failure);
                        let _ = self.poll(cx, inbox, room);
                        return Err(self.opening.told(&failure));
                    }
                },
            }
        }
    }

    /// A message that lapin cannot read ends the connection each time it comes: so that only the lane in whose queue it lies is lost
    /// by it again, each has a connection of its own from then on. And what is lost as soon as it is open rests before it is again.
    fn after_a_loss(&mut self, failure: &Failure) -> State {
        if failure.is_unreadable() {
            self.opening = Opening::alone(&self.opening);
        }
        if self.opened_at.elapsed() > LONGEST_REST {
            self.rest = FIRST_REST;
            return State::Opening(Opening::again(&self.opening));
        }
        let rest = sleep(self.rest);
        self.rest = LONGEST_REST.min(self.rest * 2);
        State::Resting(Box::pin(rest))
    }

    fn opened(&mut self, opened: Opened, inbox: &mut Inbox) {
        let id = Lane { slot: self.slot, epoch: self.next_epoch };
        self.next_epoch = self.next_epoch.wrapping_add(1);
        self.opened_at = Instant::now();
        let origin = Origin { topic: self.opening.topic().clone(), partition: None, offset: None };
        inbox.events.push(LaneEvent::Opened { lane: id, origin });
        self.state = State::Open(Box::new(Open::new(id, opened)));
    }

    /// A verdict on what is out. Those of an earlier epoch, or given twice, do nothing.
    pub(crate) fn settle(&mut self, token: Token, verdict: Verdict) {
        if let Some(open) = self.open_mut(token.lane) {
            open.settle(token.seq, verdict);
        }
    }

    /// After a batch of verdicts.
    pub(crate) fn settled(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.settled(self.commit, self.window);
        }
    }

    /// When something is to be said though nobody settles.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Open(open) => open.due,
            _ => None,
        }
    }

    /// Says what is due by `now`.
    pub(crate) fn tick(&mut self, now: Instant) {
        if let State::Open(open) = &mut self.state {
            open.tick(now);
        }
    }

    /// Delivers nothing, or again. `false` where this is not the lane.
    pub(crate) fn pause(&mut self, lane: Lane, paused: bool) -> bool {
        self.open_mut(lane).map(|open| open.paused = paused).is_some()
    }

    /// Begins to give it back, `lane` being what is open; what is unsettled comes again.
    pub(crate) fn release(&mut self, lane: Lane, deadline: Instant) {
        if self.open_mut(lane).is_none() {
            return;
        }
        // Replaced at once: there is nothing in between.
        let resting = State::Resting(Box::pin(sleep(Duration::ZERO)));
        if let State::Open(open) = std::mem::replace(&mut self.state, resting) {
            self.state = State::Closing(lane, Box::pin(open.close(deadline)));
        }
    }

    /// Ends it for good: everything said is known to the broker when this is done.
    pub(crate) fn close(self, deadline: Instant) -> BoxFuture<'static, Result<()>> {
        match self.state {
            State::Open(open) => Box::pin(open.close(deadline)),
            State::Closing(_, closing) => closing,
            State::Opening(_) | State::Resting(_) if self.unsure => Box::pin(std::future::ready(Err(unsure()))),
            // Nothing was handed out since all was known.
            State::Opening(_) | State::Resting(_) => Box::pin(std::future::ready(Ok(()))),
        }
    }

    /// Asks the broker something that it can only answer if this channel is open on its side.
    pub(crate) fn probe(&self) -> Option<BoxFuture<'static, bool>> {
        match &self.state {
            State::Open(open) => Some(open.probe(self.window)),
            _ => None,
        }
    }
}

impl Opening {
    fn told(&self, failure: &Failure) -> Error {
        let queue = names::shown(self.queue());
        match failure {
            Failure::Lapin(failure) => self.link().told(failure).context(format_args!("queue {queue}")),
            Failure::Cancelled => Error::new(
                ErrorKind::Missing,
                format!("queue {queue} was deleted, or the broker cancelled its consumer"),
            )
            .help("it is looked for, and made again where that is allowed; what was in it is gone"),
        }
    }
}
