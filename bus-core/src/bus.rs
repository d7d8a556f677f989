//! The bus: what applications publish to, and what runs their handlers.

mod builder;
mod limits;
mod process;
mod publishing;
mod report;
mod runner;
mod subscription;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, ErrorKind};
use crate::event::Publishable;
use crate::transport::{Transport, Unsent};

pub use crate::dispatch::Concurrency;
pub use builder::{BusBuilder, TopicSettings};
pub use limits::Limits;
pub use publishing::Publish;
pub use report::{Counts, Health, ShutdownError, ShutdownReport, SubscriptionHealth, SubscriptionReport};
pub use subscription::{Subscription, Unhandled};

use publishing::Publishing;
use report::Gauge;
use runner::Stop;

/// A running bus: publishes events and handles them until [`shutdown`](Self::shutdown).
///
/// Dropped without shutdown it stops its tasks and warns; what was not finished is not settled and comes again.
pub struct Bus {
    transport: Arc<dyn Transport>,
    publishing: Arc<Publishing>,
    stop: watch::Sender<Option<Stop>>,
    subscriptions: Vec<Running>,
    shut_down: bool,
}

struct Running {
    group: Arc<str>,
    gauge: Arc<Gauge>,
    task: JoinHandle<(SubscriptionReport, Option<Error>)>,
}

impl Bus {
    /// Begins to describe the bus of a service. `service` is the `source` of all it publishes: a URI reference, for
    /// which a plain name is enough.
    pub fn builder(service: impl Into<Arc<str>>) -> BusBuilder {
        BusBuilder::new(service.into())
    }

    /// Publishes one event. Resolves when the broker has confirmed it.
    ///
    /// # Errors
    ///
    /// [`Unsent`] says of the event whether it was refused, was not sent, or may have arrived.
    ///
    /// Cancel safety: dropping the future takes nothing back; the event may still be sent.
    pub async fn publish(&self, event: impl Publishable) -> Result<(), Unsent> {
        self.publishing.publish([event]).await
    }

    /// Publishes a batch, events of one key in their order. Resolves when the broker has confirmed all of it.
    ///
    /// # Errors
    ///
    /// [`Unsent`] has those that are not confirmed, by their place in the batch. Where one does not encode or passes a
    /// limit, nothing of the batch is sent.
    ///
    /// Cancel safety: as [`publish`](Self::publish).
    pub async fn publish_all<P: Publishable>(&self, events: impl IntoIterator<Item = P>) -> Result<(), Unsent> {
        self.publishing.publish(events).await
    }

    /// A way to publish that can be cloned and kept. After the shutdown it sends nothing, and says so.
    pub fn publisher(&self) -> Publish {
        Publish(Arc::clone(&self.publishing))
    }

    /// How the bus is now. Never blocks.
    pub fn health(&self) -> Health {
        let subscriptions = self.subscriptions.iter().map(Running::health).collect();
        Health { transport: self.transport.status(), subscriptions }
    }

    /// Stops taking messages, lets those in work finish, makes what is finished durable, and closes; all of it within
    /// `timeout`, even when the broker is gone. A message that waits for its next attempt is left at once.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`] says what did not close in order, and has the report too.
    pub async fn shutdown(mut self, timeout: Duration) -> Result<ShutdownReport, ShutdownError> {
        self.shut_down = true;
        let deadlines = Deadlines::within(timeout);
        self.stop.send_replace(Some(deadlines.stop));
        let (mut report, mut problems) = (ShutdownReport::default(), Vec::new());
        for running in std::mem::take(&mut self.subscriptions) {
            let (subscription, problem) = running.join(deadlines.sources_closed).await;
            report.subscriptions.push(subscription);
            problems.extend(problem);
        }
        match timeout_at(deadlines.end, self.publishing.publisher.close(deadlines.end)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => problems.push(error.context("closing the publisher")),
            Err(_) => {
                problems.push(Error::new(ErrorKind::TimedOut, "closing the publisher did not end by the deadline"))
            }
        }
        if problems.is_empty() { Ok(report) } else { Err(ShutdownError { report, problems }) }
    }
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
        // No clock counts to the end of time.
        let timeout = timeout.min(Duration::from_secs(365 * 24 * 3600));
        let reserve = (timeout / 4).min(Duration::from_secs(4));
        let stop = Stop { work_until: now + (timeout - reserve), close_by: now + (timeout - reserve / 2) };
        Self { stop, sources_closed: now + (timeout - reserve / 4), end: now + timeout }
    }
}

impl Running {
    fn health(&self) -> SubscriptionHealth {
        let degraded =
            if self.task.is_finished() { Some("its task has ended".to_owned()) } else { self.gauge.degraded() };
        let (counts, in_flight) = (self.gauge.counts(), self.gauge.inside());
        SubscriptionHealth { group: Arc::clone(&self.group), counts, in_flight, degraded }
    }

    async fn join(mut self, deadline: Instant) -> (SubscriptionReport, Option<Error>) {
        let problem = match timeout_at(deadline, &mut self.task).await {
            Ok(Ok(report)) => return report,
            Ok(Err(failure)) => Error::new(ErrorKind::Other, format!("group {} failed", self.group)).source(failure),
            Err(_) => Error::new(ErrorKind::TimedOut, format!("group {} did not stop by the deadline", self.group))
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

impl Drop for Bus {
    fn drop(&mut self) {
        if self.shut_down {
            return;
        }
        tracing::warn!(
            service = %self.publishing.source,
            "bus dropped without shutdown: what its handlers have not finished is delivered again"
        );
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.subscriptions.iter().map(|running| &running.group).collect();
        f.debug_struct("Bus")
            .field("service", &self.publishing.source)
            .field("transport", &self.transport.name())
            .field("groups", &groups)
            .finish_non_exhaustive()
    }
}
