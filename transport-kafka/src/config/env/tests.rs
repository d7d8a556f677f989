//! The environment, as applications, broker images and Kubernetes leave it.

use gulo_bus_core::ErrorKind;

use crate::KafkaConfig;

fn config(variables: &[(&str, &str)]) -> KafkaConfig {
    KafkaConfig::default().with_variables(variables.iter().copied()).unwrap()
}

fn error(variables: &[(&str, &str)]) -> String {
    let error = KafkaConfig::default().with_variables(variables.iter().copied()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

fn nothing() -> String {
    format!("{:?}", KafkaConfig::default())
}

#[test]
fn what_kubernetes_makes_of_a_service_called_kafka_is_ignored_and_the_name_of_ours_is_not() {
    let made = [
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ("KAFKA_SERVICE_PORT", "9092"),
        ("KAFKA_SERVICE_PORT_CLIENT", "9092"),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
        ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ("KAFKA_PRODUCER_SERVICE_HOST", "10.0.0.2"),
        ("KAFKA_UI_SERVICE_PORT", "8080"),
    ];
    assert_eq!(format!("{:?}", config(&made)), nothing());
    let named = [made.as_slice(), &[("KAFKA_SERVICE_NAME", "orders")]].concat();
    assert_eq!(config(&named).service().name.as_deref(), Some("orders"));
}

#[test]
fn what_broker_images_read_is_ignored() {
    let of_a_broker = [
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        ("KAFKA_LISTENERS", "PLAINTEXT://:9092"),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://kafka:9092"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT"),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@kafka:9093"),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
        ("KAFKA_LOG_DIRS", "/data"),
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
        ("KAFKA_JMX_PORT", "9999"),
        ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "true"),
        ("KAFKA_SSL_TRUSTSTORE_LOCATION", "/broker.jks"),
        ("KAFKA_SUPER_USERS", "User:admin"),
        ("KAFKA_CFG_NODE_ID", "1"),
        ("KAFKA_SOMETHING_OF_SOMEBODY", "x"),
    ];
    assert_eq!(format!("{:?}", config(&of_a_broker)), nothing());
}

#[test]
fn any_property_passes_through_for_all_clients_or_for_one_kind() {
    let config = config(&[
        ("KAFKA_SSL_CIPHER_SUITES", "ECDHE"),
        ("KAFKA_CLIENT_RACK", "eu-1a"),
        ("KAFKA_PRODUCER_CLIENT_RACK", "eu-1b"),
        ("KAFKA_CONSUMER_FETCH_MIN_BYTES", "1000"),
        ("KAFKA_STICKY_PARTITIONING_LINGER_MS", "20"),
        ("KAFKA_CONSUMER_MAX_POLL_INTERVAL_MS", "60000"),
        ("KAFKA_LOG_LEVEL", "7"),
    ]);
    assert!(config.check().is_ok());
    let (producer, consumer) = (config.producer(), config.consumer("g"));
    assert_eq!((producer.get("client.rack"), consumer.get("client.rack")), (Some("eu-1b"), Some("eu-1a")));
    assert_eq!((producer.get("fetch.min.bytes"), consumer.get("fetch.min.bytes")), (None, Some("1000")));
    assert_eq!(producer.get("sticky.partitioning.linger.ms"), Some("20"));
    assert_eq!(config.admin().get("ssl.cipher.suites"), Some("ECDHE"));
    assert_eq!(config.max_poll_interval().as_secs(), 60);
}

#[test]
fn a_setting_wins_over_a_property_that_means_the_same() {
    for order in [[0, 1], [1, 0]] {
        let both = [("KAFKA_LINGER_MS", "1"), ("KAFKA_PRODUCER_LINGER_MS", "2")];
        assert_eq!(config(&order.map(|at: usize| both[at])).producer().get("linger.ms"), Some("2"));
        let both = [("KAFKA_SSL_CA_LOCATION", "/a"), ("KAFKA_SSL_CAFILE", "/b")];
        assert_eq!(config(&order.map(|at: usize| both[at])).admin().get("ssl.ca.location"), Some("/b"));
    }
}

/// The rule that users are told: what is said later wins, and code comes after `from_env`.
#[test]
fn code_wins_over_the_environment_and_the_environment_over_a_file() {
    let file =
        r#"{"producer_linger_ms": 1, "producer_batch_size": 1000, "client_id": "file", "connect_timeout_ms": 1}"#;
    let file: KafkaConfig = serde_json::from_str(file).unwrap();
    let env = [("KAFKA_PRODUCER_LINGER_MS", "2"), ("KAFKA_CLIENT_ID", "env"), ("KAFKA_CONNECT_TIMEOUT_MS", "2")];
    let config = file.with_variables(env).unwrap().client_id("code");
    let producer = config.producer();
    assert_eq!(producer.get("client.id"), Some("code"));
    assert_eq!(producer.get("linger.ms"), Some("2"));
    assert_eq!(producer.get("batch.size"), Some("1000"));
    assert_eq!(config.connect_timeout.as_millis(), 2);
    let config = config.with_variables([("KAFKA_CLIENT_ID", "again")]).unwrap();
    assert_eq!(config.producer().get("client.id"), Some("again"), "later wins, whatever it is");
    assert_eq!(KafkaConfig::new("b").producer().get("client.id"), Some("gulo"), "nothing is read unasked");
}

#[test]
fn what_is_empty_says_nothing_but_for_the_servers() {
    assert_eq!(format!("{:?}", config(&[("KAFKA_SASL_USERNAME", ""), ("KAFKA_CLIENT_RACK", " ")])), nothing());
    assert!(error(&[("KAFKA_BOOTSTRAP_SERVERS", "")]).contains("KAFKA_BOOTSTRAP_SERVERS must not be empty"));
}

#[test]
fn all_that_is_wrong_is_told_at_once_without_a_value() {
    let text = error(&[
        ("KAFKA_PRODUCER_LINGER_MS", "soon"),
        ("KAFKA_SASL_MECHANISM", "hunter2"),
        ("KAFKA_CONSUMER_MAX_POLL_RECORDS", "0"),
        ("KAFKA_PRODUCER_LINGERMS", "1"),
        ("KAFKA_SESSION_TIMOUT_MS", "1"),
        ("KAFKA_CONSUMER_BANANA", "1"),
        ("KAFKA_SSL_TRUSTSTORE_LOCATION", "/a.jks"),
        ("KAFKA_CONSUMER_KEY_DESERIALIZER", "x"),
    ]);
    for part in [
        "8 settings of Kafka are wrong",
        "KAFKA_PRODUCER_LINGER_MS must be a whole number",
        "KAFKA_SASL_MECHANISM must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER",
        "KAFKA_CONSUMER_MAX_POLL_RECORDS must be a whole number from 1",
        "KAFKA_PRODUCER_LINGERMS is unknown; is KAFKA_PRODUCER_LINGER_MS meant?",
        "KAFKA_SESSION_TIMOUT_MS is unknown; is KAFKA_SESSION_TIMEOUT_MS meant?",
        "KAFKA_CONSUMER_BANANA is unknown",
        "`ssl.truststore.location`; here it is `ssl.ca.location`",
        "`key.deserializer`; here it is nothing: keys are bytes",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("soon") && !text.contains("hunter2"), "{text}");
}

#[cfg(unix)]
#[test]
fn what_is_not_text_is_named() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let variable = ("KAFKA_CLIENT_ID", OsString::from_vec(vec![0xff]));
    let error = KafkaConfig::default().with_variables([variable]).unwrap_err();
    assert!(error.to_string().contains("KAFKA_CLIENT_ID is not text"), "{error}");
    let foreign = ("KAFKA_FOREIGN", OsString::from_vec(vec![0xff]));
    assert!(KafkaConfig::default().with_variables([foreign]).is_ok());
}

/// Of nobody, and good until the year 2126.
const CA: &str = "-----BEGIN CERTIFICATE-----\n\
MIIBfzCCASWgAwIBAgIUZWpRfomTkgmYKcPJi0gN0JikSR8wCgYIKoZIzj0EAwIw\n\
FDESMBAGA1UEAwwJZ3VsbyB0ZXN0MCAXDTI2MTEyNTE5NTQwNloYDzIxMjYxMTAx\n\
MTk1NDA2WjAUMRIwEAYDVQQDDAlndWxvIHRlc3QwWTATBgcqhkjOPQIBBggqhkjO\n\
PQMBBwNCAARMYEasup8LIGeaNSnBXS5CQ45XQVqGGiDMd8rQO5ygFAv1Lp72xfBS\n\
dI1pKD+Q39E3/nqEe3N4GYpP1U4AI1cXo1MwUTAdBgNVHQ4EFgQUUwhhaqjq1ekP\n\
+GkOyTTU7WoDjukwHwYDVR0jBBgwFoAUUwhhaqjq1ekP+GkOyTTU7WoDjukwDwYD\n\
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA+ZogMph4LBcDxHb4ekjq\n\
rB1IPZeOo4rIX4zYtzrVyRICIA3RfaTGgBaVJCoY/9xh06uED/FinibLrhszytLP\n\
qMbQ\n\
-----END CERTIFICATE-----\n";

/// In the predecessor `acks=1` as text and compression `none` were errors of the wrong kind, and a CA file was a `TypeError`, so
/// that SASL_SSL with one could not work. (That it does is in the tests on a secured broker.)
#[test]
fn reference_bug_04_settings_are_taken_or_refused_with_what_is_allowed() {
    let file = std::env::temp_dir().join(format!("gulo-reference-bug-04-{}.pem", std::process::id()));
    std::fs::write(&file, CA).unwrap();
    let taken = config(&[
        ("KAFKA_PRODUCER_ACKS", "all"),
        ("KAFKA_PRODUCER_COMPRESSION_TYPE", "none"),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_SASL_USERNAME", "ann"),
        ("KAFKA_SASL_PASSWORD", "hunter2"),
        ("KAFKA_SSL_CAFILE", file.to_str().unwrap()),
    ]);
    let checked = taken.check();
    drop(std::fs::remove_file(&file));
    checked.unwrap();
    let properties = taken.producer_properties();
    for (name, value) in [("compression.type", "none"), ("ssl.ca.location", file.to_str().unwrap()), ("acks", "all")] {
        assert!(properties.iter().any(|(have, is)| have == name && is == value), "{name}: {properties:?}");
    }
    assert!(!format!("{properties:?}").contains("hunter2"));
    let acks = config(&[("KAFKA_PRODUCER_ACKS", "1")]).check().unwrap_err().to_string();
    assert!(acks.contains("KAFKA_PRODUCER_ACKS") && acks.contains("all"), "{acks}");
    let unknown = error(&[("KAFKA_PRODUCER_COMPRESSION_TYPE", "zip")]);
    assert!(unknown.contains("none") && unknown.contains("zstd"), "{unknown}");
}

/// The predecessor's inbox took what it had not finished for a duplicate, and lost it. There is none here yet, and to ask for it is
/// an error, not a setting without effect.
#[test]
fn reference_bug_10_an_inbox_that_there_is_not_is_refused_by_name() {
    for name in ["KAFKA_ENABLE_INBOX", "KAFKA_ENABLE_OUTBOX"] {
        let text = error(&[(name, "true")]);
        assert!(text.contains(name), "{text}");
        assert_eq!(format!("{:?}", config(&[(name, "false")])), nothing());
    }
}
