//! Gulo, as its README has it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gulo::message::Message;
use gulo::prelude::*;
use gulo::transport::Unsent;

use super::config;
use super::producers::{DEEP, ORDERS};
use crate::load::{Order, orders};
use crate::measure::{Clocks, Meter, Sample};
use crate::{Failure, unique};

/// Messages of one call; so many calls are under way that there are as many messages as the peer has futures.
const BATCH: usize = 500;

/// What the handler does beside counting.
#[derive(Debug, Clone)]
struct Desk {
    meter: Arc<Meter>,
    work: Duration,
}

async fn handle(Event(order): Event<Order>, State(desk): State<Desk>) {
    desk.meter.work(desk.work, &order).await;
    desk.meter.count(order.order_id);
}

/// Handles the first `count` messages of the topic of [`Order`].
pub(crate) async fn consume(count: u64, concurrency: Concurrency, work: Duration) -> Result<Sample, Failure> {
    let desk = Desk { meter: Arc::new(Meter::new(count)), work };
    let group = Subscription::group(unique("ours"))
        .concurrency(concurrency)
        // The topic is the run's own, and nothing fails.
        .dead_letter(DeadLetter::discard())
        .on(handle);
    let bus = Bus::builder("bench")
        .transport(KafkaTransport::new(config()?))
        .subscribe(group)
        .state(desk.clone())
        .start()
        .await?;
    let sample = desk.meter.sample().await;
    bus.shutdown(Duration::from_secs(20)).await?;
    Ok(sample)
}

async fn publishing_bus(topic: &str, config: KafkaConfig) -> Result<Bus, Failure> {
    Ok(Bus::builder("bench").transport(KafkaTransport::new(config)).topic(topic, |topic| topic).start().await?)
}

/// Batches of 100 bytes each.
pub(crate) async fn send(topic: &str, count: u64) -> Result<Sample, Failure> {
    let bus = publishing_bus(topic, config()?).await?;
    let keys: Vec<String> = orders(ORDERS).map(|order| order.customer).collect();
    let (topic, payload): (Arc<str>, _) = (topic.into(), vec![b'x'; 100]);
    // Each is made anew, as by the peers.
    let message =
        |number: u64| Message::new(topic.clone(), payload.clone()).key(keys[number as usize % keys.len()].clone());
    let sample = in_batches(count, DEEP, |numbers| bus.send(numbers.map(message).collect())).await?;
    bus.shutdown(Duration::from_secs(20)).await?;
    Ok(sample)
}

/// Batches of events: JSON with our envelope; `window` of them under way.
pub(crate) async fn publish(count: u64, config: KafkaConfig, window: usize) -> Result<Sample, Failure> {
    let bus = publishing_bus(&Order::topic().unwrap_or_default(), config).await?;
    let known: Vec<Order> = orders(ORDERS).collect();
    let order = |number: u64| known[number as usize % known.len()].clone();
    let sample = in_batches(count, window, |numbers| bus.publish_all(numbers.map(order))).await?;
    bus.shutdown(Duration::from_secs(20)).await?;
    Ok(sample)
}

/// Publishes by number, so many calls at a time that the window is full.
async fn in_batches<F>(count: u64, window: usize, publish: impl Fn(Range<u64>) -> F) -> Result<Sample, Failure>
where
    F: Future<Output = Result<(), Unsent>>,
{
    let clocks = Clocks::start();
    let mut under_way = FuturesUnordered::new();
    for first in (0..count).step_by(BATCH) {
        under_way.push(publish(first..count.min(first + BATCH as u64)));
        if under_way.len() >= window / BATCH {
            under_way.next().await.transpose()?;
        }
    }
    while under_way.next().await.transpose()?.is_some() {}
    Ok(clocks.stop(count))
}
