//! Settings in code, for those that have a type.

use std::path::Path;
use std::time::Duration;

use crate::token::{OauthToken, Tokens};

use super::said::{By, For};
use super::{Compression, FRAMING, GroupProtocol, KafkaConfig, SaslMechanism, SecurityProtocol, millis};

/// As long as librdkafka counts, 24 days: no clock counts to the end of time.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

impl KafkaConfig {
    /// How to talk to brokers. [`Plaintext`](SecurityProtocol::Plaintext) unless said.
    #[must_use]
    pub fn security_protocol(self, protocol: SecurityProtocol) -> Self {
        self.by("security_protocol", For::All, "security.protocol", protocol.name())
    }

    /// Logs in with a user name and a password. Needs a `Sasl..` protocol.
    #[must_use]
    pub fn sasl(self, mechanism: SaslMechanism, username: impl Into<String>, password: impl Into<String>) -> Self {
        let config = self.by("sasl", For::All, "sasl.mechanism", mechanism.name());
        config.by("sasl", For::All, "sasl.username", username).by("sasl", For::All, "sasl.password", password)
    }

    /// How to log in. Needs a `Sasl..` protocol.
    #[must_use]
    pub fn sasl_mechanism(self, mechanism: SaslMechanism) -> Self {
        self.by("sasl_mechanism", For::All, "sasl.mechanism", mechanism.name())
    }

    /// Logs in with tokens that `provider` gives (mechanism OAUTHBEARER). Needs a `Sasl..` protocol.
    ///
    /// It is asked by a task of ours: at the first use, then when a quarter of a token's time is left, and again with
    /// back-off while it fails. It may take its time, up to 30 s; nothing waits for it but the first use. While it fails and
    /// the last token has ended, the transport's status says so. Where another mechanism is said too, before or after, that
    /// is an error at the first use.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use gulo_transport_kafka::{KafkaConfig, OauthToken, SecurityProtocol};
    /// # async fn fetch() -> Result<String, std::io::Error> { Ok("..".into()) }
    /// let config = KafkaConfig::new("kafka:9093").security_protocol(SecurityProtocol::SaslSsl);
    /// let config = config.token_provider(async || {
    ///     let token = fetch().await?;
    ///     Ok::<_, std::io::Error>(OauthToken::new(token, "orders", SystemTime::now() + Duration::from_secs(3600)))
    /// });
    /// ```
    #[must_use]
    pub fn token_provider<F, Fut, E>(self, provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<OauthToken, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        // What somebody has said is not replaced behind their back: `check` tells of both.
        let mut config = match self.said(For::All, "sasl.mechanism") {
            Some(_) => self,
            None => self.by("token_provider", For::All, "sasl.mechanism", SaslMechanism::OauthBearer.name()),
        };
        config.tokens = Some(Tokens::new(provider));
        config
    }

    /// The file with the certificates of the CAs that are trusted, PEM. The system's unless said.
    #[must_use]
    pub fn ssl_ca(self, file: impl AsRef<Path>) -> Self {
        self.by("ssl_ca", For::All, "ssl.ca.location", text(file.as_ref()))
    }

    /// The files with the client's certificate and its key, PEM, for mutual TLS.
    ///
    /// ```
    /// # use gulo_transport_kafka::{KafkaConfig, SecurityProtocol};
    /// let config = KafkaConfig::new("kafka:9093")
    ///     .security_protocol(SecurityProtocol::Ssl)
    ///     .ssl_ca("/etc/kafka/ca.pem")
    ///     .ssl_certificate("/etc/kafka/client.pem", "/etc/kafka/client.key");
    /// ```
    #[must_use]
    pub fn ssl_certificate(self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        let (method, certificate, key) = ("ssl_certificate", text(certificate.as_ref()), text(key.as_ref()));
        let config = self.by(method, For::All, "ssl.certificate.location", certificate);
        config.by(method, For::All, "ssl.key.location", key)
    }

    /// The name under which the broker logs and meters this application. `gulo` unless said.
    #[must_use]
    pub fn client_id(self, id: impl Into<String>) -> Self {
        self.by("client_id", For::All, "client.id", id)
    }

    /// How long a publish may take, waiting for a broker and for room in the local queue included. 30 s unless said, 24
    /// days at most.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout.min(LONGEST);
        self
    }

    /// How long `ensure` and `subscribe` wait for a broker. 10 s unless said, 24 days at most.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.min(LONGEST);
        self
    }

    /// After how long without a sign of life a member is taken for dead and its lanes go to others. 30 s unless said.
    /// It gives three signs in that time at least. With [`GroupProtocol::Consumer`] brokers say how long that is, 45 s
    /// unless said there: say the same here, so that a member that did not run for most of it knows.
    #[must_use]
    pub fn session_timeout(self, timeout: Duration) -> Self {
        self.by("session_timeout", For::Consumers, "session.timeout.ms", millis(timeout, 1))
    }

    /// How often a member gives a sign of life, and with it how soon it hears of a rebalance. 10 s unless said, and
    /// unless said at most a third of the session time-out.
    #[must_use]
    pub fn heartbeat_interval(self, interval: Duration) -> Self {
        self.by("heartbeat_interval", For::Consumers, "heartbeat.interval.ms", millis(interval, 1))
    }

    /// Static membership: a name that each process of the group has for itself (a pod of a stateful set, say). A
    /// process that comes back under its name within the session time-out gets its lanes back without a rebalance; one
    /// that stops keeps them until that time is over.
    #[must_use]
    pub fn group_instance_id(self, name: impl Into<String>) -> Self {
        self.by("group_instance_id", For::Consumers, "group.instance.id", name)
    }

    /// Which protocol the members of groups speak. [`Classic`](GroupProtocol::Classic) unless said.
    #[must_use]
    pub fn group_protocol(self, protocol: GroupProtocol) -> Self {
        self.by("group_protocol", For::Consumers, "group.protocol", protocol.name())
    }

    /// How many messages are taken from the client at a time at most. 500 unless said.
    #[must_use]
    pub fn max_poll_records(mut self, messages: usize) -> Self {
        self.max_poll_records = messages.max(1);
        self
    }

    /// How long a message may wait for others to share a batch with. 10 ms unless said; zero for publishes that are
    /// awaited one by one.
    #[must_use]
    pub fn linger(self, linger: Duration) -> Self {
        self.by("linger", For::Producers, "linger.ms", millis(linger, 0))
    }

    /// How large a batch for one partition may be, in bytes. 16,384 unless said; more for many small messages at a
    /// time.
    #[must_use]
    pub fn batch_size(self, bytes: usize) -> Self {
        self.by("batch_size", For::Producers, "batch.size", bytes.to_string())
    }

    /// How batches are compressed. [`Gzip`](Compression::Gzip) unless said.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        self.by("compression", For::Producers, "compression.type", compression.name())
    }

    /// The largest message (key, payload and headers) that a publish takes; larger ones are refused before the wire.
    /// 1,000,000 unless said, which every broker and topic with Kafka's defaults takes.
    #[must_use]
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = limit;
        self.max_request_size = limit.saturating_add(FRAMING);
        self.origins.insert("message.max.bytes", By::Method("max_message_bytes"));
        self
    }

    /// By this method.
    fn by(self, method: &'static str, audience: For, name: &str, value: impl Into<String>) -> Self {
        self.saying_by(By::Method(method), audience, name, value)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
