//! Settings in code.

use super::*;

#[test]
fn debug_shows_no_secret() {
    let config = KafkaConfig::new("b:9092")
        .property("sasl.password", "hunter2-hunter2")
        .property("ssl.key.pem", "-----BEGIN")
        .property("my.plugin.token", "abcdef")
        .property("log.queue", "true")
        .property("security.protocol", "sasl_ssl");
    let text = format!("{config:?} {config:#?}");
    for secret in ["hunter2", "BEGIN", "abcdef"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("sasl.password") && text.contains("sasl_ssl"));
    assert!(text.contains(r#""log.queue": "true""#), "a flag is none: {text}");
}

#[test]
fn an_address_with_a_password_is_refused_and_shown_nowhere() {
    let config = KafkaConfig::new("me:hunter2@broker:9092");
    let error = config.check().expect_err("refused");
    assert!(!format!("{config:?} {error:?}").contains("hunter2"));
}

#[test]
fn a_password_of_digits_is_blotted_out_too() {
    let secrets = KafkaConfig::new("b").property("sasl.password", "123").secrets();
    assert!(!secrets.scrub("login with 123 failed").contains("123"));
}

#[test]
fn a_property_given_again_replaces_the_earlier() {
    let config = KafkaConfig::new("b").property("a", "1").property("a", "2");
    assert_eq!(config.said(For::All, "a"), Some("2"));
    assert_eq!(config.properties.iter().count(), 1);
}

#[test]
fn the_poll_interval_is_read_from_the_property() {
    let config = KafkaConfig::new("b");
    assert_eq!(config.max_poll_interval(), Duration::from_secs(300));
    let config = config.property("max.poll.interval.ms", "20000");
    assert_eq!(config.max_poll_interval(), Duration::from_secs(20));
}

#[test]
fn the_effective_properties_show_defaults_and_what_was_said_and_no_secret() {
    let config = KafkaConfig::new("b:9092")
        .security_protocol(SecurityProtocol::SaslSsl)
        .sasl(SaslMechanism::ScramSha512, "orders", "hunter2-hunter2")
        .compression(Compression::Zstd)
        .property("ssl.key.password", "hunter2")
        .consumer_property("fetch.min.bytes", "77");
    let (producer, consumer) = (config.producer_properties(), config.consumer_properties());
    for (properties, name, value) in [
        (&producer, "bootstrap.servers", "b:9092"),
        (&producer, "security.protocol", "SASL_SSL"),
        (&producer, "sasl.mechanism", "SCRAM-SHA-512"),
        (&producer, "compression.type", "zstd"),
        (&producer, "acks", "all"),
        (&producer, "delivery.timeout.ms", "30000"),
        (&producer, "sasl.password", "***"),
        (&producer, "ssl.key.password", "***"),
        (&consumer, "fetch.min.bytes", "77"),
        (&consumer, "enable.auto.commit", "false"),
        (&consumer, "session.timeout.ms", "30000"),
        (&consumer, "sasl.password", "***"),
    ] {
        assert_eq!(properties.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!consumer.contains_key("linger.ms") && !consumer.contains_key("group.id"));
    assert!(!producer.contains_key("session.timeout.ms"));
    assert!(!format!("{producer:?} {consumer:?} {config:?}").contains("hunter2"));
}

#[test]
fn what_is_insecure_is_warned_of() {
    let config = || KafkaConfig::new("b");
    let plain = config().security_protocol(SecurityProtocol::SaslPlaintext);
    let unchecked = || config().security_protocol(SecurityProtocol::Ssl);
    for (config, says) in [
        (plain.clone().sasl(SaslMechanism::Plain, "me", "hunter2"), "in the open"),
        (unchecked().property("enable.ssl.certificate.verification", "false"), "anybody"),
        (unchecked().property("ssl.endpoint.identification.algorithm", "none"), "anybody"),
    ] {
        let warnings = config.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(says), "{warnings:?}");
    }
    assert!(config().warnings().is_empty());
    assert!(plain.sasl(SaslMechanism::ScramSha512, "me", "hunter2").warnings().is_empty());
}

/// Waiting for that long must not make the clock overflow.
#[test]
fn times_without_an_end_are_as_long_as_librdkafka_counts() {
    let config = KafkaConfig::new("b:1").publish_timeout(Duration::MAX).connect_timeout(Duration::MAX);
    for time in [config.publish_timeout, config.connect_timeout] {
        assert!(std::time::Instant::now().checked_add(time).is_some() && time > Duration::from_secs(24 * 24 * 3600));
    }
    assert!(config.check().is_ok());
}
