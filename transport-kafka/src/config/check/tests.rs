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
        (config().sasl(SaslMechanism::Plain, "me", "hunter2"), "set `security.protocol` to SASL_SSL"),
        (config().ssl_ca("/nowhere.pem"), "set `security.protocol` to SSL or SASL_SSL"),
        (secure(), "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
        (secure().sasl_mechanism(SaslMechanism::ScramSha512), "needs `sasl.username`"),
        (secure().sasl(SaslMechanism::Plain, "me", ""), "needs `sasl.password`"),
        (secure().sasl(SaslMechanism::Plain, "me", "hunter2").ssl_ca("/nowhere.pem"), "there is no file /nowhere.pem"),
        (
            config().security_protocol(SecurityProtocol::Ssl).property("ssl.certificate.location", "/c.pem"),
            "needs `ssl.key.location`",
        ),
    ] {
        let text = refused(&config);
        assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
    }
    assert!(secure().sasl(SaslMechanism::ScramSha256, "me", "hunter2").check().is_ok());
}

#[test]
fn times_that_cannot_go_together_are_refused() {
    let seconds = Duration::from_secs;
    let config = KafkaConfig::new("b").session_timeout(seconds(6));
    assert!(
        refused(&config.clone().heartbeat_interval(seconds(6))).contains("`heartbeat.interval.ms` must be shorter")
    );
    assert!(
        refused(&config.property("max.poll.interval.ms", "5000"))
            .contains("must not be longer than `max.poll.interval.ms`")
    );
    let new = KafkaConfig::new("b").group_protocol(GroupProtocol::Consumer).heartbeat_interval(seconds(1));
    assert!(refused(&new).contains("`heartbeat.interval.ms` is the broker's to say"));
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
