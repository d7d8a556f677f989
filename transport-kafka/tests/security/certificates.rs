//! Certificates as text, of a CA that the broker does not know, and one that ends while the connection is up.

use std::net::TcpStream;
use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{Status, TopologyMode, Transport as _};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, SecurityProtocol};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use tokio::time::Instant;

use crate::later::{Way, is_down_by, until_status};
use crate::place::{Place, place};
use crate::support::*;

fn text(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.pki(name)).unwrap()
}

/// Has the listener for faults show another certificate, until it is dropped.
struct Shown<'a>(&'a Place);

impl Shown<'_> {
    /// The broker takes a moment, and each of its threads by itself: one may show the new one already and another not yet.
    fn set(&self, certificate: &str) {
        let file = self.0.pki(certificate);
        let config = format!("listener.name.faulty.ssl.keystore.location={}", file.display());
        let entity = ["--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config", &config];
        self.0.tool("kafka.admin.ConfigCommand", &entity);
        let wanted = X509::from_pem(&std::fs::read(file).unwrap()).unwrap();
        let (deadline, mut in_a_row) = (Instant::now() + PATIENCE, 0);
        while in_a_row < 12 {
            assert!(Instant::now() < deadline, "the broker does not show {certificate}");
            in_a_row = if self.now().is_some_and(|now| now == wanted) { in_a_row + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn now(&self) -> Option<X509> {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).ok()?;
        builder.set_verify(SslVerifyMode::NONE);
        let stream = TcpStream::connect(self.0.listener("FAULTY_UPSTREAM")).ok()?;
        builder.build().connect("localhost", stream).ok()?.ssl().peer_certificate()
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.set("broker.pem");
    }
}

/// The CA is right and given as text: what is wrong is told all the same, and it is not the CA.
pub(crate) async fn what_is_wrong_is_found_out_with_a_ca_as_text_too() {
    let place = place();
    for (listener, ca, says) in [
        ("EXPIRED", "ca.pem", "its certificate has expired"),
        ("WRONG_HOST", "ca.pem", "its certificate is for elsewhere.test"),
        ("EXPIRED", "otherca.pem", "its certificate is of no CA in ssl.ca.pem"),
    ] {
        let config = KafkaConfig::new(place.listener(listener)).security_protocol(SecurityProtocol::Ssl);
        let transport = KafkaTransport::new(config.property("ssl.ca.pem", text(&place, ca)));
        let error = transport.subscribe(eager(&unique("g"), &[&"it.any".into()])).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains(says), "{error}");
    }
}

pub(crate) async fn a_certificate_of_ours_that_the_broker_does_not_trust() {
    let place = place();
    let transport =
        KafkaTransport::new(place.ssl("MTLS").ssl_certificate(place.pki("foreign.crt"), place.pki("foreign.key")));
    let begun = Instant::now();
    let error = transport.subscribe(eager(&unique("g"), &[&"it.any".into()])).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}: {error}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("client certificate that it trusts"), "{error}");
}

/// A key that is not the certificate's is known before anything is connected to.
pub(crate) async fn a_key_of_another_certificate_is_named() {
    let place = place();
    let config = place.ssl("MTLS").ssl_certificate(place.pki("client.crt"), place.pki("foreign.key"));
    let error = KafkaTransport::new(config).publisher().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("ssl.key.location"), "{error}");
}

/// Its password is set where the other secrets of a deployment are.
pub(crate) async fn a_key_with_a_password() {
    let place = place();
    let config = |password| {
        let config = place.ssl("MTLS").ssl_certificate(place.pki("client.crt"), place.pki("client.locked.key"));
        config.with_variables([("KAFKA_SSL_KEY_PASSWORD", password)]).unwrap()
    };
    crate::mechanisms::works(config("key-secret")).await;
    let transport = KafkaTransport::new(config("hunter2-hunter2"));
    let error = transport.publisher().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let text = format!("{} {transport:?}", crate::refusals::texts(&error));
    assert!(text.contains("ssl.key.location") && !text.contains("hunter2"), "{text}");
}

/// A broker sends its certificate with all CAs between that and the one we know; one that does not is not trusted.
pub(crate) async fn a_ca_between() {
    let place = place();
    let _way = Way::open(&place).await;
    let shown = Shown(&place);
    let address = place.listener("FAULTY_UPSTREAM");
    let config = || place.alice().with_variables([("KAFKA_BOOTSTRAP_SERVERS", address.as_str())]).unwrap();
    let asked = async || {
        KafkaTransport::new(config())
            .ensure(&topology(TopologyMode::Check, Vec::new()))
            .await
            .map_err(|error| error.to_string())
    };
    shown.set("unchained.pem");
    let error = asked().await.unwrap_err();
    assert!(error.contains("its certificate is of no CA in"), "{error}");
    shown.set("chained.pem");
    asked().await.unwrap();
}

/// The broker's certificate ends while we are connected. Nothing happens until a connection has to be made anew.
pub(crate) async fn a_certificate_that_expires_later_shows_and_heals() {
    let place = place();
    let way = Way::open(&place).await;
    let transport = KafkaTransport::new(way.through(place.alice()).publish_timeout(Duration::from_secs(3)));
    let topic = topic(&transport, "expires", 1).await;
    let publisher = publisher(&transport).await;
    publisher.publish(numbered(&topic, 0, 0..1)).await.unwrap();
    let shown = Shown(&place);
    shown.set("expired.pem");
    way.cut().await;
    until_status(&transport, "the certificate", |status| is_down_by(status, "its certificate has expired")).await;
    let unsent = publisher.publish(numbered(&topic, 0, 1..2)).await.unwrap_err();
    drop(shown);
    assert!(unsent.to_string().contains("its certificate has expired"), "{unsent}");
    until_status(&transport, "the new certificate", |status| *status == Status::Up).await;
    publisher.publish(numbered(&topic, 0, 2..3)).await.unwrap();
}
