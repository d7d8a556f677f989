//! The transport itself: refuses what it cannot do, by name, and hands out publishers and sources.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gulo_bus_core::transport::{
    Capabilities, Capability, Member, Position, Publisher, Source, Status, SubscribeSpec, Topology, Transaction,
    Transport,
};
use gulo_bus_core::{Error, ErrorKind, Result};

use crate::NAME;
use crate::config::AmqpConfig;
use crate::connection::Link;
use crate::names;
use crate::publisher::AmqpPublisher;
use crate::source::AmqpSource;
use crate::topology::{self, Declaring};

/// RabbitMQ, reached by AMQP 0-9-1. Clones share its two connections, one to publish and one to consume.
#[derive(Clone)]
pub struct AmqpTransport {
    config: Arc<AmqpConfig>,
    publishing: Arc<Link>,
    consuming: Arc<Link>,
}

impl AmqpTransport {
    /// A transport with these settings. Connects to nothing yet.
    pub fn new(config: AmqpConfig) -> Self {
        let config = Arc::new(config);
        let publishing = Link::new(config.clone(), "publishing");
        let consuming = Link::new(config.clone(), "consuming");
        Self { config, publishing, consuming }
    }

    fn check(&self, spec: &SubscribeSpec) -> Result<Arc<str>> {
        self.config.check()?;
        let can = self.capabilities();
        let refuse = |text: &str, help: &str| Err(Error::new(ErrorKind::Config, text).help(help));
        if spec.window == 0 {
            return refuse("a window of 0 deliveries would let nothing through", "give it at least 1");
        }
        if matches!(spec.start, Position::At(_) | Position::Offset(_)) {
            can.require(NAME, Capability::History)?;
        }
        let Member::Group(group) = &spec.member else {
            can.require(NAME, Capability::Solo)?;
            return refuse("a reader without a group has no queue", "give it a group");
        };
        let topics = topology::named(&spec.topics, &self.config)?;
        if topics.is_empty() {
            return refuse("a subscription names no topic", "name one");
        }
        names::check_topics(topics)?;
        names::check_group(group, topics)?;
        Ok(group.clone())
    }

    /// The topics, once each; all that are missing are named. The group's queues are made where that is allowed.
    async fn topics(&self, spec: &SubscribeSpec, group: &str) -> Result<Vec<Arc<str>>> {
        let mut topics: Vec<Arc<str>> = Vec::new();
        for topic in topology::named(&spec.topics, &self.config)? {
            if !topics.contains(topic) {
                topics.push(topic.clone());
            }
        }
        let (mut declaring, mut missing) = (Declaring::new(&self.consuming, &self.config), Vec::new());
        for topic in &topics {
            if !declaring.exchange(topic).await? {
                missing.push(topic.clone());
            }
        }
        if !missing.is_empty() {
            return Err(topology::no_such_topics(&missing));
        }
        for topic in &topics {
            declaring.open_queue(topic, group).await?;
        }
        Ok(topics)
    }
}

/// What RabbitMQ can do with these settings.
pub(crate) fn capabilities(config: &AmqpConfig) -> Capabilities {
    let mut can = Capabilities::NONE;
    can.key_order = config.single_active_consumer;
    can.shared_lanes = !config.single_active_consumer;
    can.pause = true;
    can.tombstones = true;
    can.null_headers = true;
    can.requeue = true;
    // Without an exchange that takes it, what is rejected is deleted.
    can.reject = config.dead_letter_exchange.is_some();
    can.settles_singly = true;
    can.deliver_at = true;
    can.expires = true;
    can.create_topics = config.declares;
    can.max_message_bytes = Some(config.max_message_bytes);
    can
}

impl fmt::Debug for AmqpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpTransport").field("config", &self.config).field("status", &self.status()).finish()
    }
}

#[async_trait]
impl Transport for AmqpTransport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        capabilities(&self.config)
    }

    fn status(&self) -> Status {
        let (publishing, consuming) = (self.publishing.status(), self.consuming.status());
        let is_down = |status: &Status| matches!(status, Status::Down { .. });
        // Where one has been connected since the other was lost, the broker is there, and the other soon will be: what it
        // serves says how it stands.
        let is_outdated = |lost: &Link, other: &Link, how: &Status| !is_down(how) && other.since() > lost.since();
        match (publishing, consuming) {
            (lost, how) if is_down(&lost) && is_outdated(&self.publishing, &self.consuming, &how) => how,
            (how, lost) if is_down(&lost) && is_outdated(&self.consuming, &self.publishing, &how) => how,
            (Status::Up, how) | (how, _) => how,
        }
    }

    async fn ensure(&self, topology: &Topology) -> Result<()> {
        self.config.check()?;
        topology::ensure(&self.consuming, &self.config, topology).await
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        self.config.check()?;
        Ok(Arc::new(AmqpPublisher::start(&self.publishing, &self.config).await?))
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        let group = self.check(&spec)?;
        let topics = self.topics(&spec, &group).await?;
        let source = AmqpSource::open(&self.consuming, &self.config, &group, topics, &spec).await?;
        Ok(Box::new(source))
    }

    async fn transaction(&self, _id: &str) -> Result<Box<dyn Transaction>> {
        let refused = self.capabilities().require(NAME, Capability::Transactions).err();
        Err(refused.unwrap_or_else(|| Error::new(ErrorKind::Unsupported, "no transactions")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RabbitMQ blocks a connection that publishes: acknowledgements on it would wait for the room that they make.
    #[tokio::test]
    async fn each_direction_has_a_connection_of_its_own() {
        let transport = AmqpTransport::new(AmqpConfig::new("amqp://localhost"));
        assert!(!Arc::ptr_eq(&transport.publishing, &transport.consuming));
    }
}
