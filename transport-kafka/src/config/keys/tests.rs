//! The table, key by key.

use std::collections::BTreeMap;

use super::*;
use crate::config::known;
use crate::config::said::For::{All, Consumers, Producers};

/// Name, what it takes, default there, default here where it is another one, property.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>, Option<(For, &'static str)>);

/// What each setting of the predecessor must be: its name, what it takes, its default there, its default here where that is
/// another one (then the note must say why), and the property that it becomes. Written down once more, apart from the table that
/// is used, so that neither can slip alone.
#[rustfmt::skip]
const PREDECESSOR: &[Row] = &[
    ("BOOTSTRAP_SERVERS", "text", "localhost:9092", None, Some((All, "bootstrap.servers"))),
    ("SECURITY_PROTOCOL", "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", "PLAINTEXT", None, Some((All, "security.protocol"))),
    ("SASL_MECHANISM", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER", "", None, Some((All, "sasl.mechanism"))),
    ("SASL_USERNAME", "text", "", None, Some((All, "sasl.username"))),
    ("SASL_PASSWORD", "secret", "", None, Some((All, "sasl.password"))),
    ("SSL_CAFILE", "file", "", None, Some((All, "ssl.ca.location"))),
    ("SSL_CERTFILE", "file", "", None, Some((All, "ssl.certificate.location"))),
    ("SSL_KEYFILE", "file", "", None, Some((All, "ssl.key.location"))),
    ("PRODUCER_ACKS", "text", "all", None, Some((Producers, "acks"))),
    ("PRODUCER_COMPRESSION_TYPE", "none, gzip, snappy, lz4, zstd", "gzip", None, Some((Producers, "compression.type"))),
    ("PRODUCER_MAX_REQUEST_SIZE", "number", "1048576", None, Some((Producers, "message.max.bytes"))),
    ("PRODUCER_RETRIES", "number", "3", Some("2147483647"), Some((Producers, "retries"))),
    ("PRODUCER_BATCH_SIZE", "number", "16384", None, Some((Producers, "batch.size"))),
    ("PRODUCER_LINGER_MS", "number", "10", None, Some((Producers, "linger.ms"))),
    ("CONSUMER_GROUP_ID", "text", "fastapi-service", Some(""), None),
    ("CONSUMER_GROUP", "text", "", None, None),
    ("CONSUMER_AUTO_OFFSET_RESET", "earliest, latest", "earliest", None, None),
    ("CONSUMER_ENABLE_AUTO_COMMIT", "true, false", "false", None, Some((Consumers, "enable.auto.commit"))),
    ("CONSUMER_MAX_POLL_RECORDS", "number", "500", None, None),
    ("CONSUMER_SESSION_TIMEOUT_MS", "number", "30000", None, Some((Consumers, "session.timeout.ms"))),
    ("CONSUMER_HEARTBEAT_INTERVAL_MS", "number", "10000", None, Some((Consumers, "heartbeat.interval.ms"))),
    ("SERVICE_NAME", "text", "fastapi-service", Some(""), None),
    ("DEFAULT_TOPIC_PREFIX", "text", "integration-events", None, None),
    ("ENABLE_IDEMPOTENCE", "true, false", "true", None, Some((Producers, "enable.idempotence"))),
    ("ENABLE_OBSERVABILITY", "true, false", "true", None, None),
    ("ENABLE_OUTBOX", "true, false", "false", None, None),
    ("ENABLE_INBOX", "true, false", "false", None, None),
    ("ENABLE_DLQ", "true, false", "true", None, None),
    ("DLQ_TOPIC_SUFFIX", "text", ".dlq", None, None),
    ("MAX_RETRY_ATTEMPTS", "number", "3", None, None),
];

/// What clients get for a property, by the settings alone.
fn effective(config: &KafkaConfig, audience: For, property: &str) -> String {
    let client = match audience {
        Producers => config.producer(),
        Consumers => config.consumer("g"),
        All => config.admin(),
    };
    client.get(property).unwrap_or_default().to_owned()
}

#[test]
fn every_setting_of_the_predecessor_is_there_with_its_name_kind_default_and_property() {
    for (name, kind, theirs, ours, property) in PREDECESSOR {
        let key = find(name).unwrap_or_else(|| panic!("KAFKA_{name} is not there"));
        assert_eq!(key.kind.shown(), *kind, "KAFKA_{name}");
        assert_eq!(key.default, ours.unwrap_or(theirs), "KAFKA_{name}");
        assert_eq!(key.property, *property, "KAFKA_{name}");
        let says_why = key.note.contains(&format!("the default was `{theirs}`"))
            || key.note.contains(&format!("the default was {theirs}"));
        assert_eq!(says_why, ours.is_some(), "KAFKA_{name}: {}", key.note);
    }
}

/// What the table calls the default is what clients get, and is a value of its kind.
#[test]
fn every_default_is_what_clients_get() {
    let config = KafkaConfig::default();
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        assert_eq!(key.kind.read(key.default).as_deref(), Ok(key.default), "{}", key.name);
        if let Some((audience, property)) = key.property {
            assert_eq!(effective(&config, audience, property), key.default, "{}", key.name);
            assert!(known::takes(known::find(property).expect("known"), key.default), "{}", key.name);
        }
    }
    let mut said = KafkaConfig::default();
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        key.set(&mut said, key.default, By::Code).unwrap();
    }
    assert_eq!(said.service(), config.service(), "what has no property: the default, said, changes nothing");
    assert_eq!((said.max_poll_records, said.connect_timeout), (config.max_poll_records, config.connect_timeout));
    assert_eq!(said.producer_properties(), config.producer_properties());
}

/// A value for each that is not its default.
fn other(key: &Key) -> &'static str {
    match (key.name, key.kind) {
        ("ENABLE_OUTBOX" | "ENABLE_INBOX" | "PRODUCER_ACKS", _) => key.default,
        ("BOOTSTRAP_SERVERS", _) => "kafka-1:9092,kafka-2:9093",
        ("PRODUCER_MAX_REQUEST_SIZE", _) => "20000",
        (_, Kind::Text | Kind::Secret) => "xyzzy-1",
        (_, Kind::Path) => "/etc/some.pem",
        (_, Kind::Flag) if key.default == "true" => "false",
        (_, Kind::Flag) => "true",
        (_, Kind::Number(_)) => "1234",
        (_, Kind::OneOf(values)) => values[values.len() - 1],
    }
}

/// The environment and a file say the same by the same table, and it arrives where it belongs.
#[test]
fn every_setting_arrives_from_the_environment_and_from_a_file() {
    for key in KEYS {
        let value = other(key);
        let of_env = KafkaConfig::default().with_variables([(format!("KAFKA_{}", key.name), value)]).unwrap();
        let file = BTreeMap::from([(key.file_name(), value)]);
        let of_file: KafkaConfig = serde_json::from_value(serde_json::to_value(file).unwrap()).unwrap();
        for config in [&of_env, &of_file] {
            if let Some((audience, property)) = key.property {
                assert_eq!(effective(config, audience, property), value, "{}", key.name);
            }
        }
        assert_eq!(of_env.service(), of_file.service(), "{}", key.name);
        assert_eq!(format!("{of_env:?}"), format!("{of_file:?}"), "{}", key.name);
        if key.property.is_none() && value != key.default && key.apply.is_some() {
            assert_ne!(format!("{of_env:?}"), format!("{:?}", KafkaConfig::default()), "{} does nothing", key.name);
        }
    }
}

#[test]
fn what_is_not_there_yet_is_refused_and_not_ignored() {
    for name in ["KAFKA_ENABLE_OUTBOX", "KAFKA_ENABLE_INBOX"] {
        let error = KafkaConfig::default().with_variables([(name, "true")]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("there is none yet"), "{error}");
    }
}

#[test]
fn two_names_of_the_group_may_not_say_different_groups() {
    let of = |one, other| {
        let said = [("KAFKA_CONSUMER_GROUP", one), ("KAFKA_CONSUMER_GROUP_ID", other)];
        KafkaConfig::default().with_variables(said)
    };
    let error = of("email", "crm").unwrap_err().to_string();
    let text = "the configuration of Kafka: KAFKA_CONSUMER_GROUP and KAFKA_CONSUMER_GROUP_ID are two names of one setting, and \
                say different groups";
    assert_eq!(error, text);
    assert_eq!(of("email", "email").unwrap().service().group.as_deref(), Some("email"));
}

/// As the guide shows it.
fn table() -> String {
    let mut rows = String::from("| variable | takes | default | becomes | |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        let (takes, property) = (key.kind.shown(), key.property.map_or("", |(_, name)| name));
        rows += &format!(
            "| `KAFKA_{}` | {takes} | {} | {} | {} |\n",
            key.name,
            code(key.default),
            code(property),
            key.note
        );
    }
    rows
}

/// The guide's table is made of the one that is used. `GULO_WRITE_DOCS=1` writes it.
#[test]
fn the_guide_shows_this_very_table() {
    let (path, table) = (concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/kafka.md"), table());
    let guide = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- settings -->\n", "<!-- /settings -->");
    let (before, rest) = guide.split_once(begin).expect("the beginning of the table");
    let (shown, after) = rest.split_once(end).expect("the end of the table");
    if shown != table && std::env::var_os("GULO_WRITE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, table, "run this test with GULO_WRITE_DOCS=1");
}
