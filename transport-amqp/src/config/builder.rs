//! Settings in code. [`AmqpConfig`] has an example of each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lapin::uri::SASLMechanism;

use super::tls::Pem;
use super::{AmqpConfig, ExchangeType, LONGEST_MS, QueueArgument, QueueType};

impl AmqpConfig {
    /// The broker, in place of what was named before; shapes as for [`new`](Self::new). What stands behind a `?` are settings
    /// too: `heartbeat` in seconds, `connection_timeout` in milliseconds, `auth_mechanism`, `channel_max`, `frame_max`.
    #[must_use]
    pub fn url(mut self, url: &str) -> Self {
        self.set_url(url);
        self
    }

    /// Under which name the management lists the connections. `gulo` unless said.
    #[must_use]
    pub fn connection_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.connection_name = name.into();
        self
    }

    /// How long connecting, and each question to the broker, may take, from 1 ms to 24 days. 10 s unless said.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = at_most(timeout);
        self
    }

    /// How long a publish may take until the broker has confirmed it, from 1 ms to 24 days. 30 s unless said.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = at_most(timeout);
        self
    }

    /// How often each side gives a sign of life, in whole seconds from 1 to 65535; a connection is lost after two without.
    /// 5 s unless said. The broker may want it more often.
    #[must_use]
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = every;
        self
    }

    /// How many messages may be on their way and not confirmed; more wait. From 1 to 1,000,000; 1000 unless said.
    #[must_use]
    pub fn publish_window(mut self, messages: usize) -> Self {
        self.publish_window = messages;
        self
    }

    /// How large a message may be in bytes, key, payload and headers together; a larger one is refused before the wire. From
    /// 1 to 512 MiB; 16 MiB unless said, which is what brokers from 4.0 on take (`max_message_size`).
    #[must_use]
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = limit;
        self
    }

    /// Whether messages outlive a restart of the broker. `true` unless said; quorum queues keep them in any case.
    #[must_use]
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// Whether exchanges, queues and bindings that are missing are made. `true` unless said. With `false` they are there
    /// already and left as they are: the user needs no right to configure.
    #[must_use]
    pub fn declares(mut self, declares: bool) -> Self {
        self.declares = declares;
        self
    }

    /// What topics are made as. Fanout exchanges unless said.
    #[must_use]
    pub fn exchange_type(mut self, exchange_type: ExchangeType) -> Self {
        self.exchange_type = exchange_type;
        self
    }

    /// What the queues of groups are made as. Quorum queues unless said.
    #[must_use]
    pub fn queue_type(mut self, queue_type: QueueType) -> Self {
        self.queue_type = queue_type;
        self
    }

    /// One more argument of the queues that are made, by RabbitMQ's name of it. Those that make a queue drop messages
    /// (`x-max-length`, `x-message-ttl`, ..) are refused unless what it drops goes somewhere:
    /// [`dead_letter_exchange`](Self::dead_letter_exchange), or `x-overflow` is `reject-publish`.
    #[must_use]
    pub fn queue_argument(mut self, name: impl Into<Arc<str>>, value: impl Into<QueueArgument>) -> Self {
        self.queue_arguments.insert(name.into(), value.into());
        self
    }

    /// Whether one member of a group at a time reads a queue, which keeps the order of keys across members. `true` unless
    /// said; with `false` members compete for messages.
    #[must_use]
    pub fn single_active_consumer(mut self, single: bool) -> Self {
        self.single_active_consumer = single;
        self
    }

    /// The exchange to which the broker itself gives what is rejected. It must be there. None unless said.
    #[must_use]
    pub fn dead_letter_exchange(mut self, exchange: impl Into<Arc<str>>) -> Self {
        self.dead_letter_exchange = Some(exchange.into());
        self
    }

    /// A PEM file with the certificates of the CAs to trust, instead of the system's. The broker's certificate is always
    /// verified, its host name too. Files are read anew for each connection.
    #[must_use]
    pub fn ssl_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls.ca = Some(Pem::File(file.into()));
        self
    }

    /// The same as text.
    #[must_use]
    pub fn ssl_ca_pem(mut self, pem: impl Into<String>) -> Self {
        self.tls.ca = Some(Pem::Text(pem.into()));
        self
    }

    /// PEM files with the client's certificate, those of the CAs between behind it, and with its key, which has no password.
    #[must_use]
    pub fn ssl_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.certificate = Some(Pem::File(certificate.into()));
        self.tls.key = Some(Pem::File(key.into()));
        self
    }

    /// The same as text.
    #[must_use]
    pub fn ssl_certificate_pem(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.tls.certificate = Some(Pem::Text(certificate.into()));
        self.tls.key = Some(Pem::Text(key.into()));
        self
    }

    /// The client's certificate and key out of a PKCS#12 file (`.p12`, `.pfx`), which `password` opens.
    #[must_use]
    pub fn ssl_pkcs12(mut self, file: impl Into<PathBuf>, password: impl Into<String>) -> Self {
        self.tls.pkcs12 = Some(file.into());
        self.tls.pkcs12_password = Some(password.into());
        self
    }

    /// Logs in by the client's certificate instead of a password. Needs `amqps://`, a certificate, and on the broker the
    /// plugin `rabbitmq_auth_mechanism_ssl` and a user of the certificate's name.
    #[must_use]
    pub fn external(mut self) -> Self {
        self.mechanism = SASLMechanism::External;
        self
    }
}

fn at_most(time: Duration) -> Duration {
    time.min(Duration::from_millis(LONGEST_MS))
}
