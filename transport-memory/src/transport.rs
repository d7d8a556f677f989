//! The transport itself: refuses what it cannot do, by name, and hands out publishers and sources.

use std::sync::Arc;

use async_trait::async_trait;
use gulo_bus_core::transport::{
    Capabilities, Capability, Member, Position, Publisher, Source, Status, SubscribeSpec, Topics, Topology,
    Transaction, Transport,
};
use gulo_bus_core::{Error, ErrorKind, Result};

use crate::broker::group::Matcher;
use crate::broker::{Broker, NAME, away};
use crate::config::MemoryConfig;
use crate::fault::Faults;
use crate::publisher::MemoryPublisher;
use crate::source::MemorySource;
use crate::topology;

/// A broker inside the process. Clones share it; it lives as long as one of them, or a publisher or source. Given to a
/// bus by [`BusBuilder::transport`](gulo_bus_core::bus::BusBuilder::transport):
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::bus::{Bus, Subscription};
/// # use gulo_bus_core::handler::Payload;
/// # use gulo_bus_core::message::Message;
/// # use gulo_transport_memory::MemoryTransport;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let memory = MemoryTransport::new();
/// let keep = async |Payload(bytes): Payload| println!("{bytes:?}");
/// let archive = Subscription::group("archive").on_raw("photos", keep);
/// let bus = Bus::builder("album").transport(memory.clone()).subscribe(archive).start().await?;
/// bus.send(vec![Message::new("photos", "x")]).await?;
/// while !memory.faults().is_settled(["archive"]) {
///     tokio::task::yield_now().await;
/// }
/// bus.shutdown(Duration::from_secs(5)).await?;
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(example()).unwrap();
/// ```
///
/// - **Durable** means: survives the source. A verdict becomes durable by the subscription's
///   [`CommitPolicy`](gulo_bus_core::transport::CommitPolicy), when its lane is released or drained, and at `close`.
///   A source that is dropped without close, or lost by a fault, loses those that were not yet.
/// - **Order per key**: log shape, by partition, the [hash of Java's client] over the key; queue shape, messages of a
///   key that is out with one member are not handed to another until they are settled. `deliver_at` may change the
///   order, as asked.
/// - **A lane opens unpaused**, after a seek or release too.
///
/// [hash of Java's client]: https://github.com/apache/kafka/blob/4.1.0/clients/src/main/java/org/apache/kafka/common/utils/Utils.java
#[derive(Debug, Clone)]
pub struct MemoryTransport {
    broker: Arc<Broker>,
}

impl Default for MemoryTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryTransport {
    /// A new broker of the log shape, 4 partitions a topic.
    pub fn new() -> Self {
        Self::with(MemoryConfig::new())
    }

    /// A new broker with these settings.
    pub fn with(config: MemoryConfig) -> Self {
        Self { broker: Arc::new(Broker::new(config)) }
    }

    /// The switches that make it misbehave, and the windows to look into it.
    pub fn faults(&self) -> Faults {
        Faults::new(self.broker.clone())
    }

    fn check(&self, spec: &SubscribeSpec) -> Result<()> {
        let can = self.capabilities();
        if spec.window == 0 {
            let text = "a window of 0 deliveries would let nothing through";
            return Err(Error::new(ErrorKind::Config, text).help("give it at least 1"));
        }
        if let Topics::Pattern(_) = spec.topics {
            can.require(NAME, Capability::Patterns)?;
        }
        if matches!(spec.start, Position::At(_) | Position::Offset(_)) {
            can.require(NAME, Capability::History)?;
        }
        if spec.member == Member::Solo {
            can.require(NAME, Capability::Solo)?;
            if spec.start == Position::Committed {
                let text = "a solo reader has nothing committed to begin at";
                return Err(Error::new(ErrorKind::Config, text).help("give `start` another position"));
            }
        }
        Ok(())
    }

    /// Named topics that do not exist: made where that is allowed, else all of them named.
    fn check_topics(&self, matcher: &Matcher) -> Result<()> {
        let mut state = self.broker.lock();
        let absent = |name: &&Arc<str>| !state.topics.contains_key(*name);
        let missing: Vec<Arc<str>> = matcher.names().iter().filter(absent).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        if !self.broker.config.create_on_publish {
            let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
            let text = format!("no such topic: {}", names.join(", "));
            return Err(Error::new(ErrorKind::Missing, text).help("create what is missing with `ensure`"));
        }
        missing.into_iter().for_each(|name| state.create(&self.broker.config, name, None));
        state.rebalance_all();
        Ok(())
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        self.broker.config.capabilities()
    }

    fn status(&self) -> Status {
        let down = self.broker.gate.borrow().down;
        down.map_or(Status::Up, |since| Status::Down { since, reason: away().to_string() })
    }

    async fn ensure(&self, topology: &Topology) -> Result<()> {
        if self.broker.is_down() {
            return Err(away());
        }
        topology::ensure(&self.broker, topology)
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(MemoryPublisher::new(self.broker.clone())))
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        self.check(&spec)?;
        let matcher = Matcher::new(&spec.topics)?;
        matcher.names().iter().try_for_each(|name| topology::check_name(self.broker.config.shape, name))?;
        self.check_topics(&matcher)?;
        let group = match &spec.member {
            Member::Group(group) => Some(group.clone()),
            Member::Solo => None,
        };
        let joined = self.broker.join(group, spec, matcher);
        Ok(Box::new(MemorySource::new(self.broker.clone(), joined)))
    }

    async fn transaction(&self, _id: &str) -> Result<Box<dyn Transaction>> {
        Err(self.capabilities().require(NAME, Capability::Transactions).err().unwrap_or_else(away))
    }
}
