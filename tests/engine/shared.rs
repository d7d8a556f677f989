//! The event of all cases, and what handlers share with their case.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use gulo::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

thread_local! {
    /// A case has a thread of its own, and events of one type go to one topic: that of the case.
    static TOPIC: OnceCell<Arc<str>> = const { OnceCell::new() };
}

pub fn set_topic_of_this_thread(topic: Arc<str>) {
    TOPIC.with(|of_thread| of_thread.set(topic)).expect("one case a thread");
}

/// The event of all cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    pub order: u32,
    pub number: u32,
}

/// The `number`th step of an order.
pub const fn step(order: u32, number: u32) -> Step {
    Step { order, number }
}

/// Each number for all of the orders, then the next.
pub fn steps(orders: std::ops::Range<u32>, numbers: std::ops::Range<u32>) -> impl Iterator<Item = Step> {
    numbers.flat_map(move |number| orders.clone().map(move |order| step(order, number)))
}

impl IntegrationEvent for Step {
    const TYPE: &'static str = "engine.step";

    fn key(&self) -> Option<String> {
        Some(self.order.to_string())
    }

    fn topic() -> Option<Arc<str>> {
        Some(TOPIC.with(|topic| topic.get().cloned()).expect("the thread of a case"))
    }
}

/// What happened, in order. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<(Instant, String)>>>);

impl Log {
    pub fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push((Instant::now(), text.into()));
    }

    /// The effect of a step.
    pub fn done(&self, Step { order, number }: Step) {
        self.note(format!("{order}.{number} done"));
    }

    /// An attempt at it begins.
    pub fn attempt(&self, Step { order, number }: Step, attempt: Attempt) {
        self.note(format!("{order}.{number} attempt {}", attempt.0));
    }

    pub fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }

    /// Those that have `part` in them.
    pub fn with(&self, part: &str) -> Vec<String> {
        self.texts().into_iter().filter(|text| text.contains(part)).collect()
    }

    pub fn has(&self, text: &str) -> bool {
        self.0.lock().unwrap().iter().any(|(_, have)| have == text)
    }

    pub fn is_done(&self, Step { order, number }: Step) -> bool {
        self.has(&format!("{order}.{number} done"))
    }

    /// When attempts at `step` began.
    pub fn attempts_at(&self, Step { order, number }: Step) -> Vec<Instant> {
        let of = format!("{order}.{number} attempt ");
        self.0.lock().unwrap().iter().filter(|(_, text)| text.starts_with(&of)).map(|(at, _)| *at).collect()
    }
}

/// Where handlers wait until the case lets them go on. Clones share it.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub async fn pass(&self) {
        self.0.acquire().await.expect("never closed").forget();
    }

    pub fn let_through(&self, handlers: usize) {
        self.0.add_permits(handlers);
    }

    pub fn open(&self) {
        self.let_through(1_000_000);
    }

    pub fn is_open(&self) -> bool {
        self.0.available_permits() > 0
    }
}

/// How many handlers run, and how many ever did at a time. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<(AtomicUsize, AtomicUsize)>);

impl Meter {
    /// Counts until what it gives is dropped.
    pub fn count(&self) -> Running {
        let now = self.0.0.fetch_add(1, SeqCst) + 1;
        self.0.1.fetch_max(now, SeqCst);
        Running(self.clone())
    }

    pub fn running(&self) -> usize {
        self.0.0.load(SeqCst)
    }

    pub fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

pub struct Running(Meter);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, SeqCst);
    }
}

/// Notes when it is dropped.
pub struct NotesDrop(pub Log, pub &'static str);

impl Drop for NotesDrop {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}
