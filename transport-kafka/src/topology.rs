//! Topics, made or checked.

use std::sync::Arc;

use gulo_bus_core::transport::{TopicSpec, Topology, TopologyMode};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use crate::config::KafkaConfig;
use crate::context::{Callbacks, Health};
use crate::error;
use crate::probe::{self, Probe};

pub(crate) async fn ensure(
    config: KafkaConfig,
    health: Arc<Health>,
    topology: Topology,
) -> Result<()> {
    let names: Vec<_> = topology
        .topics
        .iter()
        .map(|topic| Arc::clone(&topic.name))
        .collect();
    let missing = missing(&config, &health, names).await?;
    if missing.is_empty() {
        return Ok(());
    }
    if topology.mode == TopologyMode::Check {
        return Err(probe::missing_error(&missing));
    }
    let wanted: Vec<_> = topology
        .topics
        .iter()
        .filter(|topic| missing.contains(&topic.name))
        .collect();
    create(&config, &health, &wanted).await?;
    // A topic just made is not known everywhere yet; a publish to it would be refused.
    let deadline = tokio::time::Instant::now() + config.connect_timeout;
    loop {
        let still = self::missing(&config, &health, missing.clone()).await?;
        if still.is_empty() {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(probe::missing_error(&still).context("created, but not known yet"));
        }
    }
}

async fn missing(
    config: &KafkaConfig,
    health: &Arc<Health>,
    names: Vec<Arc<str>>,
) -> Result<Vec<Arc<str>>> {
    let (config, health) = (config.clone(), Arc::clone(health));
    blocking(move || probe::missing(&Probe::new(&config, &health)?, &names)).await
}

async fn create(config: &KafkaConfig, health: &Arc<Health>, topics: &[&TopicSpec]) -> Result<()> {
    let callbacks = Callbacks {
        health: Arc::clone(health),
    };
    let client: AdminClient<_> = config
        .plain()
        .create_with_context(callbacks)
        .map_err(|error| error::of_client(&error))?;
    let new: Vec<_> = topics.iter().map(|topic| new_topic(topic)).collect();
    let options = AdminOptions::new()
        .operation_timeout(Some(config.connect_timeout))
        .request_timeout(Some(config.connect_timeout));
    let results = client.create_topics(&new, &options).await;
    let results = results.map_err(|error| error::of_operation("creating topics", &error))?;
    let refused: Vec<_> = results
        .into_iter()
        .filter_map(Result::err)
        .filter(|(_, code)| *code != RDKafkaErrorCode::TopicAlreadyExists)
        .map(|(topic, code)| format!("`{topic}`: {code}"))
        .collect();
    // The admin client's drop joins its thread.
    blocking(move || {
        drop(client);
        Ok(())
    })
    .await?;
    if refused.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!("Kafka does not create {}", refused.join(", ")),
    ))
}

fn new_topic(topic: &TopicSpec) -> NewTopic<'_> {
    // -1: the broker's own default.
    let count =
        |count: Option<u32>| count.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX));
    let replication = TopicReplication::Fixed(topic.replication.map_or(-1, i32::from));
    let new = NewTopic::new(&topic.name, count(topic.partitions), replication);
    topic
        .settings
        .iter()
        .fold(new, |new, (name, value)| new.set(name, value))
}

/// Runs what blocks where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let panicked =
        |error| Error::new(ErrorKind::Other, "a task of the Kafka transport failed").source(error);
    tokio::task::spawn_blocking(work).await.map_err(panicked)?
}
