//! What finding the handler and decoding by type cost in memory: nothing beside what the event itself holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gulo::memory::{MemoryConfig, MemoryTransport};
use gulo::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;
use tokio::sync::Notify;

/// Nothing of it lies on the heap.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Reading {
    sensor: u32,
    value: u64,
}

impl IntegrationEvent for Reading {
    const TYPE: &'static str = "sensor.reading";
    const TOPIC: Option<&'static str> = Some("readings");
}

#[derive(Serialize, Deserialize)]
struct Other;

impl IntegrationEvent for Other {
    const TYPE: &'static str = "sensor.other";
    const TOPIC: Option<&'static str> = Some("readings");
}

const MESSAGES: u64 = 20_000;

/// Counts what was handled, and says when that was all.
#[derive(Clone)]
struct Count(Arc<(AtomicU64, Notify)>);

impl Count {
    fn one(&self) {
        if self.0.0.fetch_add(1, Relaxed) + 1 == MESSAGES {
            self.0.1.notify_one();
        }
    }
}

async fn typed(Event(_): Event<Reading>, State(count): State<Count>) {
    count.one();
}

async fn other(Event(_): Event<Other>) {}

async fn raw(_: Payload, State(count): State<Count>) {
    count.one();
}

/// A topic with all messages in it.
async fn filled() -> MemoryTransport {
    let transport = MemoryTransport::with(MemoryConfig::new());
    let writer = Bus::builder("writer").transport(transport.clone()).topic("readings", |topic| topic.partitions(1));
    let writer = writer.start().await.expect("starts");
    for sensor in 0..MESSAGES as u32 / 100 {
        writer.publish_all((0..100).map(|value| Reading { sensor, value })).await.expect("confirmed");
    }
    writer.shutdown(Duration::from_secs(5)).await.expect("clean");
    transport
}

/// Allocations for each message, from the start of the group to its last message.
fn allocations(group: Subscription) -> f64 {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let transport = runtime.block_on(filled());
    let count = Count(Arc::new((AtomicU64::new(0), Notify::new())));
    let mut running = None;
    let counted = allocation_counter::measure(|| {
        running = Some(runtime.block_on(async {
            let bus = Bus::builder("reader").transport(transport).subscribe(group).state(count.clone());
            let bus = bus.start().await.expect("starts");
            count.0.1.notified().await;
            bus
        }));
    });
    let clean = runtime.block_on(running.expect("a bus").shutdown(Duration::from_secs(5)));
    clean.expect("clean");
    counted.count_total as f64 / MESSAGES as f64
}

#[test]
fn finding_the_handler_and_decoding_by_type_allocate_nothing() {
    let raw = allocations(Subscription::group("g").on_raw("readings", raw));
    let typed = allocations(Subscription::group("g").on(typed).on(other));
    println!("allocations for each message: {raw:.3} raw, {typed:.3} by type");
    // The one is the handler's future.
    assert!(raw < 1.05 && typed < 1.05, "{raw:.3} raw, {typed:.3} by type");
}
