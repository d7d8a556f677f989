//! What cannot work is one clear error, early: what, where, and what to do; and no secret in any text.

use std::error::Error as _;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Status, TopicSpec, TopologyMode, Transport as _};
use gulo_bus_core::{Error, ErrorKind};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, SaslMechanism, SecurityProtocol};
use tokio::time::Instant;

use crate::place::place;
use crate::support::*;

/// Whatever a program sees of an error.
pub(crate) fn texts(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(deeper) = source {
        text += &format!(" {deeper} {deeper:?}");
        source = deeper.source();
    }
    text
}

/// Making sure of a topic and subscribing both fail like this, within that time.
async fn refused(config: KafkaConfig, within: Duration, kind: ErrorKind, says: &[&str]) {
    let transport = KafkaTransport::new(config);
    let topic: std::sync::Arc<str> = unique("refused").into();
    let begun = Instant::now();
    let wanted = topology(TopologyMode::Create, vec![TopicSpec::new(topic.clone())]);
    let ensured = transport.ensure(&wanted).await.unwrap_err();
    let subscribed = transport.subscribe(eager(&unique("g"), &[&topic])).await.err().unwrap();
    assert!(begun.elapsed() < within * 2, "{:?}: {ensured}", begun.elapsed());
    for error in [ensured, subscribed] {
        let text = texts(&error);
        assert_eq!(error.kind(), kind, "{text}");
        for part in says {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
    // What the transport is asked next says so too.
    if kind != ErrorKind::Config {
        assert!(matches!(transport.status(), Status::Down { .. }), "{:?}", transport.status());
    }
    assert!(!format!("{transport:?} {:?}", transport.status()).contains("hunter2"));
}

/// Where waiting does not mend it, nobody waits for the 10 s of the deadline.
const AT_ONCE: Duration = Duration::from_secs(3);

pub(crate) async fn a_wrong_password() {
    let place = place();
    let address = place.listener("SASL_SSL");
    for (mechanism, user) in [
        (SaslMechanism::ScramSha512, "alice"),
        (SaslMechanism::ScramSha256, "alice"),
        (SaslMechanism::ScramSha512, "nobody"),
        (SaslMechanism::Plain, "bob"),
    ] {
        let config = place.sasl_ssl().sasl(mechanism, user, "hunter2-hunter2");
        let says = [&*address, "Authentication failed", "check sasl.mechanism, sasl.username and sasl.password"];
        refused(config, AT_ONCE, ErrorKind::Refused, &says).await;
    }
}

pub(crate) async fn a_mechanism_that_the_broker_has_not() {
    let config = KafkaConfig::new(place().listener("SASL")).security_protocol(SecurityProtocol::SaslPlaintext);
    let config = config.sasl(SaslMechanism::Plain, "bob", "hunter2-hunter2");
    let says = ["supported mechanisms: SCRAM-SHA-512", "set sasl.mechanism (KAFKA_SASL_MECHANISM)"];
    refused(config, AT_ONCE, ErrorKind::Refused, &says).await;
}

pub(crate) async fn a_ca_that_is_not_ours() {
    let place = place();
    let (config, ca) = (place.alice().ssl_ca(place.pki("otherca.pem")), place.pki("otherca.pem"));
    let says = ["is of no CA in", ca.to_str().unwrap(), "ssl.ca.location (KAFKA_SSL_CAFILE)"];
    refused(config, AT_ONCE, ErrorKind::Unavailable, &says).await;
}

pub(crate) async fn a_certificate_that_has_expired() {
    let says = ["cannot be trusted: its certificate has expired: Jan  2 00:00:00 2020"];
    refused(place().ssl("EXPIRED"), AT_ONCE, ErrorKind::Unavailable, &says).await;
}

pub(crate) async fn a_certificate_of_another_host() {
    let says = ["its certificate is for elsewhere.test, not for 127.0.0.1"];
    refused(place().ssl("WRONG_HOST"), AT_ONCE, ErrorKind::Unavailable, &says).await;
}

pub(crate) async fn no_certificate_of_ours_where_one_is_wanted() {
    let says = ["the broker wants a client certificate", "ssl.certificate.location and ssl.key.location"];
    refused(place().ssl("MTLS"), AT_ONCE, ErrorKind::Refused, &says).await;
}

/// librdkafka names no cause at all here.
pub(crate) async fn no_tls_where_it_is_wanted() {
    let place = place();
    let says = ["the listener wants TLS", "set security.protocol (KAFKA_SECURITY_PROTOCOL) to"];
    for listener in ["SASL_SSL", "MTLS"] {
        refused(KafkaConfig::new(place.listener(listener)), AT_ONCE, ErrorKind::Config, &says).await;
    }
}

pub(crate) async fn tls_where_there_is_none() {
    let says = ["the listener does not speak TLS", "set security.protocol (KAFKA_SECURITY_PROTOCOL) to PLAINTEXT"];
    refused(place().ssl("PLAIN"), AT_ONCE, ErrorKind::Config, &says).await;
}

pub(crate) async fn a_broker_that_is_not_there() {
    let config = KafkaConfig::new("127.0.0.1:1").connect_timeout(Duration::from_secs(1));
    let says = ["Kafka at 127.0.0.1:1 cannot be reached", "Connection refused", "is it running?"];
    refused(config, Duration::from_secs(2), ErrorKind::Unavailable, &says).await;
}

pub(crate) async fn a_host_that_is_not_there() {
    let config = KafkaConfig::new("kafka.invalid:9092").connect_timeout(Duration::from_secs(1));
    refused(config, Duration::from_secs(2), ErrorKind::Unavailable, &["kafka.invalid:9092", "is the name right?"])
        .await;
}

pub(crate) async fn a_topic_that_is_not_there() {
    let transport = KafkaTransport::new(place().alice());
    let topic: std::sync::Arc<str> = unique("absent").into();
    let checked = transport.ensure(&topology(TopologyMode::Check, vec![TopicSpec::new(topic.clone())])).await;
    let subscribed = transport.subscribe(eager(&unique("g"), &[&topic])).await;
    for error in [checked.unwrap_err(), subscribed.err().unwrap()] {
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert!(error.to_string().contains(&format!("no such topic: `{topic}`")), "{error}");
    }
}

/// A publisher does not connect before it has something to send, and what is wrong may be set right in the time a message has. So
/// it is told then, with the cause.
pub(crate) async fn a_publish_that_cannot_log_in_tells_the_cause_when_its_time_is_over() {
    let place = place();
    let wrong_password = place.sasl_ssl().sasl(SaslMechanism::ScramSha512, "alice", "hunter2-hunter2");
    for (config, says) in [
        (wrong_password, ["Authentication failed", "check sasl.mechanism, sasl.username and sasl.password"]),
        (place.alice().ssl_ca(place.pki("otherca.pem")), ["certificate verify failed", "KAFKA_SSL_CAFILE"]),
        (place.ssl("EXPIRED"), ["certificate verify failed", "has to be renewed on the broker"]),
        (place.ssl("MTLS"), ["alert bad certificate", "ssl.certificate.location"]),
        (place.ssl("PLAIN"), ["the listener answers without TLS", "set security.protocol"]),
        (KafkaConfig::new(place.listener("SASL_SSL")), ["brokers are down", "does the listener want TLS"]),
    ] {
        let transport = KafkaTransport::new(config.publish_timeout(Duration::from_secs(2)));
        let publisher = publisher(&transport).await;
        let begun = Instant::now();
        let unsent = publisher.publish(vec![Message::new("it.any", "1")]).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        let text = format!("{unsent} {unsent:?} {:?}", transport.status());
        assert!(says.iter().all(|part| text.contains(part)) && !text.contains("(is it running"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

pub(crate) async fn a_transaction_that_cannot_log_in() {
    let place = place();
    let wrong_password = place.sasl_ssl().sasl(SaslMechanism::ScramSha512, "alice", "hunter2-hunter2");
    for (config, says) in
        [(wrong_password, "Authentication failed"), (place.alice().ssl_ca(place.pki("otherca.pem")), "certificate")]
    {
        let transport = KafkaTransport::new(config);
        let begun = Instant::now();
        let error = transport.transaction(&unique("id")).await.err().unwrap();
        let text = texts(&error);
        assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
        assert!(begun.elapsed() < AT_ONCE, "{:?}: {text}", begun.elapsed());
    }
}
