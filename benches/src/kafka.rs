//! Kafka: the broker's topics, and the arms that read and fill them.

mod ours;
mod peers;
mod producers;

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use gulo::kafka::{Compression, KafkaConfig};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use uuid::Uuid;

use gulo::prelude::Concurrency;

use crate::Failure;
use crate::load::{Order, orders};
use crate::measure::Sample;
use producers::Content;

const PARTITIONS: i32 = 8;

/// The fetch settings that every arm has, unless it is there to show the defaults: those of Gulo.
pub(crate) const FETCH: [(&str, &str); 2] = [("fetch.queue.backoff.ms", "2"), ("queued.max.messages.kbytes", "16384")];

/// The same linger, batches and compression for every producer, librdkafka's own but for the linger: defaults differ, and would
/// be all that is measured.
pub(crate) const LINGER_MS: u64 = 5;
const BATCH_BYTES: usize = 1_000_000;

/// Does what is asked of a cell's process.
pub(crate) async fn cell(arm: &str, topic: &str, count: u64, work: Duration) -> Result<Sample, Failure> {
    match arm {
        "ours-keyed" => ours::consume(count, Concurrency::per_key(1000), work).await,
        "ours-sequential" => ours::consume(count, Concurrency::Sequential, work).await,
        "stream" => peers::sequential(topic, count, true, false).await,
        "stream-headers" => peers::sequential(topic, count, true, true).await,
        "stream-defaults" => peers::sequential(topic, count, false, false).await,
        "lanes" => peers::lanes(topic, count, work).await,
        "ours-send" => ours::send(topic, count).await,
        "ours-publish" => ours::publish(count, config()?, producers::WINDOW).await,
        "ours-publish-deep" => ours::publish(count, config()?, producers::DEEP).await,
        "ours-publish-defaults" => ours::publish(count, defaults()?, producers::WINDOW).await,
        "base-raw" => producers::base(topic, count, &Content::new(false)),
        "base-typed" => producers::base(topic, count, &Content::new(true)),
        "base-typed-defaults" => producers::base(topic, count, &Content::new(true).with(&DEFAULTS)),
        "future-raw" => producers::future(topic, count, &Content::new(false)).await,
        "future-typed" => producers::future(topic, count, &Content::new(true)).await,
        other => Err(format!("no arm {other}").into()),
    }
}

pub(crate) fn servers() -> Result<String, Failure> {
    std::env::var("KAFKA_BOOTSTRAP_SERVERS").map_err(|_| "KAFKA_BOOTSTRAP_SERVERS names no broker".into())
}

/// What Gulo's producers have unless somebody says otherwise, in librdkafka's words.
pub(crate) const DEFAULTS: [(&str, &str); 3] =
    [("compression.type", "gzip"), ("batch.size", "16384"), ("linger.ms", "10")];

/// As Gulo comes.
pub(crate) fn defaults() -> Result<KafkaConfig, Failure> {
    Ok(KafkaConfig::new(servers()?))
}

pub(crate) fn config() -> Result<KafkaConfig, Failure> {
    let config = KafkaConfig::new(servers()?).linger(Duration::from_millis(LINGER_MS));
    Ok(config.batch_size(BATCH_BYTES).compression(Compression::None))
}

fn client() -> Result<ClientConfig, Failure> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers()?);
    Ok(config)
}

/// Makes the topic; its data are of no use after the run.
pub(crate) async fn create(topic: &str) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> = client()?.create()?;
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)).set("retention.ms", "3600000");
    let made = admin.create_topics([&new], &AdminOptions::new()).await?;
    made.into_iter().try_for_each(|topic| topic.map(drop)).map_err(|(topic, code)| format!("{topic}: {code}").into())
}

pub(crate) async fn delete(topics: &[String]) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> = client()?.create()?;
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    admin.delete_topics(&names, &AdminOptions::new()).await?;
    Ok(())
}

/// Fills a topic with the first `count` orders; with the headers of our envelope where `enveloped`.
pub(crate) fn fill(topic: &str, count: u64, enveloped: bool) -> Result<(), Failure> {
    let producer: BaseProducer = client()?
        .set("linger.ms", "50")
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .create()?;
    for order in orders(count) {
        let payload = serde_json::to_vec(&order)?;
        loop {
            let mut record = BaseRecord::to(topic).key(&order.customer).payload(&payload);
            if enveloped {
                record = record.headers(envelope(&order));
            }
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        producer.poll(Duration::ZERO);
    }
    Ok(producer.flush(Duration::from_secs(120))?)
}

/// The headers that Gulo's own envelope has, CloudEvents in binary mode, the same in every run.
pub(crate) fn envelope(order: &Order) -> OwnedHeaders {
    headers(&format!("0198c0de-0000-7000-8000-{:012x}", order.order_id), "2026-11-24T10:00:00.123456Z")
}

/// The same as who publishes by hand makes them: each event has an id of its own and the time.
pub(crate) fn new_envelope() -> OwnedHeaders {
    headers(&Uuid::now_v7().to_string(), &Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn headers(id: &str, time: &str) -> OwnedHeaders {
    let headers: [(&str, &str); 7] = [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_type", "order.placed"),
        ("ce_source", "bench"),
        ("ce_time", time),
        ("ce_dataversion", "1"),
    ];
    let add = |all: OwnedHeaders, (key, value): (&str, &str)| all.insert(Header { key, value: Some(value) });
    headers.into_iter().fold(OwnedHeaders::new_with_capacity(7), add)
}
