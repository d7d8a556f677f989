//! What is refused, and what is said of it.

use std::time::Duration;

use gulo_bus_core::ErrorKind;

use crate::{GroupProtocol, KafkaConfig, SaslMechanism, SecurityProtocol};

fn refused(config: &KafkaConfig) -> String {
    let error = config.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

fn with(name: &str, value: &str) -> KafkaConfig {
    KafkaConfig::new("b").property(name, value)
}

#[test]
fn what_breaks_a_promise_is_refused_by_name() {
    for (name, value) in [
        ("enable.auto.commit", "true"),
        ("auto.commit.enable", "true"),
        ("enable.auto.offset.store", "TRUE"),
        ("enable.idempotence", "false"),
        ("acks", "1"),
        ("acks", "0"),
        ("partitioner", "random"),
        ("isolation.level", "read_uncommitted"),
        ("delivery.report.only.error", "true"),
        ("group.id", "x"),
        ("auto.offset.reset", "latest"),
        ("transactional.id", "x"),
        ("bootstrap.servers", "x"),
    ] {
        let text = refused(&with(name, value));
        assert!(text.contains(&format!("`{name}`")), "{text}");
    }
    assert!(refused(&with("request.required.acks", "1")).contains("`acks` must be all"));
    assert!(refused(&with("metadata.broker.list", "x")).contains("KAFKA_BOOTSTRAP_SERVERS"));
}

#[test]
fn what_says_the_same_as_we_do_is_taken() {
    let config = with("acks", "all")
        .property("enable.auto.commit", "false")
        .property("enable.idempotence", "true")
        .property("isolation.level", "read_committed");
    assert!(config.check().is_ok());
    assert!(with("request.required.acks", "-1").check().is_ok());
}

#[test]
fn a_name_that_nobody_knows_is_told_with_the_nearest_or_with_what_java_means() {
    for (name, says) in [
        ("linger.mss", "is `linger.ms` meant?"),
        ("sasl.user.name", "is `sasl.username` meant?"),
        ("fetch_min_bytes", "is `fetch.min.bytes` meant?"),
        ("quux", "`quux` is unknown to librdkafka"),
        ("sasl.jaas.config", "only Java clients know: here it is `sasl.username` and `sasl.password`"),
        ("ssl.truststore.location", "`ssl.ca.location`, a PEM file"),
        ("max.poll.records", "KAFKA_CONSUMER_MAX_POLL_RECORDS"),
        ("value.deserializer", "the event has its codec"),
    ] {
        let text = refused(&with(name, "hunter2"));
        assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_value_that_is_wrong_is_told_with_those_that_are_right() {
    for (name, value, says) in [
        ("security.protocol", "tls13", "plaintext, ssl, sasl_plaintext, sasl_ssl"),
        ("linger.ms", "-4", "0..900000"),
        ("linger.ms", "soon", "0..900000"),
        ("compression.type", "brotli", "none, gzip, snappy, lz4, zstd"),
        ("socket.keepalive.enable", "maybe", "true, false"),
        ("group.protocol", "newest", "classic, consumer"),
    ] {
        let text = refused(&with(name, value));
        assert!(text.contains(&format!("`{name}`")) && text.contains(says) && !text.contains(value), "{text}");
    }
}

#[test]
fn several_mistakes_are_told_in_one_error() {
    let text = refused(&with("linger.mss", "1").property("acks", "1").property("debug", "banana"));
    assert!(text.contains("3 settings of Kafka are wrong") && text.contains("`debug`"), "{text}");
}

#[test]
fn a_login_that_would_not_take_place_is_refused() {
    let config = || KafkaConfig::new("b");
    let secure = || config().security_protocol(SecurityProtocol::SaslSsl);
    for (config, says) in [
        (config().sasl(SaslMechanism::Plain, "me", "hunter2"), "(`security.protocol`) to SASL_SSL"),
        (config().ssl_ca("/nowhere.pem"), "(`security.protocol`) to SSL or SASL_SSL"),
        (secure(), "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
        (secure().sasl_mechanism(SaslMechanism::ScramSha512), "needs `KafkaConfig::sasl` (`sasl.username`)"),
        (secure().sasl(SaslMechanism::Plain, "me", ""), "needs `KafkaConfig::sasl` (`sasl.password`)"),
        (secure().sasl(SaslMechanism::Plain, "me", "hunter2").ssl_ca("/nowhere.pem"), "there is no file /nowhere.pem"),
        (
            config().security_protocol(SecurityProtocol::Ssl).property("ssl.certificate.location", "/c.pem"),
            "needs the property `ssl.key.location`",
        ),
    ] {
        let text = refused(&config);
        assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
    }
    assert!(secure().sasl(SaslMechanism::ScramSha256, "me", "hunter2").check().is_ok());
}

#[test]
fn times_that_cannot_go_together_are_refused_and_called_as_they_were_said() {
    let seconds = Duration::from_secs;
    let env = |variables: &[(&str, &str)]| KafkaConfig::default().with_variables(variables.iter().copied()).unwrap();
    let classic = KafkaConfig::new("b").session_timeout(seconds(6));
    let new = KafkaConfig::new("b").group_protocol(GroupProtocol::Consumer).heartbeat_interval(seconds(1));
    for (config, text) in [
        (
            classic.clone().heartbeat_interval(seconds(6)),
            "`KafkaConfig::heartbeat_interval` (`heartbeat.interval.ms`) must be shorter than the session time-out of 6s, \
             `KafkaConfig::session_timeout` (`session.timeout.ms`): a third of it",
        ),
        (
            env(&[("KAFKA_CONSUMER_HEARTBEAT_INTERVAL_MS", "30000")]),
            "KAFKA_CONSUMER_HEARTBEAT_INTERVAL_MS (`heartbeat.interval.ms`) must be shorter than the session time-out of 30s: \
             a third of it",
        ),
        (
            classic.property("max.poll.interval.ms", "5000"),
            "the session time-out of 6s, `KafkaConfig::session_timeout` (`session.timeout.ms`), must not be longer than the \
             property `max.poll.interval.ms`, 5s",
        ),
        (
            new,
            "`KafkaConfig::heartbeat_interval` (`heartbeat.interval.ms`) is the broker's to say where \
             `KafkaConfig::group_protocol` (`group.protocol`) is `consumer`",
        ),
        (
            env(&[
                ("KAFKA_CONSUMER_GROUP_PROTOCOL", "consumer"),
                ("KAFKA_PARTITION_ASSIGNMENT_STRATEGY", "cooperative-sticky"),
            ]),
            "KAFKA_PARTITION_ASSIGNMENT_STRATEGY (`partition.assignment.strategy`) is the broker's to say where \
             KAFKA_CONSUMER_GROUP_PROTOCOL (`group.protocol`) is `consumer`",
        ),
        (
            env(&[("KAFKA_PRODUCER_MAX_REQUEST_SIZE", "2000000000")]),
            "KAFKA_PRODUCER_MAX_REQUEST_SIZE (`message.max.bytes`): a message may have from 1 to 900,000,000 bytes",
        ),
        (
            KafkaConfig::new("b").max_message_bytes(0),
            "`KafkaConfig::max_message_bytes` (`message.max.bytes`): a message may have from 1 to 900,000,000 bytes",
        ),
    ] {
        assert_eq!(refused(&config), format!("the configuration of Kafka: {text}"));
    }
}

#[test]
fn an_address_is_called_as_it_was_said_and_shown_where_no_password_can_be_in_it() {
    let env = |servers| KafkaConfig::default().with_variables([("KAFKA_BOOTSTRAP_SERVERS", servers)]).unwrap();
    let file: KafkaConfig = serde_json::from_str(r#"{"bootstrap_servers": "b:port"}"#).unwrap();
    for (config, text) in [
        (KafkaConfig::new(" "), "`KafkaConfig::new` (`bootstrap.servers`) names no broker: it takes host:port"),
        (
            env("a:1,http://b:9092"),
            "KAFKA_BOOTSTRAP_SERVERS (`bootstrap.servers`): `http://b:9092` is no address of a broker, which is host:port",
        ),
        (
            file,
            "`bootstrap_servers` of the file (`bootstrap.servers`): `b:port` is no address of a broker, which is host:port",
        ),
        (
            env("me:hunter2@b:9092"),
            "KAFKA_BOOTSTRAP_SERVERS (`bootstrap.servers`) has a user or a password in an address, which is host:port: \
             KAFKA_SASL_USERNAME (`sasl.username`) and KAFKA_SASL_PASSWORD (`sasl.password`) are for them",
        ),
        (
            KafkaConfig::new("me:hunter2@b:9092"),
            "`KafkaConfig::new` (`bootstrap.servers`) has a user or a password in an address, which is host:port: \
             `KafkaConfig::sasl` (`sasl.username`) and `KafkaConfig::sasl` (`sasl.password`) are for them",
        ),
    ] {
        assert_eq!(refused(&config), format!("the configuration of Kafka: {text}"));
    }
}

#[test]
fn an_address_that_can_be_none_is_told_before_anybody_waits_for_it() {
    for good in ["b", "b:9092", "a:1,b:2", "[::1]:9092", "PLAINTEXT://b:9092", "127.0.0.1:9092, b"] {
        assert!(KafkaConfig::new(good).check().is_ok(), "{good}");
    }
    for bad in ["http://b:9092", "b:99999", "b:port", ":9092", "a:1,", "b:9092/path", "b:0"] {
        assert!(refused(&KafkaConfig::new(bad)).contains("host:port"), "{bad}");
    }
}

/// librdkafka knows of it, and would need a library that it is built without: nothing else that is offered would help.
#[test]
fn what_librdkafka_is_built_without_is_said() {
    let oidc =
        KafkaConfig::new("b").security_protocol(SecurityProtocol::SaslSsl).sasl_mechanism(SaslMechanism::OauthBearer);
    for (name, value) in [("sasl.oauthbearer.method", "oidc"), ("sasl.oauthbearer.token.endpoint.url", "https://h/t")] {
        let text = oidc.clone().property(name, value).check().unwrap_err().to_string();
        assert!(text.contains(name) && text.contains("this build of librdkafka has not"), "{text}");
        assert!(!text.contains("it takes") && !text.contains("https://h/t"), "{text}");
    }
    let text = oidc.check().unwrap_err().to_string();
    assert!(text.contains("KafkaConfig::token_provider") && !text.contains("sasl.oauthbearer.method"), "{text}");
}
