//! Stopping a bus: what is in work may finish, what is finished becomes durable, and all of it ends in time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::bus::health::Group;
use crate::bus::report::{ShutdownError, ShutdownReport, SubscriptionReport};
use crate::bus::runner::Stop;
use crate::bus::{Bus, Running};
use crate::error::{Error, ErrorKind};
use crate::time::YEAR;

/// What a stop at once may still take to make durable what is finished.
const AT_ONCE: Duration = Duration::from_secs(1);

impl Bus {
    /// Runs until `signal` resolves, then shuts down as [`shutdown`](Self::shutdown) does; `signal` is called again for
    /// that time, and where it resolves before the shutdown has ended, nothing more is waited for: what is in work is
    /// dropped, and comes again. What is finished still becomes durable, where that takes no longer than a second.
    ///
    /// A signal that stays on, such as a cancelled token, ends everything at once: give one that resolves anew.
    ///
    /// ```no_run
    /// # async fn run(bus: gulo_bus_core::bus::Bus) -> Result<(), Box<dyn std::error::Error>> {
    /// # mod tokio { pub mod signal { pub async fn ctrl_c() -> std::io::Result<()> { Ok(()) } } }
    /// // Ctrl-C lets handlers finish, for 30 seconds at most; a second one does not.
    /// let report = bus.run_until(tokio::signal::ctrl_c, std::time::Duration::from_secs(30)).await?;
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`shutdown`](Self::shutdown).
    ///
    /// Cancel safety: dropped, it stops the bus as dropping the bus does.
    pub async fn run_until<S: Future>(
        self,
        mut signal: impl FnMut() -> S,
        timeout: Duration,
    ) -> Result<ShutdownReport, ShutdownError> {
        signal().await;
        self.stop(timeout, signal()).await
    }

    /// Stops taking messages, lets those in work finish, makes what is finished durable, and closes; all of it within
    /// `timeout`, even when the broker is gone. A message that waits for its next attempt is left at once.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`] says what did not close in order, and has the report too.
    ///
    /// Cancel safety: dropped midway, it stops the bus as dropping the bus does.
    pub async fn shutdown(self, timeout: Duration) -> Result<ShutdownReport, ShutdownError> {
        self.stop(timeout, std::future::pending::<()>()).await
    }

    /// Where `at_once` resolves, the time is up.
    async fn stop(self, timeout: Duration, at_once: impl Future) -> Result<ShutdownReport, ShutdownError> {
        tracing::info!("shutting down: what is in work may finish, for {timeout:?} at most");
        let stop = self.stop.clone();
        let (deadlines, rest) = watch::channel(Deadlines::within(timeout));
        let mut closing = std::pin::pin!(self.close(rest));
        tokio::select! {
            closed = &mut closing => return closed,
            _ = at_once => tracing::warn!("told to stop at once: what is in work is dropped, and comes again"),
        }
        let now = Deadlines::within(AT_ONCE).at_once(&deadlines.borrow());
        stop.send_replace(Some(now.stop));
        deadlines.send_replace(now);
        closing.await
    }

    async fn close(mut self, mut deadlines: watch::Receiver<Deadlines>) -> Result<ShutdownReport, ShutdownError> {
        self.stop.send_replace(Some(deadlines.borrow().stop));
        let (mut report, mut problems) = (ShutdownReport::default(), Vec::new());
        for running in std::mem::take(&mut self.subscriptions) {
            let (subscription, problem) = running.join(&mut deadlines).await;
            report.subscriptions.push(subscription);
            problems.extend(problem);
        }
        let end = deadlines.borrow().end;
        match by(&mut deadlines, |deadlines| deadlines.end, self.publishing.publisher.close(end)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => problems.push(error.context("closing the publisher")),
            None => problems.push(publisher_late()),
        }
        self.shut_down = true;
        if problems.is_empty() { Ok(report) } else { Err(ShutdownError { report, problems }) }
    }
}

fn publisher_late() -> Error {
    Error::new(ErrorKind::TimedOut, "closing the publisher did not end by the deadline")
        .help("was there too little time, or does the broker not answer?")
}

/// A shutdown's time, parted so that each step leaves some for the next.
struct Deadlines {
    stop: Stop,
    sources_closed: Instant,
    end: Instant,
}

impl Deadlines {
    fn within(timeout: Duration) -> Self {
        let now = Instant::now();
        let timeout = timeout.min(YEAR);
        let reserve = (timeout / 4).min(Duration::from_secs(4));
        let stop = Stop { work_until: now + (timeout - reserve), close_by: now + (timeout - reserve / 2) };
        Self { stop, sources_closed: now + (timeout - reserve / 4), end: now + timeout }
    }

    /// Nothing in work is waited for, and nothing takes longer than it was going to.
    fn at_once(self, before: &Self) -> Self {
        let stop = Stop { work_until: Instant::now(), close_by: self.stop.close_by.min(before.stop.close_by) };
        let (sources_closed, end) = (self.sources_closed.min(before.sources_closed), self.end.min(before.end));
        Self { stop, sources_closed, end }
    }
}

/// Waits for `step`, until its deadline, which may be moved meanwhile.
async fn by<T>(
    deadlines: &mut watch::Receiver<Deadlines>,
    deadline: impl Fn(&Deadlines) -> Instant,
    step: impl Future<Output = T>,
) -> Option<T> {
    let mut step = std::pin::pin!(step);
    loop {
        let at = deadline(&deadlines.borrow_and_update());
        tokio::select! {
            biased;
            done = &mut step => return Some(done),
            () = sleep_until(at) => return None,
            Ok(()) = deadlines.changed() => {}
        }
    }
}

impl Running {
    pub(super) fn to_look_at(&self) -> Group {
        Group { name: Arc::clone(&self.group), gauge: Arc::clone(&self.gauge), task: self.task.abort_handle() }
    }

    async fn join(mut self, deadlines: &mut watch::Receiver<Deadlines>) -> (SubscriptionReport, Option<Error>) {
        let problem = match by(deadlines, |deadlines| deadlines.sources_closed, &mut self.task).await {
            Some(Ok(report)) => return report,
            Some(Err(failure)) => Error::new(ErrorKind::Other, format!("the task of group {} failed", self.group))
                .help("what it had not settled comes again; the cause is `Error::source`")
                .source(failure),
            None => Error::new(ErrorKind::TimedOut, format!("group {} did not stop by the deadline", self.group))
                .help("was there too little time, or does a handler block its thread?"),
        };
        let report = SubscriptionReport {
            group: Arc::clone(&self.group),
            counts: self.gauge.counts(),
            left: self.gauge.inside(),
        };
        (report, Some(problem))
    }
}

/// Also where a shutdown is dropped midway. A handler that blocks its thread cannot be stopped; its task ends when it
/// returns.
impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
