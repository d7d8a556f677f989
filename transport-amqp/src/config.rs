//! Where the broker is and how it is to be used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;

/// What kind of exchange a topic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExchangeType {
    /// Every queue bound to it gets every message.
    #[default]
    Fanout,
    /// Queues get what matches the key they are bound with; groups of Gulo bind with `#`.
    Topic,
}

/// What kind of queue a group reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum QueueType {
    /// Replicated and safe against the loss of a node.
    #[default]
    Quorum,
    /// On one node.
    Classic,
}

/// Settings of an [`AmqpTransport`](crate::AmqpTransport).
#[derive(Clone)]
pub struct AmqpConfig {
    pub(crate) uri: Result<AMQPUri, String>,
    pub(crate) tls: OwnedTLSConfig,
    pub(crate) connection_name: Arc<str>,
    pub(crate) exchange_type: ExchangeType,
    pub(crate) queue_type: QueueType,
    pub(crate) single_active_consumer: bool,
    pub(crate) declares: bool,
    pub(crate) persistent: bool,
    pub(crate) dead_letter_exchange: Option<Arc<str>>,
    pub(crate) heartbeat: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) publish_timeout: Duration,
    pub(crate) publish_window: usize,
    pub(crate) max_message_bytes: usize,
}

impl AmqpConfig {
    /// The broker at `url`: `amqp://user:password@host:port/vhost`.
    pub fn new(url: &str) -> Self {
        Self {
            uri: url.parse::<AMQPUri>(),
            tls: OwnedTLSConfig::default(),
            connection_name: "gulo".into(),
            exchange_type: ExchangeType::default(),
            queue_type: QueueType::default(),
            single_active_consumer: true,
            declares: true,
            persistent: true,
            dead_letter_exchange: None,
            heartbeat: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            publish_window: 1000,
            max_message_bytes: 16 << 20,
        }
    }

    /// How long a publish may take.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// Quorum or classic queues.
    #[must_use]
    pub fn queue_type(mut self, queue_type: QueueType) -> Self {
        self.queue_type = queue_type;
        self
    }

    /// What topics are.
    #[must_use]
    pub fn exchange_type(mut self, exchange_type: ExchangeType) -> Self {
        self.exchange_type = exchange_type;
        self
    }

    /// Whether one member of a group at a time reads a queue, which keeps the order of keys across members.
    #[must_use]
    pub fn single_active_consumer(mut self, single: bool) -> Self {
        self.single_active_consumer = single;
        self
    }

    /// Whether exchanges, queues and bindings that are missing are made.
    #[must_use]
    pub fn declares(mut self, declares: bool) -> Self {
        self.declares = declares;
        self
    }

    /// The exchange that takes what is rejected.
    #[must_use]
    pub fn dead_letter_exchange(mut self, exchange: impl Into<Arc<str>>) -> Self {
        self.dead_letter_exchange = Some(exchange.into());
        self
    }

    /// How often each side says that it is there.
    #[must_use]
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = every;
        self
    }

    /// The largest message.
    #[must_use]
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = limit;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.uri().map(drop)
    }

    pub(crate) fn uri(&self) -> Result<AMQPUri> {
        let mut uri = self.uri.clone().map_err(|problem| {
            Error::new(ErrorKind::Config, format!("the address of the broker cannot be used: {problem}"))
                .help("it is `amqp://user:password@host:port/vhost`, the vhost `/` written as `%2f`")
        })?;
        uri.query.heartbeat.get_or_insert_with(|| u16::try_from(self.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1));
        Ok(uri)
    }

    /// Host and port, without what one logs in with.
    pub(crate) fn address(&self) -> String {
        match &self.uri {
            Ok(uri) => format!("{}:{}", uri.authority.host, uri.authority.port),
            Err(_) => "an address that cannot be used".into(),
        }
    }
}

impl fmt::Debug for AmqpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig").field("address", &self.address()).finish_non_exhaustive()
    }
}
