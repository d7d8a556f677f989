//! The transport itself: refuses what Kafka cannot do, by name, and hands out publishers and sources.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::transport::{
    Capabilities, Member, Position, Publisher, Source, Status, SubscribeSpec, Topics, Topology, Transaction, Transport,
};
use gulo_bus_core::{Error, ErrorKind, Result};

use crate::NAME;
use crate::config::KafkaConfig;
use crate::context::Health;
use crate::driver::{self, Plan};
use crate::names;
use crate::publisher::KafkaPublisher;
use crate::source::{KafkaSource, nothing_committed};
use crate::topology::{self, Found, Inquiry};
use crate::transaction::{Clients, KafkaTransaction};

/// What Kafka can do, as far as it does not depend on the configuration.
pub(crate) const CAPABILITIES: Capabilities = {
    let mut can = Capabilities::NONE;
    can.solo = true;
    can.history = true;
    can.patterns = true;
    can.partitions = true;
    can.key_order = true;
    can.pause = true;
    can.settles_singly = true;
    can.seek = true;
    can.tombstones = true;
    can.null_headers = true;
    can.duplicate_headers = true;
    can.create_topics = true;
    can.transactions = true;
    can
};

/// What a hand-over needs besides the drain, within the time the group waits for a member.
const BESIDES_DRAIN: Duration = Duration::from_secs(10);

/// Apache Kafka. Making it connects to nothing; clones share what is known of the connections.
///
/// - A lane is one assignment of a partition. It stays paused through a seek, and says so.
/// - A group that starts somewhere else than at the oldest message is put there with its first assignment, and that is
///   committed: it starts there once, not again with each rebalance.
/// - Patterns are [POSIX extended regular expressions], the whole name must match. A solo reader of a pattern follows
///   topics that are made later, as a group of its own that commits nothing.
/// - A transaction has a producer of its own for each id, opened with the first one and kept. Beginning one takes
///   `connect_timeout` at most, each step of its end `publish_timeout`.
///
/// [POSIX extended regular expressions]: https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap09.html#tag_09_04
///
/// From topic to topic, exactly once:
///
/// ```no_run
/// # use std::collections::HashSet;
/// # use gulo_bus_core::message::Message;
/// # use gulo_bus_core::settle::Settlement;
/// # use gulo_bus_core::transport::{Control, Inbox, LaneEvent, SubscribeSpec, Transport};
/// # use gulo_transport_kafka::{KafkaConfig, KafkaTransport};
/// # async fn invoices() -> Result<(), Box<dyn std::error::Error>> {
/// let kafka = KafkaTransport::new(KafkaConfig::from_env()?);
/// let id = "invoices-1"; // of this very process, and the same after a restart
/// // First: what an earlier process of this id left open is taken back, so that nobody has to wait until it times out.
/// kafka.transaction(id).await?.abort().await?;
/// let mut orders = kafka.subscribe(SubscribeSpec::group("invoices", ["orders"])).await?;
/// let (mut inbox, mut gone) = (Inbox::default(), HashSet::new());
/// loop {
///     // Any error here: drop `orders` and begin anew. What is not committed comes again.
///     orders.recv(&mut inbox, 500).await?;
///     for event in inbox.events.drain(..) {
///         match event {
///             LaneEvent::Draining { lanes, .. } => {
///                 gone.extend(lanes.iter().copied());
///                 orders.control(Control::Release(lanes))?; // nothing is in work between two transactions
///             }
///             LaneEvent::Closed(lane) | LaneEvent::Lost(lane) => drop(gone.insert(lane)),
///             _ => {}
///         }
///     }
///     let piece: Vec<_> = inbox.deliveries.drain(..).filter(|order| !gone.contains(&order.token.lane)).collect();
///     if piece.is_empty() {
///         continue;
///     }
///     let mut transaction = kafka.transaction(id).await?;
///     let invoices = piece.iter().map(|order| Message { topic: "invoices".into(), ..order.message.clone() });
///     transaction.publish(invoices.collect()).await?;
///     let mut done = piece.iter().map(|order| Settlement::done(order.token)).collect();
///     transaction.settle(&mut *orders, &mut done).await?;
///     transaction.commit().await?;
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct KafkaTransport {
    config: Arc<KafkaConfig>,
    health: Arc<Health>,
    transactions: Arc<Clients>,
}

impl KafkaTransport {
    /// A transport with these settings. Warns of what is not secure.
    pub fn new(config: KafkaConfig) -> Self {
        config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let health = Arc::new(Health::new(config.trust()));
        Self { config: config.shared(), health, transactions: Arc::default() }
    }

    fn check(&self, spec: &SubscribeSpec) -> Result<()> {
        self.config.check()?;
        let refuse = |text: &str, help: String| Err(Error::new(ErrorKind::Config, text).help(help));
        if spec.window == 0 {
            return refuse("a window of 0 deliveries would let nothing through", "give it at least 1".into());
        }
        if spec.member == Member::Solo && spec.start == Position::Committed {
            return Err(nothing_committed());
        }
        if matches!(&spec.topics, Topics::Named(names) if names.is_empty()) {
            return refuse("a subscription names no topic", "name one".into());
        }
        let longest = self.config.max_poll_interval().saturating_sub(BESIDES_DRAIN);
        if spec.drain > longest {
            return refuse(
                &format!("lanes may not take {:?} to drain", spec.drain),
                format!("at most {longest:?}: the group waits no longer than max.poll.interval.ms"),
            );
        }
        Ok(())
    }

    /// The named topics with their partitions; all that is missing is named.
    async fn named_topics(&self, topics: &Topics) -> Result<Vec<(Arc<str>, i32)>> {
        if let Topics::Named(topics) = topics {
            names::check(topics.iter())?;
        }
        let inquiry = Inquiry::open(&self.config, &self.health).await?;
        let found: Found = inquiry.topics().await?;
        let Topics::Named(names) = topics else { return Ok(Vec::new()) };
        let absent: Vec<&str> = names.iter().map(|name| &**name).filter(|name| !found.contains_key(*name)).collect();
        if !absent.is_empty() {
            return Err(inquiry.why_absent(&absent).await);
        }
        inquiry.may_read(names.iter().map(|name| name.to_string()).collect()).await?;
        let mut named: Vec<(Arc<str>, i32)> = Vec::new();
        for name in names {
            if let Some(count) = found.get(&**name).filter(|_| named.iter().all(|(have, _)| have != name)) {
                named.push((name.clone(), *count));
            }
        }
        Ok(named)
    }
}

impl fmt::Debug for KafkaTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTransport").field("config", &self.config).field("status", &self.status()).finish()
    }
}

#[async_trait]
impl Transport for KafkaTransport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = CAPABILITIES;
        can.max_message_bytes = Some(self.config.max_message_bytes);
        can
    }

    fn status(&self) -> Status {
        self.health.status()
    }

    async fn ensure(&self, topology: &Topology) -> Result<()> {
        topology::ensure(&self.config, &self.health, topology).await
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        self.config.check()?;
        let publisher = KafkaPublisher::start(self.config.clone(), self.health.clone()).await?;
        Ok(Arc::new(publisher))
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        self.check(&spec)?;
        let topics = self.named_topics(&spec.topics).await?;
        let (window, solo) = (spec.window, spec.member == Member::Solo);
        let plan = Plan { config: self.config.clone(), health: self.health.clone(), spec, topics };
        let handle = driver::start(plan).await?;
        Ok(Box::new(KafkaSource::new(handle, window, solo)))
    }

    async fn transaction(&self, id: &str) -> Result<Box<dyn Transaction>> {
        let shown: String = id.chars().filter(|c| !c.is_control()).take(256).collect();
        let context = |error: Error| error.context(format_args!("transaction `{shown}`"));
        if id.is_empty() || id.contains('\0') {
            return Err(context(
                Error::new(ErrorKind::Config, "an id is text without a NUL, and not empty")
                    .help("take one that is this process's own, and the same after a restart"),
            ));
        }
        let opened = KafkaTransaction::open(&self.config, &self.health, &self.transactions, id).await;
        Ok(Box::new(opened.map_err(context)?))
    }
}
