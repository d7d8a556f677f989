//! Each way to log in, end to end: publish, consume in a group, commit, and go on behind that.

use gulo_bus_core::transport::{Status, Transport as _};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, SaslMechanism, SecurityProtocol};

use crate::place::place;
use crate::support::*;

/// Everything that a service does.
pub(crate) async fn works(config: KafkaConfig) {
    let transport = KafkaTransport::new(config);
    let (topic, group) = (topic(&transport, "secure", 1).await, unique("g"));
    publish(&transport, numbered(&topic, 0, 0..10)).await;
    let mut first = Reader::new(&transport, eager(&group, &[&topic])).await;
    first.until_count(10).await;
    first.settle(0..6);
    first.close().await;
    let mut second = Reader::new(&transport, eager(&group, &[&topic])).await;
    second.until_count(4).await;
    assert_eq!(second.numbers(), [6, 7, 8, 9]);
    second.settle_all();
    second.close().await;
    assert_eq!(transport.status(), Status::Up);
}

pub(crate) async fn tls_with_a_certificate_of_ours_from_files() {
    let place = place();
    works(place.ssl("MTLS").ssl_certificate(place.pki("client.crt"), place.pki("client.key"))).await;
}

pub(crate) async fn tls_with_a_certificate_of_ours_as_text() {
    let place = place();
    let text = |name: &str| std::fs::read_to_string(place.pki(name)).unwrap();
    let config = KafkaConfig::new(place.listener("MTLS")).security_protocol(SecurityProtocol::Ssl);
    let config = config.property("ssl.ca.pem", text("ca.pem")).property("ssl.certificate.pem", text("client.crt"));
    works(config.property("ssl.key.pem", text("client.key"))).await;
}

pub(crate) async fn sasl_plain() {
    works(place().sasl_ssl().sasl(SaslMechanism::Plain, "bob", "bob-secret")).await;
}

pub(crate) async fn scram_sha_256() {
    works(place().sasl_ssl().sasl(SaslMechanism::ScramSha256, "alice", "alice-secret")).await;
}

pub(crate) async fn scram_sha_512() {
    works(place().alice()).await;
}

pub(crate) async fn scram_in_the_open() {
    let config = KafkaConfig::new(place().listener("SASL")).security_protocol(SecurityProtocol::SaslPlaintext);
    works(config.sasl(SaslMechanism::ScramSha512, "alice", "alice-secret")).await;
}

pub(crate) async fn what_a_deployment_sets_in_its_environment() {
    let place = place();
    let (servers, ca) = (place.listener("SASL_SSL"), place.pki("ca.pem"));
    let variables = [
        ("KAFKA_BOOTSTRAP_SERVERS", servers.as_str()),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_SASL_USERNAME", "alice"),
        ("KAFKA_SASL_PASSWORD", "alice-secret"),
        ("KAFKA_SSL_CAFILE", ca.to_str().unwrap()),
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
    ];
    works(KafkaConfig::default().with_variables(variables).unwrap()).await;
    let (servers, certificate, key) = (place.listener("MTLS"), place.pki("client.crt"), place.pki("client.key"));
    let variables = [
        ("KAFKA_BOOTSTRAP_SERVERS", servers.as_str()),
        ("KAFKA_SECURITY_PROTOCOL", "SSL"),
        ("KAFKA_SSL_CAFILE", ca.to_str().unwrap()),
        ("KAFKA_SSL_CERTFILE", certificate.to_str().unwrap()),
        ("KAFKA_SSL_KEYFILE", key.to_str().unwrap()),
    ];
    works(KafkaConfig::default().with_variables(variables).unwrap()).await;
}
