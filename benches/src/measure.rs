//! One measurement: CPU of the whole process and wall time, from the first message to the last.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::load::{HOTTEST, Order};

/// What a cell prints.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) messages: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) wall_ns: u64,
    /// What the handlers of the hottest key slept, all together: less time than that it cannot take.
    pub(crate) slept_ns: u64,
}

impl Sample {
    /// CPU of the client's process for each message, in nanoseconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu_ns as f64 / self.messages as f64
    }

    /// Messages a second.
    pub(crate) fn rate(&self) -> f64 {
        self.messages as f64 * 1e9 / self.wall_ns as f64
    }

    /// Messages a second where the sleeps of the hottest key, one after the other, are all that takes time.
    pub(crate) fn limit(&self) -> f64 {
        self.messages as f64 * 1e9 / self.slept_ns as f64
    }
}

/// Clocks that run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks(ProcessTime, Instant);

impl Clocks {
    pub(crate) fn start() -> Self {
        Self(ProcessTime::now(), Instant::now())
    }

    pub(crate) fn stop(self, messages: u64) -> Sample {
        let (cpu, wall) = (self.0.elapsed(), self.1.elapsed());
        Sample { messages, cpu_ns: nanos(cpu), wall_ns: nanos(wall), slept_ns: 0 }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// After so many messages somebody who waits for progress looks again.
const PROGRESS: u64 = 256;

/// Counts handled messages: the clocks run from the first one to the last.
#[derive(Debug)]
pub(crate) struct Meter {
    expected: u64,
    handled: AtomicU64,
    clocks: OnceLock<Clocks>,
    slept_ns: AtomicU64,
    sample: OnceLock<Sample>,
    done: Notify,
    progress: Notify,
}

impl Meter {
    pub(crate) fn new(expected: u64) -> Self {
        Self {
            expected,
            handled: AtomicU64::new(0),
            clocks: OnceLock::new(),
            slept_ns: AtomicU64::new(0),
            sample: OnceLock::new(),
            done: Notify::new(),
            progress: Notify::new(),
        }
    }

    /// Does a handler's work.
    pub(crate) async fn work(&self, work: Duration, order: &Order) {
        if !work.is_zero() {
            let begun = Instant::now();
            let _ = self.clocks.get_or_init(Clocks::start);
            tokio::time::sleep(work).await;
            if order.customer == HOTTEST {
                self.slept_ns.fetch_add(nanos(begun.elapsed()), Relaxed);
            }
        }
    }

    /// One more. `proof` keeps the compiler from leaving out what made it.
    pub(crate) fn count(&self, proof: u64) {
        std::hint::black_box(proof);
        let before = self.handled.fetch_add(1, Relaxed);
        if before == 0 {
            let _ = self.clocks.get_or_init(Clocks::start);
        }
        if before.is_multiple_of(PROGRESS) {
            self.progress.notify_one();
        }
        if before + 1 == self.expected {
            let clocks = self.clocks.get().copied().unwrap_or_else(Clocks::start);
            let sample = Sample { slept_ns: self.slept_ns.load(Relaxed), ..clocks.stop(self.expected) };
            let _ = self.sample.set(sample);
            self.done.notify_one();
        }
    }

    /// Waits until fewer than `ahead` of `sent` messages are left to be handled.
    pub(crate) async fn keep_up(&self, sent: u64, ahead: u64) {
        while sent > self.handled.load(Relaxed) + ahead {
            self.progress.notified().await;
        }
    }

    /// Waits for the last.
    pub(crate) async fn sample(&self) -> Sample {
        loop {
            if let Some(sample) = self.sample.get() {
                return *sample;
            }
            self.done.notified().await;
        }
    }
}
