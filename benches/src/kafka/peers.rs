//! What people write by hand over rdkafka, at least once, as its documentation has it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::{Headers as _, OwnedMessage};
use tokio::sync::mpsc;

use super::{FETCH, client};
use crate::load::Order;
use crate::measure::{Meter, Sample};
use crate::{Failure, unique};

const LANES: usize = 64;

fn consumer(topic: &str, tuned: bool) -> Result<StreamConsumer, Failure> {
    let mut config: ClientConfig = client()?;
    config
        .set("group.id", unique("peer"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "1000");
    if tuned {
        for (name, value) in FETCH {
            config.set(name, value);
        }
    }
    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

async fn handle(order: Order, meter: &Meter) {
    meter.count(order.order_id);
}

/// One message after the other: decode, handle, store its offset.
pub(crate) async fn sequential(topic: &str, count: u64, tuned: bool, headers: bool) -> Result<Sample, Failure> {
    let (consumer, meter) = (consumer(topic, tuned)?, Meter::new(count));
    let mut stream = consumer.stream();
    for _ in 0..count {
        let Some(message) = stream.next().await else { return Err("the stream ended".into()) };
        let message = message?;
        if headers && !is_order(&message) {
            continue;
        }
        let order = serde_json::from_slice(message.payload().unwrap_or_default())?;
        handle(order, &meter).await;
        consumer.store_offset_from_message(&message)?;
    }
    Ok(meter.sample().await)
}

/// Reads type and id, as a program would that handles several types and knows its duplicates.
fn is_order(message: &impl rdkafka::Message) -> bool {
    let Some(headers) = message.headers() else { return false };
    let named = |name: &str| headers.iter().find(|header| header.key == name).and_then(|header| header.value);
    let id = named("ce_id").map(<[u8]>::to_vec);
    std::hint::black_box(id);
    named("ce_type") == Some(b"order.placed")
}

/// 64 tasks, each with a channel; a key always goes to the same one. Offsets are stored up to the first unfinished one.
pub(crate) async fn lanes(topic: &str, count: u64, work: Duration) -> Result<Sample, Failure> {
    let consumer = Arc::new(consumer(topic, true)?);
    let meter = Arc::new(Meter::new(count));
    let marks = Arc::new(Watermarks::default());
    let lanes: Vec<_> = (0..LANES).map(|_| lane(&consumer, &meter, &marks, work)).collect();
    let hasher = RandomState::new();
    for _ in 0..count {
        let message = consumer.recv().await?;
        marks.arrived(message.partition(), message.offset());
        let lane = hasher.hash_one(message.key().unwrap_or_default()) as usize % LANES;
        if lanes[lane].send(message.detach()).await.is_err() {
            return Err("a lane ended".into());
        }
    }
    let sample = meter.sample().await;
    consumer.commit_consumer_state(CommitMode::Sync)?;
    Ok(sample)
}

fn lane(
    consumer: &Arc<StreamConsumer>,
    meter: &Arc<Meter>,
    marks: &Arc<Watermarks>,
    work: Duration,
) -> mpsc::Sender<OwnedMessage> {
    let (send, mut receive) = mpsc::channel::<OwnedMessage>(256);
    let (consumer, meter, marks) = (consumer.clone(), meter.clone(), marks.clone());
    tokio::spawn(async move {
        while let Some(message) = receive.recv().await {
            let Ok(order) = serde_json::from_slice::<Order>(message.payload().unwrap_or_default()) else { return };
            meter.work(work, &order).await;
            handle(order, &meter).await;
            if let Some(offset) = marks.finished(message.partition(), message.offset()) {
                // It fails for a partition that is gone by now.
                let _ = consumer.store_offset(message.topic(), message.partition(), offset);
            }
        }
    });
    send
}

/// How far each partition may be committed.
#[derive(Debug, Default)]
struct Watermarks(Mutex<HashMap<i32, BTreeMap<i64, bool>>>);

impl Watermarks {
    fn arrived(&self, partition: i32, offset: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(partition).or_default().insert(offset, false);
    }

    /// The last one of the finished prefix, where it has grown.
    fn finished(&self, partition: i32, offset: i64) -> Option<i64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.get_mut(&partition)?;
        open.insert(offset, true);
        let mut last = None;
        while let Some(entry) = open.first_entry().filter(|entry| *entry.get()) {
            last = Some(*entry.key());
            entry.remove();
        }
        last
    }
}
