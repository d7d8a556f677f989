//! The table itself. What it says of a service has the names that it has for other brokers, so that another transport is
//! another prefix.

use super::{Apply, Key, Kind, Shown};
use crate::config::tls::Pem;
use crate::config::{AmqpConfig, ExchangeType, LONGEST_MS, QueueType};

const fn key(name: &'static str, kind: Kind, default: &'static str, note: &'static str) -> Key {
    Key { name, kind, default, method: "", apply: |_, _| {}, shown: |_| String::new(), note }
}

impl Key {
    const fn of(mut self, method: &'static str, apply: Apply, shown: Shown) -> Self {
        (self.method, self.apply, self.shown) = (method, apply, shown);
        self
    }
}

const EXCHANGES: &[&str] = &["fanout", "topic"];
const QUEUES: &[&str] = &["quorum", "classic"];
const MECHANISMS: &[&str] = &["PLAIN", "AMQPLAIN", "EXTERNAL"];

pub(in crate::config) const KEYS: &[Key] = &[
    key("URL", Kind::Text, "", "the broker: `amqp://user:password@host:port/vhost`, `amqps://` with TLS; the vhost `/` is written `%2f`. Needed")
        .of("url", AmqpConfig::set_url, AmqpConfig::shown_url),
    key("CONNECTION_NAME", Kind::Text, "gulo", "under which the management lists the connections")
        .of("connection_name", |config, value| config.connection_name = value.into(), |config| config.connection_name.to_string()),
    key("AUTH_MECHANISM", Kind::OneOf(MECHANISMS), "PLAIN", "`EXTERNAL` logs in by the client's certificate; `?auth_mechanism=` of the address says the same")
        .of("external", |config, value| config.mechanism = value.parse().unwrap_or_default(), |config| config.mechanism.to_string()),
    key("SSL_CAFILE", Kind::Path, "", "certificates of the CAs to trust, PEM, instead of the system's")
        .of("ssl_ca", |config, value| config.tls.ca = Some(Pem::File(value.into())), |config| Pem::file(&config.tls.ca)),
    key("SSL_CA_PEM", Kind::Secret, "", "the same as text")
        .of("ssl_ca_pem", |config, value| config.tls.ca = Some(Pem::Text(value.into())), |config| Pem::text(&config.tls.ca)),
    key("SSL_CERTFILE", Kind::Path, "", "the client's certificate, PEM, those of the CAs between behind it")
        .of("ssl_certificate", |config, value| config.tls.certificate = Some(Pem::File(value.into())), |config| Pem::file(&config.tls.certificate)),
    key("SSL_CERT_PEM", Kind::Secret, "", "the same as text")
        .of("ssl_certificate_pem", |config, value| config.tls.certificate = Some(Pem::Text(value.into())), |config| Pem::text(&config.tls.certificate)),
    key("SSL_KEYFILE", Kind::Path, "", "the client's key, PEM, without a password")
        .of("ssl_certificate", |config, value| config.tls.key = Some(Pem::File(value.into())), |config| Pem::file(&config.tls.key)),
    key("SSL_KEY_PEM", Kind::Secret, "", "the same as text")
        .of("ssl_certificate_pem", |config, value| config.tls.key = Some(Pem::Text(value.into())), |config| Pem::text(&config.tls.key)),
    key("SSL_PKCS12FILE", Kind::Path, "", "the client's certificate and key in one PKCS#12 file, instead of the two in PEM")
        .of("ssl_pkcs12", |config, value| config.tls.pkcs12 = Some(value.into()), |config| {
            config.tls.pkcs12.as_ref().map(|file| file.display().to_string()).unwrap_or_default()
        }),
    key("SSL_PKCS12_PASSWORD", Kind::Secret, "", "its password")
        .of("ssl_pkcs12", |config, value| config.tls.pkcs12_password = Some(value.into()), |config| {
            config.tls.pkcs12_password.as_ref().map(|_| "***".into()).unwrap_or_default()
        }),
    key("CONNECT_TIMEOUT_MS", Kind::Number(1, LONGEST_MS), "10000", "how long connecting, and each question to the broker, may take; `?connection_timeout=` of the address says the same")
        .of("connect_timeout", |config, value| config.connect_timeout = millis(value), |config| config.connect_timeout.as_millis().to_string()),
    key("HEARTBEAT_SECONDS", Kind::Number(1, 65_535), "5", "how often each side gives a sign of life: a connection is lost after two without. The broker may want it more often; `?heartbeat=` of the address says the same")
        .of("heartbeat", |config, value| config.heartbeat = millis(value) * 1000, |config| config.heartbeat.as_secs_f64().to_string()),
    key("PUBLISH_TIMEOUT_MS", Kind::Number(1, LONGEST_MS), "30000", "how long a publish may take until it is confirmed")
        .of("publish_timeout", |config, value| config.publish_timeout = millis(value), |config| config.publish_timeout.as_millis().to_string()),
    key("PUBLISH_WINDOW", Kind::Number(1, 1_000_000), "1000", "messages on their way to the broker and not confirmed; more wait")
        .of("publish_window", |config, value| config.publish_window = number(value), |config| config.publish_window.to_string()),
    key("MAX_MESSAGE_BYTES", Kind::Number(1, 536_870_912), "16777216", "key, payload and headers of a message; a larger one is refused before the wire. The broker has a `max_message_size` of its own, 16 MiB from 4.0 on")
        .of("max_message_bytes", |config, value| config.max_message_bytes = number(value), |config| config.max_message_bytes.to_string()),
    key("PERSISTENT", Kind::Flag, "true", "whether messages outlive a restart of the broker")
        .of("persistent", |config, value| config.persistent = value == "true", |config| config.persistent.to_string()),
    key("DECLARES", Kind::Flag, "true", "`false`: exchanges, queues and bindings are there already, and are left as they are")
        .of("declares", |config, value| config.declares = value == "true", |config| config.declares.to_string()),
    key("EXCHANGE_TYPE", Kind::OneOf(EXCHANGES), "fanout", "what a topic is made as")
        .of("exchange_type", |config, value| {
            config.exchange_type = if value == "topic" { ExchangeType::Topic } else { ExchangeType::Fanout }
        }, |config| config.exchange_type.name().into()),
    key("QUEUE_TYPE", Kind::OneOf(QUEUES), "quorum", "what a group's queue is made as")
        .of("queue_type", |config, value| {
            config.queue_type = if value == "classic" { QueueType::Classic } else { QueueType::Quorum }
        }, |config| config.queue_type.name().into()),
    key("QUEUE_ARGUMENTS", Kind::Pairs, "", "more arguments of queues that are made: `x-max-length=100000,x-overflow=reject-publish`; in a file a table")
        .of("queue_argument", AmqpConfig::set_queue_arguments, AmqpConfig::shown_queue_arguments),
    key("SINGLE_ACTIVE_CONSUMER", Kind::Flag, "true", "one member of a group at a time reads a queue, which keeps the order of keys across members; `false`: members compete")
        .of("single_active_consumer", |config, value| config.single_active_consumer = value == "true", |config| config.single_active_consumer.to_string()),
    key("DEAD_LETTER_EXCHANGE", Kind::Text, "", "the exchange to which the broker itself gives what is rejected; it must be there")
        .of("dead_letter_exchange", |config, value| config.dead_letter_exchange = Some(value.into()), |config| text(&config.dead_letter_exchange)),
    key("SERVICE_NAME", Kind::Text, "", "the source of events. Taken by `Bus::configured`, which needs it")
        .of("", |config, value| config.service.name = Some(value.into()), |config| text(&config.service.name)),
    key("CONSUMER_GROUP_ID", Kind::Text, "", "the group. Taken by `Subscription::configured`, which needs it").of("", group, |config| text(&config.service.group)),
    key("CONSUMER_GROUP", Kind::Text, "", "another name of `CONSUMER_GROUP_ID`").of("", group, |config| text(&config.service.group)),
    key("DEFAULT_TOPIC_PREFIX", Kind::Text, "integration-events", "what stands before the type of an event that names no topic: `<prefix>.<type in snake case>`. Taken by `Bus::configured`")
        .of("", |config, value| config.service.default_topic_prefix = value.into(), |config| config.service.default_topic_prefix.to_string()),
    key("MAX_RETRY_ATTEMPTS", Kind::Number(1, i32::MAX as u64), "3", "how often a message is handled, the first time included, before it is a dead letter")
        .of("", |config, value| config.service.max_attempts = number(value), |config| config.service.max_attempts.to_string()),
    key("ENABLE_DLQ", Kind::Flag, "true", "`false` discards what cannot be handled: logged, counted and gone (`Subscription::configured`)")
        .of("", |config, value| config.service.dead_letters = value == "true", |config| config.service.dead_letters.to_string()),
    key("DLQ_TOPIC_SUFFIX", Kind::Text, ".dlq", "dead letters go to `<topic>.<group><suffix>`")
        .of("", |config, value| config.service.dead_letter_suffix = value.into(), |config| config.service.dead_letter_suffix.to_string()),
];

fn group(config: &mut AmqpConfig, value: &str) {
    config.service.group = Some(value.into());
}

fn text(said: &Option<std::sync::Arc<str>>) -> String {
    said.as_deref().unwrap_or_default().to_owned()
}

/// What [`Kind::Number`] has let through.
fn number<T: std::str::FromStr + Default>(value: &str) -> T {
    value.parse().unwrap_or_default()
}

fn millis(value: &str) -> std::time::Duration {
    std::time::Duration::from_millis(number(value))
}
