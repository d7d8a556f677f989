//! Whether the member is still one, after it did not run for a while.
//!
//! A process that was stopped, or starved, wakes all its threads at once, and what it had fetched is somebody else's by then:
//! the session may have ended, and the news of that take a moment. So nothing may begin from the moment the driver has not
//! run for a good part of the session, which is told by the clock and not by a thread, until the group has confirmed the
//! membership by taking a commit, or has taken the lanes away and their owner has been told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gulo_bus_core::settle::Lane;

use super::Driver;
use crate::config::KafkaConfig;
use crate::lane::OpenLane;

/// Until when handlers may begin, as all can see it.
#[derive(Debug)]
pub(crate) struct Lease {
    epoch: Instant,
    until: AtomicU64,
}

impl Default for Lease {
    fn default() -> Self {
        Self { epoch: Instant::now(), until: AtomicU64::new(u64::MAX) }
    }
}

impl Lease {
    pub(crate) fn holds(&self) -> bool {
        self.micros(Instant::now()) < self.until.load(Relaxed)
    }

    fn renew(&self, until: Instant) {
        self.until.store(self.micros(until), Relaxed);
    }

    fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_micros() as u64
    }
}

/// What the driver knows of its own sleep.
#[derive(Debug)]
pub(super) struct Alive {
    /// A gap in which the group may have given the lanes away: most of a session, since the last heartbeat lies before it.
    limit: Duration,
    /// When the driver last ran.
    last: Instant,
    doubt: Option<Doubt>,
}

#[derive(Debug)]
struct Doubt {
    since: Instant,
    /// The lanes that may be gone.
    lanes: Vec<Lane>,
    confirmed: bool,
}

impl Alive {
    pub(super) fn new(config: &KafkaConfig) -> Self {
        Self { limit: config.session().mul_f64(0.6), last: Instant::now(), doubt: None }
    }

    /// The driver runs. Returns whether a doubt has begun.
    fn runs(&mut self, now: Instant, lanes: impl FnOnce() -> Vec<Lane>) -> bool {
        let slept = now.saturating_duration_since(self.last) > self.limit;
        self.last = now;
        if slept {
            self.doubt = Some(Doubt { since: now, lanes: lanes(), confirmed: false });
        }
        slept
    }

    /// As if the driver had not run for a session.
    #[cfg(test)]
    pub(super) fn sleep(&mut self) {
        self.last -= self.limit * 2;
    }

    pub(super) fn in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// The group has taken a commit that was sent at `sent`.
    pub(super) fn committed(&mut self, sent: Instant) {
        if let Some(doubt) = self.doubt.as_mut().filter(|doubt| sent > doubt.since) {
            doubt.confirmed = true;
        }
    }

    /// Ends a doubt: the membership is confirmed, or all those lanes are gone and their owner knows; or nothing can be
    /// committed yet, and the first heartbeats were not refused. Returns until when handlers may begin, where they may.
    fn settle(&mut self, is_open: impl Fn(Lane) -> bool, all_told: bool, can_commit: bool) -> Option<Instant> {
        if let Some(doubt) = &self.doubt {
            let gone = !doubt.lanes.iter().any(|lane| is_open(*lane));
            let quiet = !can_commit && self.last >= doubt.since + self.limit;
            if !all_told || !(gone || doubt.confirmed || quiet) {
                return None;
            }
            self.doubt = None;
        }
        Some(self.last + self.limit)
    }
}

impl Driver {
    pub(super) fn step_alive(&mut self) {
        if self.is_solo() {
            return;
        }
        let mut state = self.shared.lock();
        let now = Instant::now();
        if self.alive.runs(now, || state.lanes.iter().map(|lane| lane.id).collect()) {
            tracing::warn!("this process did not run for most of a session: nothing begins until the group is heard");
            // A commit is what it is asked by.
            state.settled_since.get_or_insert(now);
        }
        let can_commit = |lane: &OpenLane| lane.confirmed.is_some() || lane.to_commit().is_some();
        let can_commit = self.alive.in_doubt() && state.lanes.iter().any(can_commit);
        let is_open = |id: Lane| state.lanes.iter().any(|lane| lane.id == id);
        if let Some(until) = self.alive.settle(is_open, state.events.is_empty(), can_commit) {
            self.shared.lease.renew(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane { slot: 0, epoch: 0 };

    fn alive() -> (Alive, Instant) {
        let config = KafkaConfig::new("b").session_timeout(Duration::from_secs(10));
        let alive = Alive::new(&config);
        let begin = alive.last;
        (alive, begin)
    }

    fn asleep() -> (Alive, Instant) {
        let (mut alive, begin) = alive();
        let woken = begin + Duration::from_secs(7);
        assert!(alive.runs(woken, || vec![LANE]));
        (alive, woken)
    }

    #[test]
    fn who_runs_often_enough_may_begin_for_a_good_part_of_the_session() {
        let (mut alive, begin) = alive();
        let now = begin + Duration::from_secs(5);
        assert!(!alive.runs(now, Vec::new));
        assert_eq!(alive.settle(|_| true, false, true), Some(now + Duration::from_secs(6)));
    }

    #[test]
    fn who_slept_waits_for_a_commit_that_was_sent_afterwards() {
        let (mut alive, woken) = asleep();
        assert_eq!(alive.settle(|_| true, true, true), None);
        alive.committed(woken - Duration::from_millis(1));
        assert_eq!(alive.settle(|_| true, true, true), None);
        alive.committed(woken + Duration::from_millis(1));
        assert!(alive.settle(|_| true, true, true).is_some() && !alive.in_doubt());
    }

    #[test]
    fn lanes_that_are_gone_are_no_doubt_once_that_has_been_told() {
        let (mut alive, _) = asleep();
        assert_eq!(alive.settle(|_| false, false, true), None);
        assert!(alive.settle(|_| false, true, true).is_some());
    }

    #[test]
    fn where_nothing_can_be_committed_time_tells() {
        let (mut alive, woken) = asleep();
        assert_eq!(alive.settle(|_| true, true, false), None);
        for second in 1..=6 {
            assert!(!alive.runs(woken + Duration::from_secs(second), Vec::new));
        }
        assert_eq!(alive.settle(|_| true, true, true), None);
        assert!(alive.settle(|_| true, true, false).is_some());
    }

    #[test]
    fn a_lease_ends_by_the_clock() {
        let lease = Lease::default();
        assert!(lease.holds());
        lease.renew(Instant::now() + Duration::from_secs(5));
        assert!(lease.holds());
        lease.renew(Instant::now() - Duration::from_millis(1));
        assert!(!lease.holds());
    }
}
