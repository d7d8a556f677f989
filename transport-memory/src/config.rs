//! How a broker in memory is to behave.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::transport::Capabilities;

/// Which kind of broker the memory plays. What each can do is in its
/// [capabilities](gulo_bus_core::transport::Capabilities).
///
/// ```
/// use gulo_bus_core::transport::{Capability, Transport};
/// use gulo_transport_memory::{MemoryConfig, MemoryTransport, Shape};
///
/// let (log, queues) = (MemoryTransport::new(), MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue)));
/// assert!(log.capabilities().has(Capability::History) && !queues.capabilities().has(Capability::History));
/// assert!(queues.capabilities().has(Capability::Requeue));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Shape {
    /// Topics are partitioned logs that keep what was published; a group shares the partitions among its members and
    /// remembers one position for each. As Kafka.
    #[default]
    Log,
    /// Every group has a queue for each of its topics; its members compete for the messages and settle each by
    /// itself. What is settled is gone, and what was published before a group was bound passed it by. As RabbitMQ.
    Queue,
}

/// Settings of a [`MemoryTransport`](crate::MemoryTransport).
///
/// ```
/// use gulo_transport_memory::{MemoryConfig, MemoryTransport, Shape};
/// # use std::time::Duration;
///
/// let log = MemoryConfig::new().partitions(12).retain(10_000).publish_timeout(Duration::from_secs(5));
/// let embedded = MemoryTransport::with(log);
///
/// let queues = MemoryConfig::new().shape(Shape::Queue).max_message_bytes(64 * 1024).create_on_publish(true);
/// let double = MemoryTransport::with(queues.keep_unrouted(true).dead_letter("rejected"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryConfig {
    pub(crate) shape: Shape,
    pub(crate) partitions: u32,
    pub(crate) max_message_bytes: Option<usize>,
    pub(crate) create_on_publish: bool,
    pub(crate) publish_timeout: Duration,
    pub(crate) retain: Option<usize>,
    pub(crate) keep_unrouted: bool,
    pub(crate) dead_letter: Option<Arc<str>>,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            shape: Shape::Log,
            partitions: 4,
            max_message_bytes: None,
            create_on_publish: false,
            publish_timeout: Duration::from_secs(30),
            retain: None,
            keep_unrouted: false,
            dead_letter: None,
        }
    }
}

impl MemoryConfig {
    /// A log with 4 partitions a topic, messages of any size, topics made by `ensure` alone, 30 s to publish.
    pub fn new() -> Self {
        Self::default()
    }

    /// A log or queues.
    #[must_use]
    pub fn shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// Partitions of a topic that does not say how many it wants; log shape. 0 is taken as 1.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions.max(1);
        self
    }

    /// The largest message in bytes (key, payload and headers) that a publish takes. Unless said, any.
    #[must_use]
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = Some(limit);
        self
    }

    /// Whether publishing or subscribing to a topic that does not exist makes it. Unless said, publishing to one is
    /// refused and subscribing to one is an error, both naming the topic: a misspelt name shall not go unnoticed.
    #[must_use]
    pub fn create_on_publish(mut self, create: bool) -> Self {
        self.create_on_publish = create;
        self
    }

    /// How long a publish waits for a broker that is away or holds it, before it fails. 30 s unless said.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// Keeps at most this many messages a partition (at least 1) and forgets the oldest, read or not; log shape. A
    /// reader that is overtaken gets a [`Gap`](gulo_bus_core::transport::LaneEvent::Gap). Unless said, everything is
    /// kept as long as the transport lives: a program that runs for long should set it.
    #[must_use]
    pub fn retain(mut self, messages: usize) -> Self {
        self.retain = Some(messages.max(1));
        self
    }

    /// Queue shape: whether a message for a topic that no group is bound to waits for the first one, instead of being
    /// refused. For dead-letter topics, which often have no reader yet.
    #[must_use]
    pub fn keep_unrouted(mut self, keep: bool) -> Self {
        self.keep_unrouted = keep;
        self
    }

    /// Queue shape: the topic to which [`Verdict::Reject`](gulo_bus_core::settle::Verdict::Reject) moves a message;
    /// it is made where it does not exist, and what stands there waits for its first group. Without it there is no
    /// `reject`.
    #[must_use]
    pub fn dead_letter(mut self, topic: impl Into<Arc<str>>) -> Self {
        self.dead_letter = Some(topic.into());
        self
    }

    /// What a transport of this kind can do.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::NONE;
        can.max_message_bytes = self.max_message_bytes;
        can.key_order = true;
        can.pause = true;
        can.tombstones = true;
        can.null_headers = true;
        can.duplicate_headers = true;
        can.create_topics = true;
        can.settles_singly = true;
        match self.shape {
            Shape::Log => {
                can.solo = true;
                can.history = true;
                can.patterns = true;
                can.partitions = true;
                can.seek = true;
            }
            Shape::Queue => {
                can.shared_lanes = true;
                can.requeue = true;
                can.reject = self.dead_letter.is_some();
                can.deliver_at = true;
                can.expires = true;
            }
        }
        can
    }

    /// Whether messages for `topic` wait where no group is bound to it.
    pub(crate) fn keeps(&self, topic: &str) -> bool {
        self.keep_unrouted || self.dead_letter.as_deref() == Some(topic)
    }
}
