//! Where the broker is and how it is to be used: in code, out of the environment, or out of a file.

mod builder;
mod check;
mod env;
mod file;
mod keys;
mod tls;
mod url;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::{Error, ErrorKind, Result, ServiceConfig};
use lapin::uri::{AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};

use keys::KEYS;
use tls::Tls;

pub(crate) use keys::called;
pub use values::{ExchangeType, QueueArgument, QueueType};

/// As long as a time may be, 24 days: no clock counts to the end of time.
const LONGEST_MS: u64 = i32::MAX as u64;

/// Settings of an [`AmqpTransport`](crate::AmqpTransport): in code, out of the environment, or out of a file.
///
/// What is said later wins. So what code says after [`from_env`](Self::from_env) wins over the environment, and
/// [`with_env`](Self::with_env) over a file that was read before it. Nothing is read from the environment unless one of
/// these two is called.
///
/// Wrong values are told when it is first used, at `start()`, all of them in one error, each by its variable and its method.
///
/// `Debug` shows no password and no key: they never get into logs or errors, those of lapin included.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_transport_amqp::{AmqpConfig, ExchangeType, QueueType};
/// # fn example() -> gulo_bus_core::Result<()> {
/// let by_hand = AmqpConfig::new("amqps://orders:secret@rabbit:5671/shop") // with TLS, in the vhost `shop`
///     .ssl_ca("/etc/rabbitmq/ca.pem")                                     // instead of the system's CAs
///     .connection_name("orders")
///     .connect_timeout(Duration::from_secs(5))
///     .heartbeat(Duration::from_secs(10))                                 // whole seconds
///     .publish_timeout(Duration::from_secs(20))
///     .publish_window(2000)
///     .max_message_bytes(1 << 20)
///     .queue_type(QueueType::Quorum)
///     .queue_argument("x-quorum-initial-group-size", 5)                   // anything that RabbitMQ knows
///     .exchange_type(ExchangeType::Topic);
/// let by_certificate = AmqpConfig::new("amqps://rabbit")
///     .ssl_certificate("orders.crt", "orders.key")
///     .external();                                                        // no password at all
/// let from_env = AmqpConfig::from_env()?;                                 // AMQP_URL and the rest
/// let both = by_hand.with_env()?;                                         // the environment counts where both say something
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AmqpConfig {
    pub(crate) uri: Result<AMQPUri, String>,
    mechanism: SASLMechanism,
    tls: Tls,
    pub(crate) connection_name: Arc<str>,
    pub(crate) exchange_type: ExchangeType,
    pub(crate) queue_type: QueueType,
    pub(crate) queue_arguments: BTreeMap<Arc<str>, QueueArgument>,
    pub(crate) single_active_consumer: bool,
    pub(crate) declares: bool,
    pub(crate) persistent: bool,
    pub(crate) dead_letter_exchange: Option<Arc<str>>,
    pub(crate) heartbeat: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) publish_timeout: Duration,
    pub(crate) publish_window: usize,
    pub(crate) max_message_bytes: usize,
    service: ServiceConfig,
    /// What was wrong with what the environment or a file said.
    problems: Vec<String>,
}

impl AmqpConfig {
    /// The broker at `url`: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. Without a user it is `guest`, whom
    /// brokers let in from their own machine only; without a port 5672, or 5671; without a vhost `/`, which is written
    /// `%2f`.
    pub fn new(url: &str) -> Self {
        Self::unnamed().url(url)
    }

    /// Without a broker, which is an error when it is used.
    fn unnamed() -> Self {
        let mut service = ServiceConfig::default();
        service.variables = Some(keys::PREFIX);
        Self {
            uri: Err(format!("is not set: it is {}", url::SHAPE)),
            mechanism: SASLMechanism::Plain,
            tls: Tls::default(),
            connection_name: "gulo".into(),
            exchange_type: ExchangeType::default(),
            queue_type: QueueType::default(),
            queue_arguments: BTreeMap::new(),
            single_active_consumer: true,
            declares: true,
            persistent: true,
            dead_letter_exchange: None,
            heartbeat: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            publish_window: 1000,
            max_message_bytes: 16 << 20,
            service,
            problems: Vec::new(),
        }
    }

    /// What the environment says: `AMQP_URL`, which must be there, and the variables that [the guide] lists.
    ///
    /// [the guide]: https://github.com/gulo-rs/gulo/blob/main/docs/amqp.md
    ///
    /// Variables of that prefix that Kubernetes makes (`AMQP_SERVICE_HOST`, ..) are ignored.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config), naming all variables that cannot be right.
    pub fn from_env() -> Result<Self> {
        Self::unnamed().with_env()
    }

    /// The same over what has been said so far: where the environment says something, it wins.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn with_env(self) -> Result<Self> {
        self.with_variables(std::env::vars_os())
    }

    /// The same with variables that are given: names with `AMQP_`, and values.
    ///
    /// ```
    /// # use gulo_transport_amqp::AmqpConfig;
    /// let variables = [("AMQP_HEARTBEAT_SECONDS", "10"), ("AMQP_SERVICE_NAME", "user-service")];
    /// let config = AmqpConfig::new("amqp://localhost").with_variables(variables)?;
    /// assert_eq!(config.service().name.as_deref(), Some("user-service"));
    /// # Ok::<(), gulo_bus_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn with_variables<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Result<Self>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        env::read(&mut self, variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        let mut problems = self.problems.clone();
        problems.extend(self.wrong_url());
        check::problems(&problems)?;
        Ok(self)
    }

    /// What the configuration says of the service's bus, for [`Bus::configured`](gulo_bus_core::bus::Bus::configured)
    /// and [`Subscription::configured`](gulo_bus_core::bus::Subscription::configured).
    pub fn service(&self) -> &ServiceConfig {
        &self.service
    }

    fn set_url(&mut self, text: &str) {
        self.uri = url::parse(text);
        let Ok(uri) = &self.uri else { return };
        if let Some(seconds) = uri.query.heartbeat {
            self.heartbeat = Duration::from_secs(seconds.into());
        }
        if let Some(millis) = uri.query.connection_timeout {
            self.connect_timeout = Duration::from_millis(millis);
        }
        if let Some(mechanism) = uri.query.auth_mechanism {
            self.mechanism = mechanism;
        }
    }

    fn set_queue_arguments(&mut self, text: &str) {
        for (name, value) in text.split(',').filter_map(|pair| pair.split_once('=')) {
            self.queue_arguments.insert(name.trim().into(), QueueArgument::read(value.trim()));
        }
    }

    fn shown_queue_arguments(&self) -> String {
        self.queue_arguments.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
    }

    /// Without what one logs in with.
    fn shown_url(&self) -> String {
        match &self.uri {
            Ok(uri) => format!("{}://{}/{}", uri.scheme, self.address(), uri.vhost.replace('/', "%2f")),
            Err(_) => String::new(),
        }
    }

    /// What lapin is told.
    pub(crate) fn uri(&self) -> Result<AMQPUri> {
        let mut uri =
            self.uri.clone().map_err(|_| Error::new(ErrorKind::Config, self.wrong_url().unwrap_or_default()))?;
        uri.query.heartbeat = u16::try_from(self.heartbeat.as_secs()).ok();
        uri.query.auth_mechanism = Some(self.mechanism);
        Ok(uri)
    }

    /// Host and port, without what one logs in with.
    pub(crate) fn address(&self) -> String {
        match &self.uri {
            Ok(uri) if uri.authority.host.contains(':') => format!("[{}]:{}", uri.authority.host, uri.authority.port),
            Ok(uri) => format!("{}:{}", uri.authority.host, uri.authority.port),
            Err(_) => "an address that cannot be used".into(),
        }
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.uri.as_ref().is_ok_and(|uri| uri.scheme == AMQPScheme::AMQPS)
    }

    /// Whether it logs in as the user that nobody has named.
    pub(crate) fn is_guest(&self) -> bool {
        self.uri.as_ref().is_ok_and(|uri| uri.authority.userinfo == AMQPUserInfo::default())
    }

    /// How it logs in.
    pub(crate) fn mechanism(&self) -> &'static str {
        self.mechanism.name()
    }

    pub(crate) fn is_external(&self) -> bool {
        self.mechanism == SASLMechanism::External
    }
}

impl fmt::Debug for AmqpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("AmqpConfig");
        for key in KEYS {
            let value = (key.shown)(self);
            if !value.is_empty() {
                shown.field(&key.file_name(), &value);
            }
        }
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
