//! A client that has lost all its brokers is told of them again.
//!
//! librdkafka forgets the brokers that the cluster's metadata no longer names, which of a single node that was fenced for a
//! moment is every one. Then it begins anew with `bootstrap.servers`, by a timer. An answer that was still on its way stops
//! that timer, and nothing starts it again (2.12.1: `rd_kafka_handle_Metadata` stops it, and `rk_rebootstrap_in_progress`
//! stays set): the client knows no broker, for ever, and says nothing more of it than "1/1 brokers are down".

use std::ffi::CString;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rdkafka::client::Client;
use rdkafka::{ClientConfig, ClientContext};

use super::lock;
use crate::native;

/// It mostly gets over it by itself, within milliseconds.
const FIRST: Duration = Duration::from_secs(1);
/// While an outage lasts: librdkafka keeps what it is told each time.
const LONGEST: Duration = Duration::from_secs(15);
/// What was still on its way may take what it is told away once more.
const TIMES: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct Bootstrap {
    /// `bootstrap.servers`, as the client got them.
    servers: Option<CString>,
    /// Whether it has been told since it last had an answer.
    told: AtomicBool,
    plan: Mutex<Plan>,
}

impl Bootstrap {
    pub(crate) fn of(settings: &ClientConfig) -> Self {
        let servers = settings.get("bootstrap.servers").and_then(|servers| CString::new(servers).ok());
        Self { servers, ..Self::default() }
    }

    /// It has said that all its brokers are down.
    pub(super) fn all_down(&self) {
        lock(&self.plan).begin(Instant::now());
    }

    /// A broker has answered it: the next time it is told soon. Costs next to nothing.
    pub(super) fn answered(&self) {
        if self.told.load(Relaxed) {
            self.told.store(false, Relaxed);
            lock(&self.plan).gap = FIRST;
        }
    }

    /// For the thread that serves the client, at each turn. Waits for nothing.
    pub(super) fn step<C: ClientContext>(&self, client: &Client<C>) {
        if let Some(servers) = self.servers.as_ref().filter(|_| lock(&self.plan).is_due(Instant::now())) {
            self.told.store(true, Relaxed);
            let known = native::add_brokers(client, servers);
            tracing::debug!(target: "gulo_transport_kafka::client", known, "told of bootstrap.servers again");
        }
    }
}

/// When it is told.
#[derive(Debug)]
struct Plan {
    left: u32,
    next: Option<Instant>,
    gap: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { left: 0, next: None, gap: FIRST }
    }
}

impl Plan {
    fn begin(&mut self, now: Instant) {
        if self.left == 0 {
            let soon = now + FIRST;
            self.next = Some(self.next.map_or(soon, |next| next.max(soon)));
        }
        self.left = TIMES;
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.left > 0 && self.next.is_some_and(|next| next <= now);
        if due {
            self.left -= 1;
            self.next = Some(now + self.gap);
            self.gap = (self.gap * 2).min(LONGEST);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(plan: &mut Plan, from: Instant, seconds: u64, down_again: impl Fn(u64) -> bool) -> Vec<u64> {
        (0..seconds * 10)
            .filter(|tenth| {
                let now = from + Duration::from_millis(100 * tenth);
                if down_again(*tenth) {
                    plan.begin(now);
                }
                plan.is_due(now)
            })
            .map(|tenth| tenth / 10)
            .collect()
    }

    #[test]
    fn a_client_without_brokers_is_told_three_times() {
        let mut plan = Plan::default();
        assert_eq!(told(&mut plan, Instant::now(), 120, |tenth| tenth == 0), [1, 2, 4]);
    }

    #[test]
    fn while_an_outage_lasts_it_is_told_more_and_more_seldom_and_then_quickly_again() {
        let (mut plan, now) = (Plan::default(), Instant::now());
        let first = told(&mut plan, now, 600, |_| true);
        assert_eq!(first[..6], [1, 2, 4, 8, 16, 31]);
        assert!(first.len() < 50, "{first:?}");
        (plan.gap, plan.left) = (FIRST, 0);
        let later = now + Duration::from_secs(2000);
        assert_eq!(told(&mut plan, later, 60, |tenth| tenth == 0), [1, 2, 4]);
    }
}
