//! Asking the cluster, with an answer or a cause in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gulo_bus_core::transport::Status;
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;

use crate::config::KafkaConfig;
use crate::context::{Callbacks, Health};
use crate::error;

/// How long one request may take before the callbacks are looked at again.
const STEP: Duration = Duration::from_millis(500);

/// A client outside of any group. All of its calls block: use it on a thread that may.
pub(crate) struct Probe {
    client: BaseConsumer<Callbacks>,
    health: Arc<Health>,
    servers: String,
    deadline: Instant,
}

impl Probe {
    pub(crate) fn new(config: &KafkaConfig, health: &Arc<Health>) -> Result<Self> {
        config.check()?;
        // Its own notes: an old trouble of the transport is no cause of this one.
        let own = Arc::new(Health::default());
        let callbacks = Callbacks {
            health: Arc::clone(&own),
        };
        let client = config
            .plain()
            .create_with_context(callbacks)
            .map_err(|error| error::of_client(&error))?;
        let probe = Self {
            client,
            health: own,
            servers: config.servers().to_owned(),
            deadline: Instant::now() + config.connect_timeout,
        };
        probe
            .metadata(Some("gulo"))
            .inspect(|_| health.up())
            .map(|_| ())?;
        Ok(probe)
    }

    /// Metadata of one topic or of all. `fetch_metadata` itself says "transport failure" after its whole time-out,
    /// whatever the cause; the cause comes by the error callback, and only while the client is polled.
    pub(crate) fn metadata(&self, topic: Option<&str>) -> Result<Metadata> {
        loop {
            let answer = self.client.fetch_metadata(topic, STEP);
            let _ = self.client.poll(Duration::ZERO);
            match answer {
                Ok(metadata) => return Ok(metadata),
                Err(_) if Instant::now() < self.deadline => {}
                Err(error) => return Err(self.unreachable(&error.to_string())),
            }
        }
    }

    fn unreachable(&self, fallback: &str) -> Error {
        let cause = match self.health.status() {
            Status::Down { reason, .. } => reason,
            _ => fallback.to_owned(),
        };
        Error::new(
            ErrorKind::Unavailable,
            format!("no Kafka broker answers at {}: {cause}", self.servers),
        )
        .help("is it running? `KAFKA_BOOTSTRAP_SERVERS` names another")
    }

    /// The partitions of `topic`; `None` where there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> Result<Option<Vec<i32>>> {
        let metadata = self.metadata(Some(topic))?;
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic && found.error().is_none());
        Ok(found.map(|found| {
            found
                .partitions()
                .iter()
                .map(|partition| partition.id())
                .collect()
        }))
    }
}

/// The topics of `names` that do not exist.
pub(crate) fn missing(probe: &Probe, names: &[Arc<str>]) -> Result<Vec<Arc<str>>> {
    let mut missing = Vec::new();
    for name in names {
        if probe
            .partitions(name)?
            .is_none_or(|partitions| partitions.is_empty())
        {
            missing.push(Arc::clone(name));
        }
    }
    Ok(missing)
}

/// Names all of them.
pub(crate) fn missing_error(missing: &[Arc<str>]) -> Error {
    let names: Vec<_> = missing.iter().map(|name| format!("`{name}`")).collect();
    let (noun, verb) = if missing.len() == 1 {
        ("topic", "does")
    } else {
        ("topics", "do")
    };
    Error::new(
        ErrorKind::Missing,
        format!("Kafka {noun} {} {verb} not exist", names.join(", ")),
    )
    .help("create them, or let the bus do it with `TopologyMode::Create`")
}
