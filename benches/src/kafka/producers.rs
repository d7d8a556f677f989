//! Publishing by hand over rdkafka: idempotent, confirmed by all replicas.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer};

use super::{LINGER_MS, client, new_envelope};
use crate::Failure;
use crate::load::{Order, orders};
use crate::measure::{Clocks, Sample};

/// Futures of the `FutureProducer` under way at a time; Gulo has as many messages. It keeps the connection busy, and most of what
/// is under way lies in the caches: fewer cost less yet, and come slower.
pub(crate) const WINDOW: usize = 5_000;

/// What one does who lets tasks run loose; and of 100 bytes each, which are sent twice as fast, no more than is needed.
pub(crate) const DEEP: usize = 10_000;

/// Orders that are sent in turn.
pub(crate) const ORDERS: u64 = 10_000;

fn producer(settings: &Settings) -> Result<ClientConfig, Failure> {
    let mut config = client()?;
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", LINGER_MS.to_string());
    config.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Ok(config)
}

/// What is sent: always the same bytes, or orders with our envelope, each with an id of its own and the time.
pub(crate) struct Content {
    typed: bool,
    raw: Vec<u8>,
    orders: Vec<Order>,
    settings: &'static Settings,
}

/// Of the producer, beside what all have.
type Settings = [(&'static str, &'static str)];

impl Content {
    pub(crate) fn new(typed: bool) -> Self {
        Self { typed, raw: vec![b'x'; 100], orders: orders(ORDERS).collect(), settings: &[] }
    }

    /// By a producer with these settings.
    pub(crate) fn with(self, settings: &'static Settings) -> Self {
        Self { settings, ..self }
    }

    fn order(&self, number: u64) -> &Order {
        &self.orders[number as usize % self.orders.len()]
    }

    /// Encodes anew for each message, as a program does: an event that is made for it, as in our arm.
    fn payload(&self, number: u64) -> Result<Vec<u8>, Failure> {
        Ok(if self.typed { serde_json::to_vec(&self.order(number).clone())? } else { self.raw.clone() })
    }
}

/// Hands over as fast as the queue takes, and waits for all reports at the end.
pub(crate) fn base(topic: &str, count: u64, content: &Content) -> Result<Sample, Failure> {
    let producer: BaseProducer = producer(content.settings)?.create()?;
    producer.client().fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let clocks = Clocks::start();
    for number in 0..count {
        let (payload, order) = (content.payload(number)?, content.order(number));
        loop {
            let mut record = BaseRecord::to(topic).key(&order.customer).payload(&payload);
            if content.typed {
                record = record.headers(new_envelope());
            }
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    // Not `poll(1 ms)`: rdkafka spins through the last millisecond.
                    std::thread::sleep(Duration::from_millis(1));
                    producer.poll(Duration::ZERO);
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        if number % 64 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(clocks.stop(count))
}

/// A window of futures.
pub(crate) async fn future(topic: &str, count: u64, content: &Content) -> Result<Sample, Failure> {
    let producer: FutureProducer = producer(content.settings)?.create()?;
    producer.client().fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let clocks = Clocks::start();
    let mut under_way = FuturesUnordered::new();
    for number in 0..count {
        let (payload, order) = (content.payload(number)?, content.order(number));
        let mut record = FutureRecord::to(topic).key(&order.customer).payload(&payload);
        if content.typed {
            record = record.headers(new_envelope());
        }
        under_way.push(producer.send_result(record).map_err(|(error, _)| error)?);
        if under_way.len() >= if content.typed { WINDOW } else { DEEP }
            && let Some(result) = under_way.next().await
        {
            result?.map_err(|(error, _)| error)?;
        }
    }
    while let Some(result) = under_way.next().await {
        result?.map_err(|(error, _)| error)?;
    }
    Ok(clocks.stop(count))
}
