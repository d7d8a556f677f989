//! Several brokers to begin with, not all of them well: one is enough to start with, and the cause that lasts is the one that is
//! told.

use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{TopologyMode, Transport as _};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, SaslMechanism};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::place::{Place, place};
use crate::support::*;

fn also_at(config: KafkaConfig, servers: [&str; 2]) -> KafkaConfig {
    config.with_variables([("KAFKA_BOOTSTRAP_SERVERS", servers.join(",").as_str())]).unwrap()
}

fn orders_service(place: &Place) -> KafkaConfig {
    place.ssl("MTLS").ssl_certificate(place.pki("client.crt"), place.pki("client.key"))
}

/// A certificate is renewed on one broker after the other, and one was forgotten. Which of them librdkafka tries first is
/// chance, so often enough.
pub(crate) async fn a_broker_that_cannot_be_trusted_beside_one_that_can_does_not_fail_the_start() {
    let place = place();
    let (bad, good) = (place.listener("EXPIRED"), place.listener("MTLS"));
    for servers in [[&*bad, &*good], [&*good, &*bad]].repeat(4) {
        let transport = KafkaTransport::new(also_at(orders_service(&place), servers));
        let topic = topic(&transport, "several", 1).await;
        publish(&transport, numbered(&topic, 0, 0..1)).await;
    }
}

/// Nobody is there at one address, and the other one refuses us: that is what is told, and not after the whole deadline.
pub(crate) async fn a_refusal_tells_more_than_a_broker_that_is_away() {
    let place = place();
    let (away, refuses) = ("127.0.0.1:1", place.listener("SASL_SSL"));
    for servers in [[away, &*refuses], [&*refuses, away]].repeat(2) {
        let config = place.sasl_ssl().sasl(SaslMechanism::ScramSha512, "alice", "hunter2-hunter2");
        let transport = KafkaTransport::new(also_at(config, servers));
        let begun = Instant::now();
        let error = transport.subscribe(eager(&unique("g"), &[&"it.any".into()])).await.err().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(7), "{:?}: {error}", begun.elapsed());
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("check sasl.mechanism"), "{error}");
    }
}

/// Ends the first connections in the middle of their handshakes.
async fn restarting(upstream: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            if number < 8 {
                // It has said hello.
                drop(client.readable().await);
                continue;
            }
            let mut server = TcpStream::connect(&upstream).await.unwrap();
            tokio::spawn(async move { drop(tokio::io::copy_bidirectional(&mut client, &mut server).await) });
        }
    });
    address
}

/// librdkafka takes such a broker for one without TLS, now and then: so often enough.
pub(crate) async fn a_connection_that_ends_in_the_handshake_fails_no_start() {
    let place = place();
    for _ in 0..6 {
        let address = restarting(place.listener("SASL_SSL")).await;
        let config = place.alice().with_variables([("KAFKA_BOOTSTRAP_SERVERS", &*address)]).unwrap();
        let transport = KafkaTransport::new(config);
        transport.ensure(&topology(TopologyMode::Check, Vec::new())).await.unwrap();
    }
}

/// All of them refuse: there is nothing to wait for.
pub(crate) async fn brokers_that_all_refuse_fail_the_start_at_once() {
    let place = place();
    let (one, other) = (place.listener("EXPIRED"), place.listener("WRONG_HOST"));
    let transport = KafkaTransport::new(also_at(place.ssl("EXPIRED"), [&one, &other]));
    let begun = Instant::now();
    let error = transport.subscribe(eager(&unique("g"), &[&"it.any".into()])).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}: {error}", begun.elapsed());
    let text = error.to_string();
    assert!(text.contains("has expired") || text.contains("is for elsewhere.test"), "{text}");
}
