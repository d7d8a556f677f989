//! One queue as a member of a group reads it: a channel of its own, opened, lost and opened again under a new epoch.

mod feed;
mod opening;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gulo_bus_core::message::Origin;
use gulo_bus_core::settle::{Lane, Token, Verdict};
use gulo_bus_core::transport::{CommitPolicy, Delivery, Inbox, LaneEvent};
use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::ShortString;
use tokio::time::{Instant, Sleep, sleep, timeout_at};

use crate::convert;
use crate::names;
use crate::settling::{Due, Settling};

pub(crate) use feed::Feed;
pub(crate) use opening::{Opened, Opening};

/// Between attempts to open a lane.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// So many finished messages are worth a frame, whatever the window.
const ENOUGH: usize = 500;

/// After this time a frame for fewer is, where nothing is being handled any more: more may come, or may not.
const LULL: Duration = Duration::from_millis(10);

/// What a queue is to its member. Its state says how it stands; its slot is for ever.
pub(crate) struct QueueLane {
    opening: Arc<Opening>,
    window: usize,
    commit: CommitPolicy,
    slot: u32,
    next_epoch: u32,
    rest: Duration,
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

pub(crate) struct Open {
    id: Lane,
    channel: Channel,
    feed: Feed,
    settling: Settling,
    paused: bool,
    /// When what is done behind an unfinished message is to be told.
    due: Option<Instant>,
}

impl QueueLane {
    /// A lane that is open from its first look on.
    pub(crate) fn new(opening: Arc<Opening>, opened: Opened, slot: u32, window: usize, commit: CommitPolicy) -> Self {
        let state = State::Opening(Box::pin(std::future::ready(Ok(opened))));
        Self { opening, window, commit, slot, next_epoch: 0, rest: FIRST_REST, unsure: false, state }
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
                        self.state = State::Opening(Opening::again(&self.opening));
                        let _ = self.poll(cx, inbox, room);
                        return Err(self.opening.told(&failure));
                    }
                },
            }
        }
    }

    fn opened(&mut self, opened: Opened, inbox: &mut Inbox) {
        let id = Lane { slot: self.slot, epoch: self.next_epoch };
        self.next_epoch = self.next_epoch.wrapping_add(1);
        self.rest = FIRST_REST;
        let origin = Origin { topic: self.opening.topic().clone(), partition: None, offset: None };
        inbox.events.push(LaneEvent::Opened { lane: id, origin });
        let Opened { channel, feed } = opened;
        let (settling, paused, due) = (Settling::default(), false, None);
        self.state = State::Open(Box::new(Open { id, channel, feed, settling, paused, due }));
    }

    /// A verdict on what is out. Those of an earlier epoch, or given twice, do nothing.
    pub(crate) fn settle(&mut self, token: Token, verdict: Verdict) {
        let Some(open) = self.open_mut(token.lane) else { return };
        if let Some(Some(due)) = open.settling.settle(token.seq, verdict) {
            open.say(due);
        }
    }

    /// After a batch of verdicts: says what is due, now or later. A frame for each batch would be one for a few messages. A
    /// quarter of the window is many, and the broker has the rest to go on with while the frame is on its way.
    pub(crate) fn settled(&mut self) {
        let (commit, enough) = (self.commit, (self.window / 4).clamp(1, ENOUGH));
        let State::Open(open) = &mut self.state else { return };
        if open.settling.finished() >= enough {
            open.say_prefix();
        }
        let untold = open.settling.waiting() + open.settling.finished();
        if untold >= commit.every.max(1) {
            open.flush();
        } else if untold > 0 {
            let lull = open.settling.span() == 0;
            open.due_within(if lull { LULL.min(commit.interval) } else { commit.interval });
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
        if let State::Open(open) = &mut self.state
            && open.due.is_some_and(|due| due <= now)
        {
            open.flush();
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
        let State::Open(open) = &self.state else { return None };
        let (channel, prefetch) = (open.channel.clone(), opening::prefetch(self.window));
        Some(Box::pin(async move { channel.basic_qos(prefetch, BasicQosOptions::default()).await.is_ok() }))
    }
}

/// A channel that cannot tell any more.
pub(crate) enum Failure {
    Lapin(lapin::Error),
    /// The queue was deleted, or the consumer cancelled by the broker.
    Cancelled,
}

impl Open {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        inbox: &mut Inbox,
        room: usize,
        window: usize,
        topic: &Arc<str>,
    ) -> Result<(), Failure> {
        if !self.channel.status().connected() {
            return Err(self.why());
        }
        let mut room = room;
        while room > 0 && !self.paused && self.settling.span() < window {
            let Poll::Ready(next) = self.feed.poll(cx, &self.channel)? else { return Ok(()) };
            let (message, redelivered) = convert::message(topic, next);
            let token = Token { lane: self.id, seq: self.settling.arrive() };
            inbox.deliveries.push_back(Delivery { message, token, partition: None, offset: None, redelivered });
            room -= 1;
        }
        Ok(())
    }

    /// The consumer knows the cause, behind what it had got before.
    fn why(&mut self) -> Failure {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match self.feed.poll(&mut cx, &self.channel) {
                Ok(Poll::Ready(_)) => {}
                Ok(Poll::Pending) => return Failure::Cancelled,
                Err(failure) => return failure,
            }
        }
    }

    fn due_within(&mut self, time: Duration) {
        let now = Instant::now();
        let due = now.checked_add(time).unwrap_or(now + Duration::from_secs(86400));
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
    }

    fn say_prefix(&mut self) {
        if let Some(due) = self.settling.prefix() {
            self.say(due);
        }
        if self.settling.waiting() == 0 {
            self.due = None;
        }
    }

    fn flush(&mut self) {
        self.say_prefix();
        self.due = None;
        let due: Vec<Due> = self.settling.singles().collect();
        due.into_iter().for_each(|due| self.say(due));
    }

    /// Hands the frame over, which lapin does in the first poll; what follows is only the wait until it is written. On a
    /// channel that is gone it does nothing, and the loss of the lane says so.
    fn say(&self, due: Due) {
        let cx = &mut Context::from_waker(Waker::noop());
        let (channel, multiple) = (&self.channel, matches!(due, Due::AckUpTo(_)));
        let _ = match due {
            Due::AckUpTo(tag) | Due::Ack(tag) => pin!(channel.basic_ack(tag, BasicAckOptions { multiple })).poll(cx),
            Due::Requeue(tag) => {
                pin!(channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true })).poll(cx)
            }
            Due::Reject(tag) => pin!(channel.basic_reject(tag, BasicRejectOptions { requeue: false })).poll(cx),
        };
    }

    /// The answer to the close comes behind all that was said: by then the broker knows it.
    async fn close(mut self: Box<Self>, deadline: Instant) -> Result<()> {
        self.flush();
        let (channel, heard) = (self.channel.clone(), self.feed.queues());
        let fresh = self.settling.is_fresh();
        let closing = async move {
            // Kept until the channel is closed.
            let mut waits = Vec::new();
            for queue in heard.into_iter().filter(|_| !fresh) {
                waits.push(be_heard(&channel, queue).await?);
            }
            channel.close(200, "closed".into()).await
        };
        match timeout_at(deadline, closing).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(unsure()),
        }
    }
}

/// The broker's channel passes on to a quorum queue no more than 32 acknowledgements that the queue has not answered, holds
/// back those that follow, and forgets them when it closes. What the queue itself must answer comes behind all of them: one
/// consumer more, which waits for its turn and goes with the channel. To cancel the one there is would do too, but the next
/// member would begin before what is unfinished here is back in its place.
async fn be_heard(channel: &Channel, queue: ShortString) -> lapin::Result<lapin::Consumer> {
    // Where members compete it gets something, which comes back with the rest.
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    opening::consume(channel.clone(), queue).await
}

fn unsure() -> Error {
    Error::new(ErrorKind::TimedOut, "the broker is away: verdicts may be lost, what they settled comes again")
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
