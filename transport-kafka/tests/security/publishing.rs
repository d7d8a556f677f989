//! Who only publishes meets the same causes, and hears of them with the message that was not sent.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::transport::{Outcome, Status, Transport as _};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, SaslMechanism};
use tokio::time::{Instant, sleep};

use crate::place::place;
use crate::refusals::texts;
use crate::support::*;

const TIMEOUT: Duration = Duration::from_secs(3);

/// A publish says this within its time-out, and the status says it before.
async fn says(config: KafkaConfig, parts: &[&str]) {
    let transport = KafkaTransport::new(config.publish_timeout(TIMEOUT));
    let publisher = publisher(&transport).await;
    let topic: Arc<str> = unique("unsent").into();
    let begun = Instant::now();
    let publishing = publisher.publish(numbered(&topic, 0, 0..2));
    let looking = async {
        while transport.status() == Status::Up {
            assert!(begun.elapsed() < Duration::from_secs(2), "nothing shows");
            sleep(Duration::from_millis(20)).await;
        }
    };
    let (sent, ()) = tokio::join!(publishing, looking);
    let unsent = sent.unwrap_err();
    assert!(begun.elapsed() < TIMEOUT + Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(unsent.failed.len(), 2);
    for failed in &unsent.failed {
        assert_ne!(failed.outcome, Outcome::Refused, "who mends the login may send it again: {unsent}");
        let text = texts(&failed.error);
        for part in parts.iter().chain(&[&*topic]) {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
    let begun = Instant::now();
    drop(publisher.close(Instant::now() + Duration::from_secs(5)).await);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

pub(crate) async fn a_wrong_password_is_told_to_who_publishes() {
    let place = place();
    let config = place.sasl_ssl().sasl(SaslMechanism::ScramSha512, "alice", "hunter2-hunter2");
    says(config, &[&place.listener("SASL_SSL"), "Authentication failed", "check sasl.mechanism"]).await;
}

pub(crate) async fn a_certificate_that_is_not_good_is_told_to_who_publishes() {
    let place = place();
    let (expired, wrong_host) = (place.listener("EXPIRED"), place.listener("WRONG_HOST"));
    says(place.ssl("EXPIRED"), &[&expired, "its certificate has expired", "(it has to be renewed on the broker"]).await;
    says(place.ssl("WRONG_HOST"), &[&wrong_host, "its certificate is for elsewhere.test", "(connect to a name"]).await;
    let foreign = place.alice().ssl_ca(place.pki("otherca.pem"));
    says(foreign, &[&place.listener("SASL_SSL"), "is of no CA in", "(set ssl.ca.location"]).await;
}

pub(crate) async fn no_tls_where_it_is_wanted_is_told_to_who_publishes() {
    let address = place().listener("SASL_SSL");
    says(KafkaConfig::new(&*address), &["security.protocol"]).await;
}

pub(crate) async fn a_missing_topic_is_told_to_who_publishes() {
    let transport = KafkaTransport::new(place().alice());
    let publisher = publisher(&transport).await;
    let topic: Arc<str> = unique("absent").into();
    let begun = Instant::now();
    let unsent = publisher.publish(numbered(&topic, 0, 0..1)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(unsent.failed[0].outcome, Outcome::Refused);
    assert!(unsent.to_string().contains(&*topic) && unsent.to_string().contains("`ensure`"), "{unsent}");
    assert_eq!(transport.status(), Status::Up);
}
