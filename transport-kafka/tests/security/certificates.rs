//! Certificates as text, of a CA that the broker does not know, and one that ends while the connection is up.

use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{Status, TopologyMode, Transport as _};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, SecurityProtocol};
use tokio::time::{Instant, sleep};

use crate::later::{Way, is_down_by, until_status};
use crate::place::{Place, place};
use crate::support::*;

fn text(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.pki(name)).unwrap()
}

/// Has the listener for faults show another certificate from the next connection on, until it is dropped.
struct Shown<'a>(&'a Place);

impl Shown<'_> {
    fn set(&self, certificate: &str) {
        let config = format!("listener.name.faulty.ssl.keystore.location={}", self.0.pki(certificate).display());
        let entity = ["--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config", &config];
        self.0.tool("kafka.admin.ConfigCommand", &entity);
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.set("broker.pem");
    }
}

/// The broker takes a moment to change it.
async fn until_shown(place: &Place) {
    let config =
        place.alice().with_variables([("KAFKA_BOOTSTRAP_SERVERS", place.listener("FAULTY_UPSTREAM").as_str())]);
    let transport = KafkaTransport::new(config.unwrap());
    let deadline = Instant::now() + PATIENCE;
    while transport.ensure(&topology(TopologyMode::Check, Vec::new())).await.is_ok() {
        assert!(Instant::now() < deadline, "the broker shows its old certificate");
        sleep(Duration::from_millis(100)).await;
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
    until_shown(&place).await;
    way.cut().await;
    until_status(&transport, "the certificate", |status| is_down_by(status, "its certificate has expired")).await;
    let unsent = publisher.publish(numbered(&topic, 0, 1..2)).await.unwrap_err();
    drop(shown);
    assert!(unsent.to_string().contains("its certificate has expired"), "{unsent}");
    until_status(&transport, "the new certificate", |status| *status == Status::Up).await;
    publisher.publish(numbered(&topic, 0, 2..3)).await.unwrap();
}
