//! Drives one subscription: takes from the source, has one message in work at a time, settles what came to its end,
//! and gives lanes back when they are called for, all without ever leaving the source unattended.

mod lanes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, poll_immediate};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::bus::process::{Processor, Stage};
use crate::bus::report::SubscriptionReport;
use crate::error::{Error, Result};
use crate::settle::{Lane, Settlement, Token};
use crate::transport::{Delivery, Inbox, Source, SubscribeSpec, Transport};

use lanes::Lanes;

/// Received and waiting: enough that the source is asked once for many messages.
const PREFETCH: usize = 256;
/// Verdicts handed over at once.
const SETTLE_BATCH: usize = 64;
const RESUBSCRIBE_BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The two deadlines of a shutdown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// Until then the message in work may finish.
    pub(crate) work_until: Instant,
    /// By then the source is closed.
    pub(crate) close_by: Instant,
}

pub(crate) struct Runner {
    transport: Arc<dyn Transport>,
    spec: SubscribeSpec,
    processor: Arc<Processor>,
    stop: watch::Receiver<Option<Stop>>,
    source: Box<dyn Source>,
    inbox: Inbox,
    queue: VecDeque<Delivery>,
    work: Option<Work>,
    lanes: Lanes,
    settlements: Vec<Settlement>,
}

/// The message in work.
struct Work {
    token: Token,
    stage: Arc<Stage>,
    future: BoxFuture<'static, ()>,
}

enum Wake {
    Stop,
    Finished,
    Received(Result<()>),
    Deadline,
}

impl Runner {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        spec: SubscribeSpec,
        processor: Arc<Processor>,
        stop: watch::Receiver<Option<Stop>>,
        source: Box<dyn Source>,
    ) -> Self {
        Self {
            transport,
            spec,
            processor,
            stop,
            source,
            inbox: Inbox::default(),
            queue: VecDeque::new(),
            work: None,
            lanes: Lanes::default(),
            settlements: Vec::new(),
        }
    }

    /// Runs until it is told to stop; then says what was left, and why the source did not close, if so.
    pub(crate) async fn run(mut self) -> (SubscriptionReport, Option<Error>) {
        let stop = self.serve().await;
        let left = self.queue.len() + usize::from(self.work.is_some());
        self.abandon_work();
        let mut problem = self.hand_over_verdicts().err();
        if let Err(error) = self.source.close(stop.close_by).await {
            problem = Some(error.context(format_args!("closing group {}", self.processor.group)));
        }
        let counts = self.processor.gauge.counts();
        (SubscriptionReport { group: Arc::clone(&self.processor.group), counts, left }, problem)
    }

    async fn serve(&mut self) -> Stop {
        loop {
            if let Some(stop) = self.stopped() {
                return stop;
            }
            self.work_off_what_is_ready().await;
            let result = match self.next_wake().await {
                Wake::Finished => {
                    self.finish_work();
                    Ok(())
                }
                Wake::Received(Ok(())) => self.take_in(),
                Wake::Received(Err(error)) => Err(error),
                Wake::Stop | Wake::Deadline => Ok(()),
            };
            if let Err(error) = result.and_then(|()| self.give_back_drained()) {
                self.resubscribe(error).await;
            }
        }
    }

    /// Told to stop, and nothing in work that is worth waiting for.
    fn stopped(&mut self) -> Option<Stop> {
        let stop = (*self.stop.borrow_and_update())?;
        let worth_waiting = self.work.as_ref().is_some_and(|work| !work.stage.is_waiting());
        (!worth_waiting || Instant::now() >= stop.work_until).then_some(stop)
    }

    fn stopping(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    /// Begins message after message; one that is not ready at its first poll stays in work.
    async fn work_off_what_is_ready(&mut self) {
        loop {
            if self.work.is_none() && self.stopping().is_none() {
                self.work = self.queue.pop_front().map(|delivery| self.begin(delivery));
            }
            let Some(work) = &mut self.work else { return };
            match poll_immediate(&mut work.future).await {
                Some(()) => self.finish_work(),
                None => return,
            }
            if self.settlements.len() >= SETTLE_BATCH {
                // An error comes again from the next hand-over, before the source is waited for.
                let _ = self.hand_over_verdicts();
            }
        }
    }

    fn begin(&self, delivery: Delivery) -> Work {
        let (stage, processor) = (Arc::new(Stage::default()), Arc::clone(&self.processor));
        let (token, its_stage) = (delivery.token, Arc::clone(&stage));
        let future = Box::pin(async move { processor.process(&delivery, &its_stage).await });
        Work { token, stage, future }
    }

    /// The message in work came to its end: only now may it be settled.
    fn finish_work(&mut self) {
        if let Some(work) = self.work.take() {
            self.settlements.push(Settlement::done(work.token));
        }
    }

    async fn next_wake(&mut self) -> Wake {
        if let Err(error) = self.hand_over_verdicts() {
            return Wake::Received(Err(error));
        }
        let stopping = self.stopping();
        let room = if stopping.is_some() { 0 } else { PREFETCH - self.queue.len() };
        let deadline = self.deadline(stopping);
        let work = self.work.as_mut().map(|work| &mut work.future);
        tokio::select! {
            biased;
            () = ready(work) => Wake::Finished,
            // The sender goes when the bus is dropped; this task is aborted then.
            Ok(()) = self.stop.changed() => Wake::Stop,
            result = self.source.recv(&mut self.inbox, room) => Wake::Received(result),
            () = at(deadline) => Wake::Deadline,
        }
    }

    fn deadline(&self, stopping: Option<Stop>) -> Option<Instant> {
        let draining = self.work.as_ref().and_then(|work| self.lanes.drain_deadline(work.token.lane));
        draining.into_iter().chain(stopping.map(|stop| stop.work_until)).min()
    }

    fn hand_over_verdicts(&mut self) -> Result<()> {
        if self.settlements.is_empty() { Ok(()) } else { self.source.settle(&mut self.settlements) }
    }

    /// Events first: deliveries of a lane that ended in the same fill are of an epoch that is over.
    fn take_in(&mut self) -> Result<()> {
        for event in std::mem::take(&mut self.inbox.events) {
            self.lanes.note(event, &self.processor);
        }
        let lanes = &self.lanes;
        self.queue.retain(|delivery| lanes.delivers(delivery.token.lane));
        self.queue.extend(self.inbox.deliveries.drain(..).filter(|delivery| lanes.delivers(delivery.token.lane)));
        if self.work.as_ref().is_some_and(|work| !self.lanes.is_open(work.token.lane)) {
            self.abandon_work();
        }
        Ok(())
    }

    /// Releases the draining lanes on which nothing is in work any more.
    fn give_back_drained(&mut self) -> Result<()> {
        if !self.lanes.any_draining() {
            return Ok(());
        }
        if self.work.as_ref().is_some_and(|work| self.must_leave(work.token.lane, &work.stage)) {
            self.abandon_work();
        }
        self.hand_over_verdicts()?;
        let busy = self.work.as_ref().map(|work| work.token.lane);
        match self.lanes.take_drained(busy) {
            lanes if lanes.is_empty() => Ok(()),
            lanes => self.source.control(crate::transport::Control::Release(lanes)),
        }
    }

    /// At the deadline of the hand-over, or at once where the message only waits for its next attempt.
    fn must_leave(&self, lane: Lane, stage: &Stage) -> bool {
        self.lanes.drain_deadline(lane).is_some_and(|deadline| stage.is_waiting() || deadline <= Instant::now())
    }

    /// Drops the message in work, unsettled: it is delivered again.
    fn abandon_work(&mut self) {
        if self.work.take().is_some() {
            self.processor.gauge.set_parked(None);
        }
    }

    /// The source has failed: a new one, as long as it takes. What was not settled comes again.
    async fn resubscribe(&mut self, error: Error) {
        let (mut wait, longest) = RESUBSCRIBE_BACK_OFF;
        let mut trouble = error;
        self.abandon_work();
        self.queue.clear();
        self.settlements.clear();
        self.lanes = Lanes::default();
        // Its own trouble is known already.
        let _ = self.source.close(Instant::now() + longest).await;
        while self.stopping().is_none() {
            tracing::error!(group = %self.processor.group, "subscription broken, trying again in {wait:?}: {trouble}");
            self.processor.gauge.set_source_trouble(Some(trouble.to_string()));
            tokio::select! {
                () = sleep(wait) => {}
                _ = self.stop.changed() => return,
            }
            match self.transport.subscribe(self.spec.clone()).await {
                Ok(source) => {
                    self.source = source;
                    self.processor.gauge.set_source_trouble(None);
                    return;
                }
                Err(error) => trouble = error,
            }
            wait = (wait * 2).min(longest);
        }
    }
}

async fn ready(future: Option<&mut BoxFuture<'static, ()>>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
