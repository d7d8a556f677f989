//! Looking at a bus from outside of it.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::bus::health::{Health, LaneHealth, SubscriptionHealth};
use crate::bus::report::Gauge;
use crate::transport::Transport;

/// Shows how a bus is, wherever it is kept: in the handler of an HTTP endpoint, say. Clones look at the same bus, which
/// they neither keep running nor stop.
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # fn example(bus: &Bus) {
/// let monitor = bus.monitor();
/// // In the endpoint: 200 where it is up, else 503, and why.
/// let answer = move || {
///     let health = monitor.health();
///     (if health.is_up() { 200 } else { 503 }, health.to_json())
/// };
/// # }
/// ```
#[derive(Clone)]
pub struct Monitor {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) groups: Arc<[Group]>,
}

/// One subscription to look at.
pub(crate) struct Group {
    pub(crate) name: Arc<str>,
    pub(crate) gauge: Arc<Gauge>,
    pub(crate) task: AbortHandle,
}

impl Monitor {
    /// How the bus is now. Never blocks. After the shutdown, that its tasks have ended.
    pub fn health(&self) -> Health {
        let subscriptions = self.groups.iter().map(Group::health).collect();
        Health { transport: self.transport.status(), subscriptions }
    }
}

impl Group {
    pub(crate) fn health(&self) -> SubscriptionHealth {
        let (now, ended) = (Instant::now(), self.task.is_finished());
        let mut lanes = if ended { Vec::new() } else { self.gauge.lanes(now) };
        lanes.sort_by(|a, b| (&a.origin.topic, a.origin.partition).cmp(&(&b.origin.topic, b.origin.partition)));
        let blocked = self.gauge.board.blocked(now).filter(|_| !ended);
        let troubles = if ended { vec!["its task has ended".to_owned()] } else { self.gauge.troubles() };
        let stuck = blocked.map(|time| format!("a handler has kept its thread for {time:.1?}, nothing else goes on"));
        let troubles: Vec<String> = troubles.into_iter().chain(stuck).chain(stalled(&lanes)).collect();
        SubscriptionHealth {
            group: Arc::clone(&self.name),
            counts: self.gauge.counts(),
            in_flight: self.gauge.inside(),
            degraded: (!troubles.is_empty()).then(|| troubles.join("; ")),
            blocked,
            lanes,
        }
    }
}

/// Lanes without progress, in words: the first of them, and how many there are.
fn stalled(lanes: &[LaneHealth]) -> Option<String> {
    let mut stalled = lanes.iter().filter(|lane| lane.stalled.is_some());
    let first = stalled.next()?.stall_in_words();
    match stalled.count() {
        0 => Some(first),
        more => Some(format!("{first}; and {more} more lanes without progress")),
    }
}

impl LaneHealth {
    /// `orders[0] without progress for 61s: 3 in flight, the oldest orders[0]@17 of key 7, in work for 65s`.
    pub(crate) fn stall_in_words(&self) -> String {
        let time = self.stalled.unwrap_or_default();
        let mut words = format!("{} without progress for {time:.1?}: {} in flight", self.origin, self.in_flight);
        if let Some(oldest) = &self.oldest {
            let key = oldest.key.as_ref().map_or_else(String::new, |key| format!(" of key {key}"));
            words += &format!(", the oldest {}{key}, {}, for {:.1?}", oldest.origin, oldest.stage.name(), oldest.age);
        }
        words
    }
}

/// Runs a group's task, and lets everyone see since when its thread is not given back: a handler that blocks cannot say
/// so.
pub(crate) async fn stamped<F: Future>(group: Arc<str>, gauge: Arc<Gauge>, task: F) -> F::Output {
    let mut task = pin!(task);
    let poll = std::future::poll_fn(|cx| {
        gauge.board.poll_begins();
        let polled = task.as_mut().poll(cx);
        // Where the runtime has no other thread, nobody could say so before.
        if let Some(time) = gauge.board.poll_ends() {
            tracing::warn!(%group, "a handler kept its thread for {time:.1?}: nothing else of its group went on");
        }
        polled
    });
    poll.await
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.groups.iter().map(|group| &group.name).collect();
        f.debug_struct("Monitor").field("groups", &groups).finish_non_exhaustive()
    }
}
