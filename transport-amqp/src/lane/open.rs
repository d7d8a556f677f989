//! A queue whose channel is open: what it hands out, and what it tells the broker.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gulo_bus_core::settle::{Lane, Token, Verdict};
use gulo_bus_core::transport::{CommitPolicy, Delivery, Inbox};
use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::ShortString;
use tokio::time::{Instant, timeout_at};

use super::{Feed, Opened, opening};
use crate::convert;
use crate::settling::{Due, Settling};

/// So many finished messages are worth a frame, whatever the window.
const ENOUGH: usize = 500;

/// After this time a frame for fewer is, where nothing is being handled any more: more may come, or may not.
const LULL: Duration = Duration::from_millis(10);

pub(super) struct Open {
    pub(super) id: Lane,
    channel: Channel,
    feed: Feed,
    settling: Settling,
    pub(super) paused: bool,
    /// When what is done and not told is to be told.
    pub(super) due: Option<Instant>,
}

/// A channel that cannot tell any more.
pub(super) enum Failure {
    Lapin(lapin::Error),
    /// The queue was deleted, or the consumer cancelled by the broker.
    Cancelled,
}

impl Failure {
    /// What the broker sent, for this channel or another one.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Lapin(failure) if matches!(failure.kind(), lapin::ErrorKind::ParsingError(_)))
    }
}

impl Open {
    pub(super) fn new(id: Lane, Opened { channel, feed }: Opened) -> Self {
        Self { id, channel, feed, settling: Settling::default(), paused: false, due: None }
    }

    pub(super) fn poll(
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

    pub(super) fn settle(&mut self, seq: u64, verdict: Verdict) {
        if let Some(Some(due)) = self.settling.settle(seq, verdict) {
            self.say(due);
        }
    }

    /// Says what is due, now or later. A frame for each batch would be one for a few messages. A quarter of the window is many,
    /// and the broker has the rest to go on with while the frame is on its way.
    pub(super) fn settled(&mut self, commit: CommitPolicy, window: usize) {
        if self.settling.finished() >= (window / 4).clamp(1, ENOUGH) {
            self.say_prefix();
        }
        let untold = self.settling.waiting() + self.settling.finished();
        if untold >= commit.every.max(1) {
            self.flush();
        } else if untold > 0 {
            let lull = self.settling.span() == 0;
            self.due_within(if lull { LULL.min(commit.interval) } else { commit.interval });
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.flush();
        }
    }

    /// `false` where the channel is not open on the broker's side.
    pub(super) fn probe(&self, window: usize) -> BoxFuture<'static, bool> {
        let (channel, prefetch) = (self.channel.clone(), opening::prefetch(window));
        Box::pin(async move { channel.basic_qos(prefetch, BasicQosOptions::default()).await.is_ok() })
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
    pub(super) async fn close(mut self: Box<Self>, deadline: Instant) -> Result<()> {
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

pub(super) fn unsure() -> Error {
    Error::new(ErrorKind::TimedOut, "the broker is away: verdicts may be lost, what they settled comes again")
}
