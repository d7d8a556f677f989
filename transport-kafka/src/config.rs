//! Settings, and what becomes of them in librdkafka's own words.

mod clients;
mod redact;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::{Error, ErrorKind, Result};

pub(crate) use clients::REQUEST_TIMEOUT;
pub(crate) use redact::{Secrets, is_harmless};

/// The environment variable that names the brokers.
const SERVERS: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// Settings of a [`KafkaTransport`](crate::KafkaTransport). What is wrong with them is said at the first use.
///
/// `Debug` shows the values of no property but a few that are known to be harmless: passwords, keys and tokens never get
/// into logs or errors.
#[derive(Clone)]
pub struct KafkaConfig {
    pub(crate) servers: String,
    pub(crate) properties: Vec<(String, String)>,
    pub(crate) client_id: Option<String>,
    pub(crate) publish_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) session_timeout: Option<Duration>,
    pub(crate) linger: Duration,
    pub(crate) max_message_bytes: usize,
}

impl KafkaConfig {
    /// The brokers to begin with, as `host:port`, several separated by commas.
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            properties: Vec::new(),
            client_id: None,
            publish_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            session_timeout: None,
            linger: Duration::ZERO,
            max_message_bytes: 1_000_000,
        }
    }

    /// The brokers named by `KAFKA_BOOTSTRAP_SERVERS`, else `localhost:9092`.
    pub fn from_env() -> Result<Self> {
        match std::env::var(SERVERS) {
            Ok(servers) if servers.trim().is_empty() => {
                Err(Error::new(ErrorKind::Config, format!("{SERVERS} is empty"))
                    .help("name a broker as host:port, or unset it for localhost:9092"))
            }
            Ok(servers) => Ok(Self::new(servers)),
            Err(std::env::VarError::NotPresent) => Ok(Self::new("localhost:9092")),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Error::new(ErrorKind::Config, format!("{SERVERS} is not text")))
            }
        }
    }

    /// A property of librdkafka by its own name, for all clients; one given again replaces the earlier. It wins over
    /// the defaults of this crate. Those that would break a promise (`enable.auto.commit=true`, `acks=1`, ..) and those
    /// that belong to the subscription (`group.id`, ..) are refused at the first use.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.properties.retain(|(have, _)| *have != name);
        self.properties.push((name, value.into()));
        self
    }

    /// The name under which the broker logs and meters this application.
    #[must_use]
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// How long a publish may take, waiting for a broker and for room in the local queue included. 30 s unless said.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// How long `ensure` and `subscribe` wait for a broker. 10 s unless said.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// After how long without a sign of life a member is taken for dead and its lanes go to others. librdkafka's
    /// 45 s unless said.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = Some(timeout);
        self
    }

    /// How long a message may wait for others to share a request with. None unless said: a publish that is awaited
    /// alone should not wait.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// The largest message (key, payload and headers) that a publish takes; larger ones are refused before the wire.
    /// 1,000,000 unless said, which every broker and topic with Kafka's defaults takes.
    #[must_use]
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = limit;
        self
    }

    /// What must not be seen in any text.
    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::of(&self.properties)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.properties.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A member that does not poll for so long is thrown out of its group, and a rebalance waits for it as long.
    pub(crate) fn max_poll_interval(&self) -> Duration {
        let set = self.get("max.poll.interval.ms");
        let millis = set.and_then(|value| value.trim().parse().ok());
        Duration::from_millis(millis.unwrap_or(300_000))
    }

    pub(crate) fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            // Refused when it is used; until then it may hold a password.
            .field("servers", if self.servers.contains('@') { &"***" } else { &self.servers })
            .field("client_id", &self.client_id)
            .field("publish_timeout", &self.publish_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("session_timeout", &self.session_timeout)
            .field("linger", &self.linger)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("properties", &redact::Shown(&self.properties))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let config = KafkaConfig::new("b:9092")
            .property("sasl.password", "hunter2-hunter2")
            .property("ssl.key.pem", "-----BEGIN")
            .property("my.plugin.token", "abcdef")
            .property("security.protocol", "sasl_ssl");
        let text = format!("{config:?} {config:#?}");
        for secret in ["hunter2", "BEGIN", "abcdef"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("sasl.password") && text.contains("sasl_ssl"));
    }

    #[test]
    fn an_address_with_a_password_is_refused_and_shown_nowhere() {
        let config = KafkaConfig::new("me:hunter2@broker:9092");
        let error = config.check().expect_err("refused");
        assert!(!format!("{config:?} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_password_of_digits_is_blotted_out_too() {
        let secrets = KafkaConfig::new("b").property("sasl.password", "123").secrets();
        assert!(!secrets.scrub("login with 123 failed").contains("123"));
    }

    #[test]
    fn a_property_given_again_replaces_the_earlier() {
        let config = KafkaConfig::new("b").property("a", "1").property("a", "2");
        assert_eq!(config.get("a"), Some("2"));
        assert_eq!(config.properties.len(), 1);
    }

    #[test]
    fn the_poll_interval_is_read_from_the_property() {
        let config = KafkaConfig::new("b");
        assert_eq!(config.max_poll_interval(), Duration::from_secs(300));
        let config = config.property("max.poll.interval.ms", "20000");
        assert_eq!(config.max_poll_interval(), Duration::from_secs(20));
    }
}
