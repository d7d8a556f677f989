//! The table itself. Its first part has the names and defaults of the Python package that Gulo is the successor of
//! (`building_blocks`, environment prefix `KAFKA_`), so that a service can move without a new environment; where a default is
//! another one, the note says why.

use std::time::Duration;

use gulo_bus_core::transport::Position;

use super::{Apply, Key, Kind};
use crate::config::said::For::{All, Consumers, Producers};
use crate::config::{KafkaConfig, NO_LIMIT_BELOW};

const fn key(name: &'static str, kind: Kind, default: &'static str, note: &'static str) -> Key {
    Key { name, kind, default, property: None, apply: None, note }
}

impl Key {
    const fn all(mut self, property: &'static str) -> Self {
        self.property = Some((All, property));
        self
    }

    const fn producers(mut self, property: &'static str) -> Self {
        self.property = Some((Producers, property));
        self
    }

    const fn consumers(mut self, property: &'static str) -> Self {
        self.property = Some((Consumers, property));
        self
    }

    const fn apply(mut self, apply: Apply) -> Self {
        self.apply = Some(apply);
        self
    }
}

const PROTOCOLS: &[&str] = &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];
/// Where the number of retries is meant for eternity.
const ETERNAL: &str = "2147483647";

pub(in crate::config) const KEYS: &[Key] = &[
    key("BOOTSTRAP_SERVERS", Kind::Text, "localhost:9092", "`host:port`, several separated by commas")
        .all("bootstrap.servers")
        .apply(|config, value| {
            config.servers = value.to_owned();
            Ok(())
        }),
    key("SECURITY_PROTOCOL", Kind::OneOf(PROTOCOLS), "PLAINTEXT", "how to talk to brokers").all("security.protocol"),
    key("SASL_MECHANISM", Kind::OneOf(MECHANISMS), "", "how to log in; needed with `SASL_..` protocols")
        .all("sasl.mechanism"),
    key("SASL_USERNAME", Kind::Text, "", "for PLAIN and SCRAM").all("sasl.username"),
    key("SASL_PASSWORD", Kind::Secret, "", "for PLAIN and SCRAM").all("sasl.password"),
    key("SSL_CAFILE", Kind::Path, "", "certificates of the CAs to trust, PEM; the system's unless said")
        .all("ssl.ca.location"),
    key("SSL_CERTFILE", Kind::Path, "", "the client's certificate, PEM, for mutual TLS").all("ssl.certificate.location"),
    key("SSL_KEYFILE", Kind::Path, "", "the client's key, PEM, for mutual TLS").all("ssl.key.location"),
    key("PRODUCER_ACKS", Kind::Text, "all", "nothing else: a publish is confirmed by all in-sync replicas")
        .producers("acks"),
    key("PRODUCER_COMPRESSION_TYPE", Kind::OneOf(CODECS), "gzip", "of batches; `none` costs the least time")
        .producers("compression.type"),
    key(
        "PRODUCER_MAX_REQUEST_SIZE",
        Kind::Number(NO_LIMIT_BELOW as u64),
        "1048576",
        "bytes; a message may have 48,576 fewer (of small limits 5 %), which are for its framing, and a larger one is refused before the wire",
    )
    .producers("message.max.bytes")
    .apply(|config, value| {
        config.set_max_request_size(number(value));
        Ok(())
    }),
    key(
        "PRODUCER_RETRIES",
        Kind::Number(1),
        ETERNAL,
        "the default was 3, which gives a message up that a broker would take a moment later: here only `delivery.timeout.ms` ends it",
    )
    .producers("retries"),
    key("PRODUCER_BATCH_SIZE", Kind::Number(1), "16384", "bytes of a batch for one partition").producers("batch.size"),
    key("PRODUCER_LINGER_MS", Kind::Number(0), "10", "how long a message waits for others to share a batch with")
        .producers("linger.ms"),
    key(
        "CONSUMER_GROUP_ID",
        Kind::Text,
        "",
        "the default was `fastapi-service`: services that left it shared one group, and each lost what another one got. It must be named. Taken by `Subscription::configured`",
    )
    .apply(group),
    key("CONSUMER_GROUP", Kind::Text, "", "another name of `CONSUMER_GROUP_ID`").apply(group),
    key(
        "CONSUMER_AUTO_OFFSET_RESET",
        Kind::OneOf(&["earliest", "latest"]),
        "earliest",
        "where a new group begins (`Subscription::configured`). A group whose position retention has passed over goes on at the oldest message, whatever is said here: what is still there is not skipped",
    )
    .apply(|config, value| {
        config.service.start = if value == "latest" { Position::Latest } else { Position::Earliest };
        Ok(())
    }),
    key("CONSUMER_ENABLE_AUTO_COMMIT", Kind::Flag, "false", "nothing else: only what is finished is committed")
        .consumers("enable.auto.commit"),
    key(
        "CONSUMER_MAX_POLL_RECORDS",
        Kind::Number(1),
        "500",
        "messages taken from the client at a time; librdkafka has no such property",
    )
    .apply(|config, value| {
        config.max_poll_records = number(value);
        Ok(())
    }),
    key("CONSUMER_SESSION_TIMEOUT_MS", Kind::Number(1), "30000", "how long a member that gives no sign of life keeps its partitions")
        .consumers("session.timeout.ms"),
    key(
        "CONSUMER_HEARTBEAT_INTERVAL_MS",
        Kind::Number(1),
        "10000",
        "how often a member gives one, and how soon it hears of a rebalance; unless said at most a third of the session time-out",
    )
    .consumers("heartbeat.interval.ms"),
    key("SERVICE_NAME", Kind::Text, "", "the default was `fastapi-service`, which names nobody: the source of events. Taken by `Bus::configured`, which needs it")
        .apply(|config, value| {
            config.service.name = Some(value.into());
            Ok(())
        }),
    key("DEFAULT_TOPIC_PREFIX", Kind::Text, "integration-events", "what stands before the type of an event that names no topic: `<prefix>.<type in snake case>`. Taken by `Bus::configured`")
        .apply(|config, value| {
            config.service.default_topic_prefix = value.into();
            Ok(())
        }),
    key("ENABLE_IDEMPOTENCE", Kind::Flag, "true", "nothing else: a retry must neither repeat nor reorder messages")
        .producers("enable.idempotence"),
    key("ENABLE_OBSERVABILITY", Kind::Flag, "true", "logs and health are always there, so it switches nothing"),
    key("ENABLE_OUTBOX", Kind::Flag, "false", "there is none yet, so `true` is refused").apply(absent),
    key("ENABLE_INBOX", Kind::Flag, "false", "there is none yet, so `true` is refused").apply(absent),
    key(
        "ENABLE_DLQ",
        Kind::Flag,
        "true",
        "`false` discards what cannot be handled: logged, counted and gone (`Subscription::configured`)",
    )
    .apply(|config, value| {
        config.service.dead_letters = value == "true";
        Ok(())
    }),
    key("DLQ_TOPIC_SUFFIX", Kind::Text, ".dlq", "dead letters go to `<topic>.<group><suffix>`; the group was not named, so groups shared them")
        .apply(|config, value| {
            config.service.dead_letter_suffix = value.into();
            Ok(())
        }),
    key("MAX_RETRY_ATTEMPTS", Kind::Number(1), "3", "how often a message is handled, the first time included, before it is a dead letter")
        .apply(|config, value| {
            config.service.max_attempts = number(value);
            Ok(())
        }),
    // From here on: what the predecessor had not.
    key("CLIENT_ID", Kind::Text, "gulo", "under which brokers log and meter the application").all("client.id"),
    key("CONNECT_TIMEOUT_MS", Kind::Number(1), "10000", "how long `start()` waits for a broker").apply(|config, value| {
        config.connect_timeout = Duration::from_millis(number(value));
        Ok(())
    }),
    key("PRODUCER_DELIVERY_TIMEOUT_MS", Kind::Number(1), "30000", "how long a publish may take, all retries included")
        .producers("delivery.timeout.ms")
        .apply(|config, value| {
            config.publish_timeout = Duration::from_millis(number(value));
            Ok(())
        }),
    key("CONSUMER_GROUP_INSTANCE_ID", Kind::Text, "", "static membership: a name that each process of the group has for itself")
        .consumers("group.instance.id"),
    key("CONSUMER_GROUP_PROTOCOL", Kind::OneOf(&["classic", "consumer"]), "classic", "`consumer` is KIP-848")
        .consumers("group.protocol"),
];

fn group(config: &mut KafkaConfig, value: &str) -> Result<(), String> {
    config.service.group = Some(value.into());
    Ok(())
}

fn absent(_: &mut KafkaConfig, value: &str) -> Result<(), String> {
    match value {
        "true" => Err("cannot be `true`: there is none yet, and nothing must look as if there were one".into()),
        _ => Ok(()),
    }
}

/// What [`Kind::Number`] has let through.
fn number<T: std::str::FromStr + Default>(value: &str) -> T {
    value.parse().unwrap_or_default()
}
