//! Where the brokers are, and how to speak to them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::ClientConfig;

/// Room above our own limit for what the client counts in addition (headers' lengths, record overhead). Together with
/// the default limit it stays below what a broker takes by default: 1,048,588 bytes a batch.
const RECORD_OVERHEAD: usize = 40_000;

/// Values of these show in Debug; every other one may be a secret.
const SHOWN: [&str; 6] = [
    "client.id",
    "compression.type",
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "group.protocol",
];

/// The connection to a Kafka cluster.
#[derive(Clone)]
pub struct KafkaConfig {
    bootstrap_servers: String,
    client_id: String,
    pub(crate) connect_timeout: Duration,
    publish_timeout: Duration,
    session_timeout: Duration,
    linger: Duration,
    pub(crate) max_message_bytes: usize,
    properties: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// A cluster by the addresses of some of its brokers: `host:port`, separated by commas.
    pub fn new(bootstrap_servers: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            client_id: "gulo".into(),
            connect_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            session_timeout: Duration::from_secs(45),
            linger: Duration::ZERO,
            max_message_bytes: 1_000_000,
            properties: BTreeMap::new(),
        }
    }

    /// The cluster of `KAFKA_BOOTSTRAP_SERVERS`, else `localhost:9092`.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) where the variable is empty or not UTF-8.
    pub fn from_env() -> Result<Self> {
        match std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
            Ok(servers) if servers.trim().is_empty() => Err(wrong_servers("is empty")),
            Ok(servers) => Ok(Self::new(servers)),
            Err(std::env::VarError::NotPresent) => Ok(Self::new("localhost:9092")),
            Err(std::env::VarError::NotUnicode(_)) => Err(wrong_servers("is not UTF-8")),
        }
    }

    /// The name of this client in the broker's logs and quotas; `gulo` unless said.
    #[must_use]
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = id.into();
        self
    }

    /// How long starting may take until the broker answers. 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a publish waits for its confirmation before it fails as *unknown* (Kafka's `delivery.timeout.ms`). 30 s.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// How long a member may be silent before the group gives its partitions to others (`session.timeout.ms`). 45 s;
    /// a killed process is noticed after this long.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// How long the client waits for more messages before it sends (`linger.ms`). 0: what is awaited goes at once, and
    /// what one call publishes goes together anyway.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// The largest message in bytes: key, payload and headers. 1,000,000; the broker's `message.max.bytes` must allow it.
    #[must_use]
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = limit;
        self
    }

    /// Any property of librdkafka, by its name there; it goes to every client and wins over what is set here. Checked when
    /// the first client is made. One that would break what Gulo promises is refused.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.bootstrap_servers.trim().is_empty() {
            return Err(wrong_servers("is empty"));
        }
        for (name, value) in &self.properties {
            let promised = match name.as_str() {
                "enable.auto.commit" | "enable.auto.offset.store" => {
                    ("false", "messages are settled after their effect")
                }
                "enable.idempotence" => (
                    "true",
                    "publishing neither loses nor doubles by its own retries",
                ),
                "acks" | "request.required.acks" if value != "-1" => {
                    ("all", "a confirmation means it is replicated")
                }
                "acks" | "request.required.acks" => continue,
                _ => continue,
            };
            if value != promised.0 {
                let problem = format!(
                    "property `{name}` = `{value}` contradicts a promise: {}",
                    promised.1
                );
                return Err(Error::new(ErrorKind::Config, problem)
                    .help(format!("leave it at `{}`", promised.0)));
            }
        }
        Ok(())
    }

    fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", &self.client_id)
            // 10 s by default, which is added to every outage.
            .set("reconnect.backoff.max.ms", "1000")
            // Half-open connections (a firewall that forgot) are noticed by the kernel.
            .set("socket.keepalive.enable", "true")
            .set("socket.timeout.ms", "10000");
        config
    }

    fn finish(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.common();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("delivery.timeout.ms", millis(self.publish_timeout))
            .set(
                "linger.ms",
                (self.linger.as_secs_f64() * 1000.0).to_string(),
            )
            // Keys land where Java's clients put them, so that topics written by both are partitioned alike.
            .set("partitioner", "murmur2_random")
            .set(
                "message.max.bytes",
                (self.max_message_bytes + RECORD_OVERHEAD).to_string(),
            )
            // 30 s by default: a missing topic would look like a hang.
            .set("topic.metadata.propagation.max.ms", "5000");
        self.finish(config)
    }

    /// `reset` is where to begin without a committed position.
    pub(crate) fn consumer(&self, group: &str, reset: &str) -> ClientConfig {
        let mut config = self.common();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", reset)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", millis(self.session_timeout))
            .set(
                "heartbeat.interval.ms",
                millis((self.session_timeout / 10).min(Duration::from_secs(3))),
            )
            // 1 s by default: a consumer that has caught up with its full queue would wait that long before it fetches
            // again, at 4.5 times the throughput.
            .set("fetch.queue.backoff.ms", "2");
        self.finish(config)
    }

    /// For metadata and administration: no group.
    pub(crate) fn plain(&self) -> ClientConfig {
        self.finish(self.common())
    }

    pub(crate) fn publish_timeout_value(&self) -> Duration {
        self.publish_timeout
    }

    pub(crate) fn servers(&self) -> &str {
        &self.bootstrap_servers
    }
}

fn wrong_servers(problem: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("KAFKA_BOOTSTRAP_SERVERS {problem}"),
    )
    .help("give addresses of brokers: host:port, separated by commas")
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): (&String, &String)| {
            let value = if SHOWN.contains(&name.as_str()) {
                value.clone()
            } else {
                "[redacted]".to_owned()
            };
            (name.clone(), value)
        };
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("client_id", &self.client_id)
            .field(
                "properties",
                &self
                    .properties
                    .iter()
                    .map(shown)
                    .collect::<BTreeMap<_, _>>(),
            )
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value_that_may_be_a_secret() {
        let config = KafkaConfig::new("b:9092")
            .property("sasl.password", "hunter2")
            .property("sasl.passwrod", "hunter2");
        let shown = format!("{config:?}");
        assert!(
            shown.contains("sasl.password") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn a_property_that_contradicts_a_promise_is_refused() {
        for (name, value) in [
            ("enable.auto.commit", "true"),
            ("enable.auto.offset.store", "true"),
            ("enable.idempotence", "false"),
            ("acks", "1"),
        ] {
            let error = KafkaConfig::new("b:9092")
                .property(name, value)
                .check()
                .expect_err("refused");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(
            KafkaConfig::new("b:9092")
                .property("acks", "-1")
                .property("linger.ms", "5")
                .check()
                .is_ok()
        );
    }
}
