//! Drives one subscription: takes from the source, begins what the dispatcher lets begin, settles what came to its end,
//! and gives lanes back when they are called for, all without ever leaving the source unattended.

mod jobs;
mod lane_ends;
mod lanes;
mod survey;
mod work;

use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::bus::process::Processor;
use crate::bus::report::SubscriptionReport;
use crate::dead_letter::Tally;
use crate::dispatch::{Concurrency, Dispatcher};
use crate::error::{Error, Result};
use crate::settle::Settlement;
use crate::transport::{Delivery, Inbox, Source, SubscribeSpec, Transport};

use jobs::{Ended, Jobs};
use lanes::Lanes;
use survey::Survey;

/// Taken from the source at once.
const BATCH: usize = 128;
/// Begun before the source, the stop signal and other tasks have their turn, or as many as fit into a moment: handlers
/// that never wait could keep all of them out.
const STRIDE: usize = 128;
const MOMENT: Duration = Duration::from_millis(1);
/// Begun between two looks at the clock at most.
const UNTIMED: usize = 16;
/// A source that is not sure of its lanes is asked again after this.
const DOUBT: Duration = Duration::from_millis(20);
const RESUBSCRIBE_BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The two deadlines of a shutdown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// Until then what is in work may finish.
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
    /// News, and messages received that the dispatcher has not been shown yet.
    inbox: Inbox,
    dispatcher: Dispatcher<Delivery>,
    /// Messages inside at most, of all lanes together; `None` for what the windows of the open lanes add up to, so that
    /// no lane is held back by others that are stuck.
    in_flight: Option<usize>,
    jobs: Jobs,
    lanes: Lanes,
    settlements: Vec<Settlement>,
    /// What the guard knows of each lane, over its epochs: by slot.
    tallies: Vec<Tally>,
    survey: Survey,
    /// The source was not sure of its lanes when something was to begin.
    in_doubt: bool,
    left: usize,
}

enum Wake {
    Stop,
    Turned(Ended),
    Received(Result<()>),
    /// Somebody's wait is over, or a deadline has come.
    Time,
    /// Health is to be told how the lanes are.
    Survey,
}

impl Runner {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        spec: SubscribeSpec,
        processor: Arc<Processor>,
        (concurrency, in_flight): (Concurrency, Option<usize>),
        stop: watch::Receiver<Option<Stop>>,
        source: Box<dyn Source>,
    ) -> Self {
        let jobs = Jobs::new(Arc::clone(&processor));
        Self {
            transport,
            spec,
            processor,
            stop,
            source,
            inbox: Inbox::default(),
            dispatcher: Dispatcher::new(concurrency),
            in_flight,
            jobs,
            lanes: Lanes::default(),
            settlements: Vec::new(),
            tallies: Vec::new(),
            survey: Survey::default(),
            in_doubt: false,
            left: 0,
        }
    }

    /// Runs until it is told to stop; then says what was left, and why the source did not close, if so.
    pub(crate) async fn run(mut self) -> (SubscriptionReport, Option<Error>) {
        let stop = self.serve().await;
        let left = self.left + self.inside();
        self.drop_lanes(|_| true).await;
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
            self.take_survey();
            poll_fn(|cx| {
                self.work(cx);
                Poll::Ready(())
            })
            .await;
            if self.may_begin_more() {
                // Other tasks have their turn, whatever else is ready.
                yield_now().await;
            }
            let wake = self.next_wake().await;
            self.survey.note(&wake);
            let result = match wake {
                Wake::Turned((slot, work, turn)) => {
                    self.turned(slot, work, turn);
                    Ok(())
                }
                Wake::Received(Ok(())) => {
                    self.take_in().await;
                    Ok(())
                }
                Wake::Received(Err(error)) => Err(error),
                Wake::Survey => {
                    self.take_survey_now();
                    Ok(())
                }
                Wake::Stop => Ok(()),
                Wake::Time => {
                    self.go_on_with_what_waited();
                    Ok(())
                }
            };
            let result = match result {
                Ok(()) => self.give_back_drained().await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                self.resubscribe(error).await;
            }
        }
    }

    fn inside(&self) -> usize {
        self.inbox.deliveries.len() + self.dispatcher.len()
    }

    fn stopping(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    /// Told to stop, and nothing in work that is worth waiting for: what only waits is left at once.
    fn stopped(&mut self) -> Option<Stop> {
        let stop = (*self.stop.borrow_and_update())?;
        self.left += self.inbox.deliveries.len() + self.dispatcher.forget_unbegun(|_| true);
        self.inbox.deliveries.clear();
        (self.jobs.running() == 0 || Instant::now() >= stop.work_until).then_some(stop)
    }

    /// Events first: deliveries of a lane that ended in the same fill are of an epoch that is over.
    async fn take_in(&mut self) {
        let mut ended = Vec::new();
        for event in std::mem::take(&mut self.inbox.events) {
            self.survey.hear(&event);
            ended.extend(self.lanes.note(event, &self.processor));
        }
        if !ended.is_empty() {
            self.drop_lanes(|lane| ended.contains(&lane)).await;
        }
    }

    async fn next_wake(&mut self) -> Wake {
        if let Err(error) = self.hand_over_verdicts() {
            return Wake::Received(Err(error));
        }
        let stopping = self.stopping();
        let room = match stopping {
            Some(_) => 0,
            None => {
                let all = self.in_flight.unwrap_or_else(|| self.spec.window.saturating_mul(self.lanes.len().max(1)));
                // What has arrived is begun first: more of it would only grow cold.
                all.saturating_sub(self.inside()).min(BATCH.saturating_sub(self.inbox.deliveries.len()))
            }
        };
        self.processor.gauge.set_inside(self.inside());
        let more = self.may_begin_more();
        let again = self.in_doubt.then(|| Instant::now() + DOUBT);
        let deadlines = [self.jobs.next_due(), self.lanes.next_deadline(), stopping.map(|stop| stop.work_until), again];
        let deadline = deadlines.into_iter().flatten().min();
        tokio::select! {
            biased;
            // The sender goes when the bus is dropped; this task is aborted then.
            Ok(()) = self.stop.changed() => Wake::Stop,
            Some(ended) = poll_fn(|cx| self.jobs.poll_next(cx)) => Wake::Turned(ended),
            () = at(deadline) => Wake::Time,
            () = self.survey.due() => Wake::Survey,
            result = self.source.recv(&mut self.inbox, room) => Wake::Received(result),
            () = ready(()), if more => Wake::Time,
        }
    }

    fn go_on_with_what_waited(&mut self) {
        while let Some(slot) = self.jobs.pop_due(Instant::now()) {
            self.dispatcher.unpark(slot);
        }
    }

    fn hand_over_verdicts(&mut self) -> Result<()> {
        if self.settlements.is_empty() {
            return Ok(());
        }
        self.survey.ended(&self.settlements);
        self.source.settle(&mut self.settlements)
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
