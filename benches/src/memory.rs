//! The memory transport, beside a channel of tokio.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gulo::memory::MemoryConfig;
use gulo::message::Message;
use gulo::prelude::*;
use tokio::sync::mpsc;

use crate::Failure;
use crate::load::{Order, orders};
use crate::measure::{Clocks, Meter, Sample};

const BATCH: usize = 128;
const KNOWN: u64 = 1024;
const TOPIC: &str = "bench";
/// Nobody sends further ahead of the handler than this.
const AHEAD: u64 = 1024;

type Counter = Arc<Meter>;

async fn on_raw(Payload(bytes): Payload, State(meter): State<Counter>) {
    meter.count(bytes.map_or(0, |bytes| bytes.len() as u64));
}

async fn on_order(Event(order): Event<Order>, State(meter): State<Counter>) {
    meter.count(order.order_id);
}

async fn bus(meter: &Counter, group: Subscription) -> Result<Bus, Failure> {
    // What nobody will read again is not kept.
    let transport = MemoryTransport::with(MemoryConfig::new().retain(2 * AHEAD as usize));
    let group = group.concurrency(Concurrency::per_key(64));
    Ok(Bus::builder("bench").transport(transport).subscribe(group).state(meter.clone()).start().await?)
}

/// Bytes through the bus: sent in batches, handled one by one.
pub(crate) async fn raw(count: u64) -> Result<Sample, Failure> {
    let meter = Arc::new(Meter::new(count));
    let bus = bus(&meter, Subscription::group("raw").on_raw(TOPIC, on_raw)).await?;
    let known = known_messages();
    let clocks = Clocks::start();
    for first in (0..count).step_by(BATCH) {
        meter.keep_up(first, AHEAD).await;
        let numbers = first..count.min(first + BATCH as u64);
        bus.send(numbers.map(|number| known[(number % KNOWN) as usize].clone()).collect()).await?;
    }
    meter.sample().await;
    let sample = clocks.stop(count);
    bus.shutdown(Duration::from_secs(5)).await?;
    Ok(sample)
}

/// Events through the bus: encoded, with their envelope, and decoded.
pub(crate) async fn json(count: u64) -> Result<Sample, Failure> {
    let meter = Arc::new(Meter::new(count));
    let bus = bus(&meter, Subscription::group("json").on(on_order)).await?;
    let known: Vec<Order> = orders(KNOWN).collect();
    let clocks = Clocks::start();
    for first in (0..count).step_by(BATCH) {
        meter.keep_up(first, AHEAD).await;
        let numbers = first..count.min(first + BATCH as u64);
        bus.publish_all(numbers.map(|number| known[(number % KNOWN) as usize].clone())).await?;
    }
    meter.sample().await;
    let sample = clocks.stop(count);
    bus.shutdown(Duration::from_secs(5)).await?;
    Ok(sample)
}

/// Messages as other services send them, with all headers of the envelope, to a handler of their type: the headers are looked
/// through, the handler is found, content type and version are checked, the payload is decoded.
pub(crate) async fn by_type(count: u64) -> Result<Sample, Failure> {
    enveloped(count, Subscription::group("typed").on_from(TOPIC, on_order)).await
}

/// The same messages to a handler that decodes the payload and looks at no header.
pub(crate) async fn by_hand(count: u64) -> Result<Sample, Failure> {
    enveloped(count, Subscription::group("hand").on_raw(TOPIC, on_json)).await
}

async fn on_json(Payload(bytes): Payload, State(meter): State<Counter>) -> Result<(), HandlerError> {
    let order: Order = serde_json::from_slice(&bytes.unwrap_or_default())?;
    meter.count(order.order_id);
    Ok(())
}

async fn enveloped(count: u64, group: Subscription) -> Result<Sample, Failure> {
    let meter = Arc::new(Meter::new(count));
    let bus = bus(&meter, group).await?;
    let known: Vec<Message> = orders(KNOWN).map(|order| enveloped_message(&order)).collect::<Result<_, _>>()?;
    let clocks = Clocks::start();
    for first in (0..count).step_by(BATCH) {
        meter.keep_up(first, AHEAD).await;
        let numbers = first..count.min(first + BATCH as u64);
        bus.send(numbers.map(|number| known[(number % KNOWN) as usize].clone()).collect()).await?;
    }
    meter.sample().await;
    let sample = clocks.stop(count);
    bus.shutdown(Duration::from_secs(5)).await?;
    Ok(sample)
}

fn enveloped_message(order: &Order) -> Result<Message, Failure> {
    let headers = gulo::envelope::write(&EventMeta::of(order, "bench"), "application/json");
    Ok(Message { headers, ..Message::new(TOPIC, serde_json::to_vec(order)?).key(order.customer.clone()) })
}

fn known_messages() -> Vec<Message> {
    let message = |order: Order| Message::new(TOPIC, vec![b'x'; 100]).key(order.customer);
    orders(KNOWN).map(message).collect()
}

/// The same bytes through a channel, one by one, to a task that calls a function.
pub(crate) async fn channel_raw(count: u64) -> Result<Sample, Failure> {
    let meter = Arc::new(Meter::new(count));
    let known: Vec<(Bytes, Bytes)> = known_messages()
        .into_iter()
        .map(|message| (message.key.unwrap_or_default(), message.payload.unwrap_or_default()))
        .collect();
    let clocks = Clocks::start();
    let (send, mut receive) = mpsc::channel::<(Bytes, Bytes)>(1024);
    let counter = meter.clone();
    tokio::spawn(async move {
        while let Some((_, payload)) = receive.recv().await {
            counter.count(payload.len() as u64);
        }
    });
    for number in 0..count {
        send.send(known[(number % KNOWN) as usize].clone()).await?;
    }
    meter.sample().await;
    Ok(clocks.stop(count))
}

/// The same events through a channel, encoded and decoded.
pub(crate) async fn channel_json(count: u64) -> Result<Sample, Failure> {
    let meter = Arc::new(Meter::new(count));
    let known: Vec<Order> = orders(KNOWN).collect();
    let clocks = Clocks::start();
    let (send, mut receive) = mpsc::channel::<(String, Vec<u8>)>(1024);
    let counter = meter.clone();
    tokio::spawn(async move {
        while let Some((_, payload)) = receive.recv().await {
            let Ok(order) = serde_json::from_slice::<Order>(&payload) else { return };
            counter.count(order.order_id);
        }
    });
    for number in 0..count {
        let order = known[(number % KNOWN) as usize].clone();
        send.send((order.customer.clone(), serde_json::to_vec(&order)?)).await?;
    }
    meter.sample().await;
    Ok(clocks.stop(count))
}
