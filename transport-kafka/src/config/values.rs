//! Values that have a name of their own.

/// How a client talks to brokers: Kafka's [`security.protocol`]. [`KafkaConfig`](crate::KafkaConfig) has an example.
///
/// [`security.protocol`]: https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityProtocol {
    /// In the open, without a login.
    Plaintext,
    /// TLS, without a login; with a client certificate where the broker wants one.
    Ssl,
    /// A login in the open.
    SaslPlaintext,
    /// A login over TLS.
    SaslSsl,
}

/// How a client logs in: Kafka's [`sasl.mechanism`]. [`KafkaConfig`](crate::KafkaConfig) has an example.
///
/// [`sasl.mechanism`]: https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// User name and password; the broker sees the password.
    Plain,
    /// The same, proven without showing it: [RFC 7677](https://www.rfc-editor.org/rfc/rfc7677).
    ScramSha256,
    /// The same with a longer hash.
    ScramSha512,
    /// A token: [`token_provider`](crate::KafkaConfig::token_provider) gives it.
    OauthBearer,
}

/// How batches are compressed: Kafka's [`compression.type`]. [`KafkaConfig`](crate::KafkaConfig) has an example.
///
/// [`compression.type`]: https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all, which takes the least time.
    None,
    /// zlib; the default.
    Gzip,
    /// Quick, and not very small.
    Snappy,
    /// Quick.
    Lz4,
    /// Small, and quicker than gzip.
    Zstd,
}

/// Which protocol members of a group and their broker speak: Kafka's [`group.protocol`].
/// [`KafkaConfig`](crate::KafkaConfig) has an example.
///
/// [`group.protocol`]: https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupProtocol {
    /// Members share their partitions out among themselves. The default.
    Classic,
    /// The broker does ([KIP-848]). Session time-out and heartbeat are the broker's settings then.
    ///
    /// [KIP-848]: https://github.com/confluentinc/librdkafka/blob/v2.12.1/INTRODUCTION.md#next-generation-consumer-group-protocol-kip-848
    Consumer,
}

impl SecurityProtocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

impl SaslMechanism {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

impl Compression {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl GroupProtocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}
