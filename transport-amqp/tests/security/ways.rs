//! What is meant to work, from end to end.

use std::time::Duration;

use gulo_bus_core::transport::Transport as _;
use gulo_transport_amqp::{AmqpConfig, AmqpTransport};

use crate::place::*;

pub(crate) async fn a_password_without_tls() {
    works(place().plain("admin")).await;
}

pub(crate) async fn tls_with_a_ca_of_ours_from_a_file() {
    works(place().tls("TLS")).await;
}

pub(crate) async fn tls_with_a_ca_of_ours_as_text() {
    works(place().tls("TLS").ssl_ca_pem(place().pem("ca.pem"))).await;
}

pub(crate) async fn tls_to_a_name_instead_of_a_number() {
    let address = place().listener("TLS").replace("127.0.0.1", "localhost");
    works(place().tls("TLS").url(&format!("amqps://admin:admin-secret@{address}/%2f"))).await;
}

pub(crate) async fn tls_with_a_ca_that_the_system_trusts() {
    if crate::refusals::where_the_system_trusts_the_ca("ways::tls_with_a_ca_that_the_system_trusts") {
        works(quick(&format!("amqps://admin:admin-secret@{}", place().listener("TLS")))).await;
    }
}

pub(crate) async fn a_certificate_of_ours_from_files() {
    works(place().tls("MTLS").ssl_certificate(place().pki("client.crt"), place().pki("client.key"))).await;
}

pub(crate) async fn a_certificate_of_ours_as_text() {
    works(place().tls("MTLS").ssl_certificate_pem(place().pem("client.crt"), place().pem("client.key"))).await;
}

pub(crate) async fn a_certificate_of_ours_out_of_pkcs12() {
    works(place().tls("MTLS").ssl_pkcs12(place().pki("client.p12"), "key-secret")).await;
}

pub(crate) async fn external_without_a_password() {
    works(place().external()).await;
}

pub(crate) async fn external_by_the_address() {
    let config = quick(&format!("amqps://{}?auth_mechanism=external", place().listener("TLS")));
    works(config.ssl_ca(place().pki("ca.pem")).ssl_pkcs12(place().pki("client.p12"), "key-secret")).await;
}

pub(crate) async fn another_vhost() {
    let (place, topic) = (place(), topic("elsewhere").await);
    let url = format!("amqp://admin:admin-secret@{}/{}", place.listener("PLAIN"), place.listener("VHOST"));
    works(quick(&url)).await;
    let there = AmqpTransport::new(quick(&url).declares(false));
    let error = there.subscribe(reading(&topic)).await.err().unwrap().to_string();
    assert!(error.starts_with("no such topic"), "what is in `/` is not in `second`: {error}");
}

pub(crate) async fn what_a_deployment_sets_in_its_environment() {
    let place = place();
    let [ca, crt, key] = ["ca.pem", "client.crt", "client.key"].map(|name| place.pki(name).display().to_string());
    let variables = [
        ("AMQP_URL", format!("amqps://{}/%2f", place.listener("MTLS"))),
        ("AMQP_AUTH_MECHANISM", "external".into()),
        ("AMQP_SSL_CAFILE", ca),
        ("AMQP_SSL_CERTFILE", crt),
        ("AMQP_SSL_KEYFILE", key),
        ("AMQP_QUEUE_TYPE", "classic".into()),
        ("AMQP_HEARTBEAT_SECONDS", "3".into()),
        ("AMQP_SERVICE_HOST", "10.0.0.1".into()),
    ];
    works(AmqpConfig::new("amqp://nobody-is-here:1").with_variables(variables).unwrap()).await;
}

/// The broker looks at them: one that it cannot understand it refuses, and one that it understands does what it should.
pub(crate) async fn arguments_of_queues_arrive() {
    let full = place().plain("admin").queue_argument("x-max-length", 1).queue_argument("x-overflow", "reject-publish");
    let (transport, topic) = (AmqpTransport::new(full), std::sync::Arc::from(unique("full")));
    transport.ensure(&topology(gulo_bus_core::transport::TopologyMode::Create, &topic, "g")).await.unwrap();
    let sent =
        [publish(&transport, &topic).await, publish(&transport, &topic).await, publish(&transport, &topic).await];
    assert!(sent[0].is_ok());
    let unsent = sent.into_iter().find_map(Result::err).expect("the queue is full").to_string();
    assert!(unsent.contains("did not take it"), "{unsent}");
}

pub(crate) async fn a_heartbeat_of_the_address_is_agreed_on() {
    let place = place();
    let url = format!("amqp://admin:admin-secret@{}?heartbeat=7", place.listener("PLAIN"));
    let name = unique("heartbeat");
    let transport = AmqpTransport::new(quick(&url).connection_name(name.clone()));
    let publisher = transport.publisher().await.unwrap();
    let listed = place.told(&["-q", "list_connections", "client_properties", "timeout"]);
    let ours = listed.lines().find(|line| line.contains(&name)).expect("listed");
    assert!(ours.trim().ends_with("\t7"), "{ours}");
    publisher.close(tokio::time::Instant::now() + PATIENCE).await.unwrap();
}

/// A certificate that is renewed is taken with the next connection.
pub(crate) async fn files_are_read_anew_for_each_connection() {
    let folder = std::env::temp_dir().join(unique("anew"));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("ca.pem");
    std::fs::copy(place().pki("otherca.pem"), &file).unwrap();
    let transport = AmqpTransport::new(place().tls("TLS").ssl_ca(&file).connect_timeout(Duration::from_secs(5)));
    assert!(transport.publisher().await.is_err());
    std::fs::copy(place().pki("ca.pem"), &file).unwrap();
    assert!(transport.publisher().await.is_ok());
    std::fs::remove_dir_all(&folder).unwrap();
}
