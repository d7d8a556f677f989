//! Says once of each stall that it has begun, and that it is over.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::bus::health::{Group, Monitor};

/// How often is looked whether what stalled goes on.
const RECHECK: Duration = Duration::from_secs(1);

/// A task of its own: a handler that blocks its thread keeps its group from saying anything.
#[derive(Debug)]
pub(crate) struct Watchdog(JoinHandle<()>);

impl Watchdog {
    pub(crate) fn spawn(monitor: Monitor) -> Self {
        Self(tokio::spawn(watch(monitor)))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What has been said of each group: the names of its stalled lanes, and whether it is blocked.
#[derive(Default)]
struct Said {
    lanes: BTreeSet<String>,
    blocked: bool,
}

async fn watch(monitor: Monitor) {
    let mut said: Vec<Said> = monitor.groups.iter().map(|_| Said::default()).collect();
    loop {
        monitor.groups.iter().zip(&mut said).for_each(|(group, said)| said.compare(group));
        let now = Instant::now();
        let next = monitor.groups.iter().map(|group| group.gauge.board.next_stall(now)).min();
        let trouble = said.iter().any(|said| said.blocked || !said.lanes.is_empty());
        let recheck = trouble.then(|| now + RECHECK);
        match next.into_iter().chain(recheck).min() {
            Some(at) => sleep_until(at).await,
            None => return,
        }
    }
}

impl Said {
    fn compare(&mut self, group: &Group) {
        let (health, name) = (group.health(), &group.name);
        let blocked = health.blocked.is_some();
        if let Some(time) = health.blocked.filter(|_| !self.blocked) {
            tracing::warn!(group = %name, "a handler has kept its thread for {time:.1?}: nothing else of its group goes on");
        }
        self.blocked = blocked;
        let stalled = health.lanes.iter().filter(|lane| lane.stalled.is_some());
        let stalled: Vec<_> = stalled.map(|lane| (lane.origin.to_string(), lane)).collect();
        for (lane, health) in stalled.iter().filter(|(lane, _)| !self.lanes.contains(lane)) {
            tracing::warn!(group = %name, %lane, "{}", health.stall_in_words());
        }
        let now: BTreeSet<String> = stalled.into_iter().map(|(lane, _)| lane).collect();
        for lane in self.lanes.difference(&now) {
            tracing::info!(group = %name, %lane, "no longer stalled");
        }
        self.lanes = now;
    }
}
