//! The transport: makes publishers and sources.

use std::fmt;
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use gulo_bus_core::transport::{
    Capabilities, Capability, Member, Position, Publisher, Source, Status, SubscribeSpec, Topics,
    Topology, Transaction, Transport,
};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::consumer::Consumer;

use crate::config::KafkaConfig;
use crate::context::{GroupCallbacks, Health, Partition};
use crate::driver::{Client, Driver};
use crate::error;
use crate::probe::{self, Probe};
use crate::publisher::KafkaPublisher;
use crate::shared::Shared;
use crate::source::KafkaSource;
use crate::topology::{self, blocking};

pub(crate) const NAME: &str = "kafka";

pub(crate) const CAPABILITIES: Capabilities = {
    let mut capabilities = Capabilities::NONE;
    capabilities.solo = true;
    capabilities.history = true;
    capabilities.patterns = true;
    capabilities.partitions = true;
    capabilities.key_order = true;
    capabilities.pause = true;
    capabilities.seek = true;
    capabilities.tombstones = true;
    capabilities.null_headers = true;
    capabilities.duplicate_headers = true;
    capabilities.create_topics = true;
    capabilities
};

/// Apache Kafka. Making it connects to nothing; clones and everything made from it share one view of the connection.
#[derive(Clone)]
pub struct KafkaTransport {
    config: KafkaConfig,
    health: Arc<Health>,
}

impl KafkaTransport {
    /// The cluster of `config`.
    pub fn new(config: KafkaConfig) -> Self {
        Self {
            config,
            health: Arc::default(),
        }
    }

    /// A consumer that is subscribed or assigned, before its thread runs.
    fn connect(&self, spec: &SubscribeSpec) -> Result<(Arc<Client>, Vec<Partition>)> {
        let probe = Probe::new(&self.config, &self.health)?;
        if let Topics::Named(names) = &spec.topics {
            let missing = probe::missing(&probe, names)?;
            if !missing.is_empty() {
                return Err(probe::missing_error(&missing));
            }
        }
        let reset = if spec.start == Position::Latest {
            "latest"
        } else {
            "earliest"
        };
        let alone = format!("gulo-solo-{}", std::process::id());
        let group = match &spec.member {
            Member::Group(group) => group,
            // The client wants a group's name even where it never joins one.
            Member::Solo => alone.as_str(),
        };
        let callbacks = GroupCallbacks::new(Arc::clone(&self.health));
        let client: Client = self
            .config
            .consumer(group, reset)
            .create_with_context(callbacks)
            .map_err(|error| error::of_client(&error))?;
        let partitions = match &spec.member {
            Member::Group(_) => Vec::new(),
            Member::Solo => all_partitions(&probe, &spec.topics)?,
        };
        Ok((Arc::new(client), partitions))
    }
}

fn all_partitions(probe: &Probe, topics: &Topics) -> Result<Vec<Partition>> {
    let Topics::Named(names) = topics else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a solo reader takes named topics, not a pattern",
        ));
    };
    let mut all = Vec::new();
    for name in names {
        all.extend(
            probe
                .partitions(name)?
                .unwrap_or_default()
                .into_iter()
                .map(|partition| (Arc::clone(name), partition)),
        );
    }
    Ok(all)
}

/// A pattern is over the whole name; librdkafka takes what begins with `^` as one.
fn subscription(topics: &Topics) -> Vec<String> {
    match topics {
        Topics::Named(names) => names.iter().map(|name| name.to_string()).collect(),
        Topics::Pattern(pattern) => vec![format!("^({pattern})$")],
    }
}

/// Begins to consume, and starts the thread that drives it.
fn launch(
    client: Arc<Client>,
    partitions: Vec<Partition>,
    spec: SubscribeSpec,
    health: Arc<Health>,
) -> Result<KafkaSource> {
    let shared = Shared::new();
    let in_group = partitions.is_empty() && spec.member != Member::Solo;
    let mut client = client;
    if let Some(client) = Arc::get_mut(&mut client) {
        let shared = Arc::clone(&shared);
        client.set_nonempty_callback(move || shared.signal.set());
    }
    let source = KafkaSource {
        shared: Arc::clone(&shared),
        health,
        commit_every: spec.commit.every.max(1),
        closed: false,
    };
    let mut driver = Driver::new(Arc::clone(&client), shared, spec.clone(), in_group);
    if in_group {
        let names = subscription(&spec.topics);
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        client
            .subscribe(&names)
            .map_err(|error| error::of_operation("subscribing", &error))?;
    } else {
        driver.assign_alone(&partitions)?;
    }
    drop(client);
    let thread = thread::Builder::new()
        .name("gulo-kafka".into())
        .spawn(move || driver.run());
    thread.map_err(|error| {
        Error::new(ErrorKind::Other, "no thread for a Kafka consumer").source(error)
    })?;
    Ok(source)
}

#[async_trait]
impl Transport for KafkaTransport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = CAPABILITIES;
        capabilities.max_message_bytes = Some(self.config.max_message_bytes);
        capabilities
    }

    fn status(&self) -> Status {
        self.health.status()
    }

    async fn ensure(&self, topology: &Topology) -> Result<()> {
        topology::ensure(
            self.config.clone(),
            Arc::clone(&self.health),
            topology.clone(),
        )
        .await
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(KafkaPublisher::new(&self.config, &self.health)?))
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        if spec.member == Member::Solo && spec.start == Position::Committed {
            return Err(
                Error::new(ErrorKind::Config, "a solo reader has no committed position")
                    .help("start at Earliest, Latest, a time or an offset"),
            );
        }
        let this = self.clone();
        let source = blocking(move || {
            let (client, partitions) = this.connect(&spec)?;
            launch(client, partitions, spec, this.health)
        });
        Ok(Box::new(source.await?))
    }

    async fn transaction(&self, _id: &str) -> Result<Box<dyn Transaction>> {
        self.capabilities()
            .require(NAME, Capability::Transactions)?;
        Err(Error::new(ErrorKind::Unsupported, "transactions"))
    }
}

impl fmt::Debug for KafkaTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTransport")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
