//! What is told of each way not to get in, to the letter: what is wrong with exactly that, and what to do.

use std::time::{Duration, SystemTime};

use gulo_bus_core::transport::Transport as _;
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, OauthToken, SaslMechanism, SecurityProtocol};
use tokio::time::Instant;

use crate::place::{Place, place};
use crate::support::*;

/// What a start says of it, without the time that librdkafka adds, and in which it says so.
async fn told(config: KafkaConfig) -> String {
    let begun = Instant::now();
    let error = KafkaTransport::new(config).subscribe(eager(&unique("g"), &[&"it.any".into()])).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}: {error}", begun.elapsed());
    let text = error.to_string();
    match text.split_once(" (after ") {
        Some((before, rest)) => format!("{before}{}", rest.split_once(')').unwrap().1),
        None => text,
    }
}

fn logging_in(place: &Place, protocol: SecurityProtocol, listener: &str) -> KafkaConfig {
    let config = KafkaConfig::new(place.listener(listener)).security_protocol(protocol);
    config.sasl(SaslMechanism::ScramSha512, "alice", "alice-secret")
}

pub(crate) async fn a_token_that_is_refused() {
    let place = place();
    let config = place.sasl_ssl().token_provider(async || {
        Ok::<_, String>(OauthToken::new("hunter2.hunter2.", "svc", SystemTime::now() + Duration::from_secs(60)))
    });
    let address = place.listener("SASL_SSL");
    let text = format!(
        "Kafka at {address} cannot be reached: sasl_ssl://{address}/bootstrap: SASL authentication error: \
         {{\"status\":\"invalid_token\"}} (the broker does not take the token of KafkaConfig::token_provider: it has to \
         be of an issuer that the broker trusts, for its audience and scope, and valid by its clock)"
    );
    assert_eq!(told(config).await, text);
}

/// librdkafka says of all of them that brokers are down.
pub(crate) async fn what_the_listener_wants_and_we_do_not_do() {
    let place = place();
    let plain = |listener: &str| KafkaConfig::new(place.listener(listener));
    let all = "OAUTHBEARER, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512";
    let login = |tls: &str, names: &str| format!("{tls}wants a login ({names})");
    let and = ", and sasl.mechanism (KAFKA_SASL_MECHANISM) to what it offers";
    for (config, listener, wants, right) in [
        (place.ssl("SASL_SSL"), "SASL_SSL", login("", all), format!("SASL_SSL{and}")),
        (plain("SASL_SSL"), "SASL_SSL", login("wants TLS and ", all), format!("SASL_SSL{and}")),
        (
            logging_in(&place, SecurityProtocol::SaslPlaintext, "SASL_SSL"),
            "SASL_SSL",
            "wants TLS".into(),
            "SASL_SSL".into(),
        ),
        (plain("SASL"), "SASL", login("", "SCRAM-SHA-512"), format!("SASL_PLAINTEXT{and}")),
        (plain("MTLS"), "MTLS", "wants TLS".into(), "SSL or SASL_SSL".into()),
        (plain("EXPIRED"), "EXPIRED", "wants TLS".into(), "SSL".into()),
    ] {
        let address = place.listener(listener);
        let text = format!(
            "Kafka at {address} cannot be reached: the listener {wants} (set security.protocol (KAFKA_SECURITY_PROTOCOL) to \
             {right})"
        );
        assert_eq!(told(config).await, text);
    }
}

pub(crate) async fn tls_where_there_is_none_with_a_login_and_without() {
    let place = place();
    let and = ", and sasl.mechanism (KAFKA_SASL_MECHANISM) to what it offers";
    let sasl_ssl = |listener| logging_in(&place, SecurityProtocol::SaslSsl, listener).ssl_ca(place.pki("ca.pem"));
    for (config, listener, wants, right) in [
        (sasl_ssl("SASL"), "SASL", "does not speak TLS", "SASL_PLAINTEXT".to_owned()),
        (sasl_ssl("PLAIN"), "PLAIN", "does not speak TLS and wants no login", "PLAINTEXT".to_owned()),
        (place.ssl("PLAIN"), "PLAIN", "does not speak TLS", "PLAINTEXT".to_owned()),
        (
            place.ssl("SASL"),
            "SASL",
            "does not speak TLS and wants a login (SCRAM-SHA-512)",
            format!("SASL_PLAINTEXT{and}"),
        ),
    ] {
        let address = place.listener(listener);
        let text = format!(
            "Kafka at {address} cannot be reached: the listener {wants} (name its TLS port, or set security.protocol \
             (KAFKA_SECURITY_PROTOCOL) to {right})"
        );
        assert_eq!(told(config).await, text);
    }
}

pub(crate) async fn a_login_where_none_is_wanted() {
    let place = place();
    let with_certificate = logging_in(&place, SecurityProtocol::SaslSsl, "MTLS").ssl_ca(place.pki("ca.pem"));
    let with_certificate = with_certificate.ssl_certificate(place.pki("client.crt"), place.pki("client.key"));
    for (config, listener, scheme, right) in [
        (with_certificate, "MTLS", "sasl_ssl", "SSL"),
        (logging_in(&place, SecurityProtocol::SaslPlaintext, "PLAIN"), "PLAIN", "sasl_plaintext", "PLAINTEXT"),
    ] {
        let address = place.listener(listener);
        let text = format!(
            "Kafka at {address} cannot be reached: {scheme}://{address}/bootstrap: SASL SCRAM-SHA-512 mechanism handshake \
             failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (the listener wants no \
             login: name its port with one, or set security.protocol (KAFKA_SECURITY_PROTOCOL) to {right})"
        );
        assert_eq!(told(config).await, text);
    }
}

pub(crate) async fn each_fault_of_a_certificate() {
    let place = place();
    let other = place.pki("otherca.pem");
    let foreign = "set ssl.ca.location (KAFKA_SSL_CAFILE) to a PEM file with the CA that made it; where that is the right one \
                   already, the broker does not send a CA between them";
    let system = logging_in(&place, SecurityProtocol::SaslSsl, "SASL_SSL");
    for (config, listener, complaint, help) in [
        (
            place.alice().ssl_ca(&other),
            "SASL_SSL",
            format!("its certificate is of no CA in {}", other.display()),
            foreign,
        ),
        (system, "SASL_SSL", "its certificate is of no CA in the system's store".into(), foreign),
        (
            place.ssl("EXPIRED"),
            "EXPIRED",
            "its certificate has expired: Jan  2 00:00:00 2020 GMT".into(),
            "it has to be renewed on the broker: no setting here mends it; or is the clock of this machine wrong?",
        ),
        (
            place.ssl("WRONG_HOST"),
            "WRONG_HOST",
            "its certificate is for elsewhere.test, not for 127.0.0.1".into(),
            "connect to a name that it is for (KAFKA_BOOTSTRAP_SERVERS, and advertised.listeners of the broker), or have it \
             made for this one too",
        ),
    ] {
        let text = format!("Kafka at {} cannot be trusted: {complaint} ({help})", place.listener(listener));
        assert_eq!(told(config).await, text);
    }
}
