//! Settings, and what becomes of them in librdkafka's own words.

mod builder;
mod check;
mod clients;
mod env;
mod file;
mod java;
mod keys;
mod known;
mod redact;
mod said;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::{Result, ServiceConfig};

use said::{By, Said, Sayings};

use crate::certificate::Trust;
use crate::token::Tokens;

pub(crate) use clients::REQUEST_TIMEOUT;
pub(crate) use redact::{Secrets, is_harmless};
pub(crate) use said::For;
pub use values::{Compression, GroupProtocol, SaslMechanism, SecurityProtocol};

/// Settings of a [`KafkaTransport`](crate::KafkaTransport): in code, out of the environment, or out of a file.
///
/// What is said later wins. So what code says after [`from_env`](Self::from_env) wins over the environment, and
/// [`with_env`](Self::with_env) over a file that was read before it. What is said for producers or consumers wins over
/// what is said for all clients. Nothing is read from the environment unless one of these two is called.
///
/// Wrong names and values are told when it is first used, at `start()`, all of them in one error, with the nearest
/// right name or the values that would be right.
///
/// `Debug` shows the values of no property but a few that are known to be harmless: passwords, keys and tokens never
/// get into logs or errors.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_transport_kafka::{Compression, KafkaConfig, SaslMechanism, SecurityProtocol};
/// # fn example(password: String) -> gulo_bus_core::Result<()> {
/// let by_hand = KafkaConfig::new("kafka-1:9093,kafka-2:9093")
///     .security_protocol(SecurityProtocol::SaslSsl)
///     .sasl(SaslMechanism::ScramSha512, "user-service", password)
///     .ssl_ca("/etc/kafka/ca.pem")
///     .client_id("user-service")
///     .compression(Compression::Zstd)
///     .linger(Duration::from_millis(5))
///     .publish_timeout(Duration::from_secs(20))
///     .session_timeout(Duration::from_secs(20))
///     .property("client.rack", "eu-1a");                          // anything that librdkafka knows
/// let from_env = KafkaConfig::from_env()?;                        // KAFKA_BOOTSTRAP_SERVERS and the rest
/// let both = by_hand.with_env()?;                                 // the environment counts where both say something
/// # Ok(()) }
/// ```
///
/// What clients get of it can be looked at:
///
/// ```
/// # use std::time::Duration;
/// # use gulo_transport_kafka::{GroupProtocol, KafkaConfig};
/// let config = KafkaConfig::new("localhost:9092")
///     .connect_timeout(Duration::from_secs(5))
///     .group_protocol(GroupProtocol::Classic)
///     .group_instance_id("orders-0")
///     .heartbeat_interval(Duration::from_secs(5))
///     .max_poll_records(1000)
///     .max_message_bytes(500_000)
///     .batch_size(65_536)
///     .consumer_property("fetch.wait.max.ms", "100")
///     .producer_property("queue.buffering.max.messages", "50000");
/// let (consumers, producers) = (config.consumer_properties(), config.producer_properties());
/// assert_eq!(consumers.get("fetch.wait.max.ms").map(String::as_str), Some("100"));
/// assert_eq!(producers.get("batch.size").map(String::as_str), Some("65536"));
/// assert_eq!(producers.get("acks").map(String::as_str), Some("all"));
/// ```
#[derive(Clone)]
pub struct KafkaConfig {
    pub(crate) servers: String,
    properties: Sayings,
    pub(crate) publish_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// librdkafka's limit, which counts the framing of a message.
    max_request_size: usize,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_poll_records: usize,
    service: ServiceConfig,
    pub(crate) tokens: Option<Tokens>,
    /// Where that was said which is kept in a field of its own and becomes a property, by its name.
    origins: BTreeMap<&'static str, By>,
    /// What was wrong with what was said, to be told at the first use.
    problems: Vec<String>,
}

/// The least that a limit of messages may be in librdkafka.
const NO_LIMIT_BELOW: usize = 1000;

/// What librdkafka counts on top of key, payload and headers: up to 36 bytes a record and 10 a header. With so much for
/// them a message of the default limit fits into what a default broker takes; and what does not fit is refused here,
/// not there.
const FRAMING: usize = 48_576;

impl Default for KafkaConfig {
    /// A broker at `localhost:9092`.
    fn default() -> Self {
        let mut config = Self {
            servers: "localhost:9092".into(),
            properties: Sayings::default(),
            publish_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            max_request_size: 0,
            max_message_bytes: 0,
            max_poll_records: 500,
            service: service(),
            tokens: None,
            origins: BTreeMap::new(),
            problems: Vec::new(),
        };
        config.set_max_request_size(1 << 20);
        config
    }
}

fn service() -> ServiceConfig {
    let mut service = ServiceConfig::default();
    service.variables = Some(keys::PREFIX);
    service
}

impl KafkaConfig {
    /// The brokers to begin with, as `host:port`, several separated by commas.
    pub fn new(servers: impl Into<String>) -> Self {
        let origins = BTreeMap::from([("bootstrap.servers", By::Method("new"))]);
        Self { servers: servers.into(), origins, ..Self::default() }
    }

    /// What the environment says: the variables listed in [the guide], and any [property of librdkafka] as `KAFKA_` and
    /// its name in upper case with `_` for `.`; as `KAFKA_PRODUCER_` or `KAFKA_CONSUMER_` for one kind of client.
    ///
    /// [the guide]: https://github.com/gulo-rs/gulo/blob/main/docs/kafka.md
    /// [property of librdkafka]: https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md
    ///
    /// Variables of that prefix that belong to broker images or that Kubernetes makes (`KAFKA_SERVICE_HOST`, ..) are
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`Config`](gulo_bus_core::ErrorKind::Config), naming all variables that cannot be right.
    pub fn from_env() -> Result<Self> {
        Self::default().with_env()
    }

    /// The same over what has been said so far: where the environment says something, it wins.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn with_env(self) -> Result<Self> {
        self.with_variables(std::env::vars_os())
    }

    /// The same with variables that are given: names with `KAFKA_`, and values.
    ///
    /// ```
    /// # use gulo_transport_kafka::KafkaConfig;
    /// let variables = [("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092"), ("KAFKA_SERVICE_NAME", "user-service")];
    /// let config = KafkaConfig::default().with_variables(variables)?;
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
        check::problems(&self.problems)?;
        Ok(self)
    }

    /// A [property of librdkafka] by its own name, for all clients that have it. It wins over the defaults of this
    /// crate. Those that would break a promise (`enable.auto.commit=true`, `acks=1`, ..) and those that belong to the
    /// subscription (`group.id`, ..) are refused at the first use.
    ///
    /// [property of librdkafka]: https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md
    #[must_use]
    pub fn property(self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.saying(For::All, name.as_ref(), value)
    }

    /// The same for producers only.
    #[must_use]
    pub fn producer_property(self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.saying(For::Producers, name.as_ref(), value)
    }

    /// The same for consumers only.
    #[must_use]
    pub fn consumer_property(self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.saying(For::Consumers, name.as_ref(), value)
    }

    /// What the configuration says of the service's bus, for [`Bus::configured`](gulo_bus_core::bus::Bus::configured)
    /// and [`Subscription::configured`](gulo_bus_core::bus::Subscription::configured).
    pub fn service(&self) -> &ServiceConfig {
        &self.service
    }

    /// The properties that producers get, defaults included. Values that may be secret are `***`.
    pub fn producer_properties(&self) -> BTreeMap<String, String> {
        redact::shown(&self.producer())
    }

    /// The properties that consumers get, defaults included, but for their `group.id`, which the subscription names.
    /// Values that may be secret are `***`.
    pub fn consumer_properties(&self) -> BTreeMap<String, String> {
        redact::shown(&self.consumer(""))
    }

    fn saying(self, audience: For, name: &str, value: impl Into<String>) -> Self {
        self.saying_by(By::Code, audience, name, value)
    }

    fn saying_by(mut self, by: By, audience: For, name: &str, value: impl Into<String>) -> Self {
        self.say(Said::new(audience, name, value, by));
        self
    }

    /// Keeps a property. One that a setting of ours stands for is that setting.
    fn say(&mut self, said: Said) {
        let stands_for = |key: &&keys::Key| key.property.is_some_and(|(_, property)| property == said.name);
        match keys::KEYS.iter().filter(|key| key.apply.is_some() && key.name != "BOOTSTRAP_SERVERS").find(stands_for) {
            None => self.properties.say(said),
            Some(key) => {
                if let Err(wrong) = key.set(self, &said.value, said.by.clone()) {
                    self.problems.push(format!("{} {wrong}", said.called()));
                }
            }
        }
    }

    /// Sets both limits. What is left for a message gets smaller with small limits, so that something is left.
    fn set_max_request_size(&mut self, bytes: usize) {
        self.max_request_size = bytes;
        self.max_message_bytes = bytes - FRAMING.min(bytes / 20);
    }

    /// What must not be seen in any text.
    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::of(self.properties.iter().map(|said| (said.name.as_str(), said.value.as_str())))
    }

    fn said(&self, audience: For, name: &str) -> Option<&str> {
        self.properties.of(audience, name).map(|said| said.value.as_str())
    }

    /// How clients talk to brokers, in upper case.
    pub(crate) fn protocol(&self) -> String {
        self.said(For::All, "security.protocol").unwrap_or("PLAINTEXT").trim().to_ascii_uppercase()
    }

    /// Whose certificates are good.
    pub(crate) fn trust(&self) -> Trust {
        let said = |name| self.said(For::All, name).map(str::trim).filter(|said| !said.is_empty()).map(str::to_owned);
        Trust {
            location: said("ssl.ca.location").filter(|location| location != "probe"),
            pem: said("ssl.ca.pem"),
            any_host: said("ssl.endpoint.identification.algorithm").is_some_and(|said| said == "none"),
        }
    }

    /// What a time is for these clients, where it is said.
    fn time(&self, audience: For, name: &str) -> Option<Duration> {
        let millis = self.said(audience, name)?.trim().parse().ok()?;
        Some(Duration::from_millis(millis))
    }

    /// A member that does not poll for so long is thrown out of its group, and a rebalance waits for it as long.
    pub(crate) fn max_poll_interval(&self) -> Duration {
        self.time(For::Consumers, "max.poll.interval.ms").unwrap_or(Duration::from_secs(300))
    }

    pub(crate) fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

/// As a property has it, from `least` on.
fn millis(duration: Duration, least: u128) -> String {
    duration.as_millis().clamp(least, i32::MAX as u128).to_string()
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            // Refused when it is used; until then it may hold a password.
            .field("servers", if self.servers.contains('@') { &"***" } else { &self.servers })
            .field("publish_timeout", &self.publish_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("max_poll_records", &self.max_poll_records)
            .field("service", &self.service)
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
