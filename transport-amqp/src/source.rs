//! Receiving: the lanes of one member, polled in turn. All of its state lies here, so nothing is lost with a future.

mod alive;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, join_all, try_join_all};
use gulo_bus_core::settle::{Settlement, Verdict};
use gulo_bus_core::transport::{Capability, Control, Inbox, LaneEvent, Source, SubscribeSpec};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::NAME;
use crate::config::AmqpConfig;
use crate::connection::{Gently, Link};
use crate::lane::{Opening, QueueLane};
use crate::transport::capabilities;

use alive::Alive;

/// How often lanes are looked at that nothing comes from: a channel that ends says so to who waits for a delivery, and a
/// full lane waits for none.
const LOOK: Duration = Duration::from_millis(500);

/// A member of a group.
pub(crate) struct AmqpSource {
    config: Arc<AmqpConfig>,
    lanes: Vec<QueueLane>,
    /// Answers to commands.
    answers: Vec<LaneEvent>,
    touched: Vec<bool>,
    alive: Alive,
    probe: Option<BoxFuture<'static, bool>>,
    timer: Pin<Box<Sleep>>,
    waker: Gently,
    turn: usize,
    degraded: bool,
    closed: bool,
}

impl AmqpSource {
    /// Begins to read `topics`, whose queues are there.
    pub(crate) async fn open(
        link: &Arc<Link>,
        config: &Arc<AmqpConfig>,
        group: &Arc<str>,
        topics: Vec<Arc<str>>,
        spec: &SubscribeSpec,
    ) -> Result<Self> {
        let openings: Vec<_> =
            topics.into_iter().map(|topic| Opening::new(link, config, group, topic, spec.window)).collect();
        let opened = try_join_all(openings.iter().map(|opening| opening.open())).await?;
        let lane = |(slot, (opening, opened))| QueueLane::new(opening, opened, slot as u32, spec.window, spec.commit);
        let lanes: Vec<_> = openings.into_iter().zip(opened).enumerate().map(lane).collect();
        Ok(Self {
            config: config.clone(),
            touched: vec![false; lanes.len()],
            lanes,
            answers: Vec::new(),
            alive: Alive::new(config.heartbeat),
            probe: None,
            timer: Box::pin(sleep_until(Instant::now() + LOOK)),
            waker: Gently::default(),
            turn: 0,
            degraded: false,
            closed: false,
        })
    }

    fn require_open(&self) -> Result<()> {
        if self.closed {
            Err(Error::new(ErrorKind::Closed, "the source is closed").help("subscribe anew"))
        } else {
            Ok(())
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox, room: usize) -> Poll<()> {
        self.alive.seen();
        inbox.events.append(&mut self.answers);
        self.poll_probe(cx);
        let (before, mut troubles) = (inbox.deliveries.len(), Vec::new());
        self.turn = self.turn.wrapping_add(1);
        let mut gently = Context::from_waker(self.waker.soon(cx.waker()));
        for index in 0..self.lanes.len() {
            let index = (index + self.turn) % self.lanes.len();
            let left = room - (inbox.deliveries.len() - before);
            if let Err(trouble) = self.lanes[index].poll(&mut gently, inbox, left) {
                troubles.push(trouble);
            }
        }
        self.tell(inbox, troubles);
        self.poll_timer(cx);
        if inbox.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// One word when something begins to fail, one when all is well again.
    fn tell(&mut self, inbox: &mut Inbox, troubles: Vec<Error>) {
        for trouble in troubles {
            if !std::mem::replace(&mut self.degraded, true) {
                inbox.events.push(LaneEvent::Degraded(trouble));
            }
        }
        if self.degraded && self.lanes.iter().all(QueueLane::is_open) {
            self.degraded = false;
            inbox.events.push(LaneEvent::Recovered);
        }
    }

    /// Says what is due, and sees to being polled again.
    fn poll_timer(&mut self, cx: &mut Context<'_>) {
        loop {
            let now = Instant::now();
            self.lanes.iter_mut().for_each(|lane| lane.tick(now));
            let look = now + LOOK.min(self.alive.interval());
            let next = self.lanes.iter().filter_map(QueueLane::due).fold(look, Instant::min);
            if self.timer.deadline() > next || self.timer.deadline() <= now {
                self.timer.as_mut().reset(next);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }

    /// After a time in which this process did not run: until the broker has answered, or the lanes are lost.
    fn poll_probe(&mut self, cx: &mut Context<'_>) {
        if !self.alive.in_doubt() {
            return;
        }
        let probe = self.probe.take().or_else(|| self.lanes.iter().find_map(QueueLane::probe));
        let Some(mut probe) = probe else {
            self.alive.is_known();
            return;
        };
        match probe.as_mut().poll(cx) {
            Poll::Ready(true) => self.alive.is_known(),
            // All is lost, but who waits for an answer hears of it before the channels do: until a lane is seen to be lost
            // what it has handed out still seems to be ours. One that is lost is not asked.
            Poll::Ready(false) => {}
            Poll::Pending => self.probe = Some(probe),
        }
    }

    fn lane(&mut self, slot: u32) -> Option<(usize, &mut QueueLane)> {
        let slot = slot as usize;
        self.lanes.get_mut(slot).map(|lane| (slot, lane))
    }

    /// What a release may take. It is no more than a channel that closes.
    fn release_by(&self) -> Instant {
        Instant::now() + self.config.connect_timeout
    }
}

#[async_trait]
impl Source for AmqpSource {
    async fn recv(&mut self, inbox: &mut Inbox, room: usize) -> Result<()> {
        self.require_open()?;
        // With a backlog it never waits: its task must still let others run. Nothing has been taken yet.
        tokio::task::consume_budget().await;
        poll_fn(|cx| self.poll(cx, inbox, room)).await;
        Ok(())
    }

    fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()> {
        self.require_open()?;
        let mut refused = Ok(());
        for Settlement { token, verdict } in batch.drain(..) {
            if verdict == Verdict::Reject
                && let Err(error) = capabilities(&self.config).require(NAME, Capability::Reject)
            {
                refused = Err(error.help("name an exchange for it: `AmqpConfig::dead_letter_exchange`"));
                continue;
            }
            if let Some((slot, lane)) = self.lane(token.lane.slot) {
                lane.settle(token, verdict);
                self.touched[slot] = true;
            }
        }
        for (lane, touched) in self.lanes.iter_mut().zip(&mut self.touched) {
            if std::mem::take(touched) {
                lane.settled();
            }
        }
        refused
    }

    fn may_begin(&self) -> bool {
        self.alive.may_begin()
    }

    fn control(&mut self, command: Control) -> Result<()> {
        self.require_open()?;
        match command {
            Control::Pause(id) => {
                if self.lane(id.slot).is_some_and(|(_, lane)| lane.pause(id, true)) {
                    self.answers.push(LaneEvent::Paused(id));
                }
            }
            Control::Resume(id) => {
                if self.lane(id.slot).is_some_and(|(_, lane)| lane.pause(id, false)) {
                    self.answers.push(LaneEvent::Resumed(id));
                }
            }
            Control::Release(ids) => {
                let deadline = self.release_by();
                for id in ids {
                    if let Some((_, lane)) = self.lane(id.slot) {
                        lane.release(id, deadline);
                    }
                }
            }
            Control::Seek { .. } => capabilities(&self.config).require(NAME, Capability::Seek)?,
        }
        Ok(())
    }

    async fn close(&mut self, deadline: Instant) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let closing = std::mem::take(&mut self.lanes).into_iter().map(|lane| lane.close(deadline));
        match tokio::time::timeout_at(deadline, join_all(closing)).await {
            Ok(closed) => closed.into_iter().collect(),
            Err(_) => Err(Error::new(ErrorKind::TimedOut, "the broker did not answer to the close by its deadline")
                .help("verdicts may be lost: what they settled comes again")),
        }
    }
}
