//! OAUTHBEARER with a provider. The broker takes unsigned tokens, which is all that differs from a real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{LaneEvent, Status, Transport as _};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, OauthToken};
use openssl::base64::encode_block;
use tokio::time::{Instant, sleep};

use crate::later::{Way, is_down_by, until_status};
use crate::place::place;
use crate::refusals::texts;
use crate::support::*;

/// An unsigned JWT for `subject`.
fn jwt(subject: &str, lives: Duration) -> OauthToken {
    let url = |text: String| encode_block(text.as_bytes()).replace('+', "-").replace('/', "_").replace(['=', '\n'], "");
    let (now, expires) = (SystemTime::now(), SystemTime::now() + lives);
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let claims = format!(r#"{{"sub":"{subject}","iat":{:.3},"exp":{:.3}}}"#, seconds(now), seconds(expires));
    let token = format!("{}.{}.", url(r#"{"alg":"none"}"#.into()), url(claims));
    OauthToken::new(token, subject, expires)
}

/// A provider that counts and can be told to fail.
#[derive(Clone, Default)]
struct Issuer {
    asked: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
}

impl Issuer {
    fn on(&self, config: KafkaConfig, lives: Duration, takes: Duration) -> KafkaConfig {
        let this = self.clone();
        config.token_provider(move || {
            let this = this.clone();
            async move {
                this.asked.fetch_add(1, SeqCst);
                sleep(takes).await;
                match this.down.load(SeqCst) {
                    true => Err("the identity server is down"),
                    false => Ok(jwt("svc", lives)),
                }
            }
        })
    }
}

const NO_TIME: Duration = Duration::ZERO;

/// The broker ends a session with its token, so going on proves that each client got the next one.
pub(crate) async fn a_provider_logs_in_and_is_asked_again_before_its_token_ends() {
    let issuer = Issuer::default();
    let transport = KafkaTransport::new(issuer.on(place().sasl_ssl(), Duration::from_secs(4), NO_TIME));
    let topic = topic(&transport, "tokens", 1).await;
    let publisher = publisher(&transport).await;
    let mut reader = Reader::new(&transport, eager(&unique("g"), &[&topic])).await;
    let (begun, mut next) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(13) {
        publisher.publish(numbered(&topic, 0, next..next + 1)).await.unwrap();
        next += 1;
        reader.step(Duration::from_millis(50)).await;
        reader.settle_all();
    }
    reader.until_count(next as usize).await;
    assert_eq!(reader.numbers(), (0..next).collect::<Vec<_>>());
    assert!(
        !reader.events.iter().any(|it| matches!(it, LaneEvent::Degraded(_) | LaneEvent::Lost(_))),
        "{:?}",
        reader.events
    );
    let asked = issuer.asked.load(SeqCst);
    assert!((4..=8).contains(&asked), "one token of 4 s after the other, each for all clients: {asked}");
    assert_eq!(transport.status(), Status::Up);
    reader.close().await;
}

pub(crate) async fn a_provider_that_fails_at_first_fails_the_start_in_its_deadline() {
    let issuer = Issuer::default();
    issuer.down.store(true, SeqCst);
    let config =
        issuer.on(place().sasl_ssl().connect_timeout(Duration::from_secs(2)), Duration::from_secs(60), NO_TIME);
    let transport = KafkaTransport::new(config);
    let begun = Instant::now();
    let error = transport.subscribe(eager(&unique("g"), &[&"it.any".into()])).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no token to log in to Kafka: the identity server is down"), "{error}");
    issuer.down.store(false, SeqCst);
    topic(&transport, "healed", 1).await;
}

pub(crate) async fn a_token_that_the_broker_does_not_take_is_a_clear_error() {
    let config = place().sasl_ssl().token_provider(async || {
        Ok::<_, String>(OauthToken::new("hunter2.hunter2.", "svc", SystemTime::now() + Duration::from_secs(60)))
    });
    let transport = KafkaTransport::new(config);
    let begun = Instant::now();
    let error = transport.subscribe(eager(&unique("g"), &[&"it.any".into()])).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let text = texts(&error);
    assert_eq!(error.kind(), ErrorKind::Refused, "{text}");
    assert!(text.contains("uthentication") && !text.contains("hunter2"), "{text}");
    assert!(!format!("{transport:?} {:?}", transport.status()).contains("hunter2"));
}

pub(crate) async fn a_provider_that_fails_later_shows_and_heals() {
    let (place, issuer) = (place(), Issuer::default());
    let way = Way::open(&place).await;
    let config = issuer.on(way.through(place.sasl_ssl()), Duration::from_secs(3), NO_TIME);
    let transport = KafkaTransport::new(config);
    let topic = topic(&transport, "later", 1).await;
    let publisher = publisher(&transport).await;
    publisher.publish(numbered(&topic, 0, 0..3)).await.unwrap();
    let mut reader = Reader::new(&transport, eager(&unique("g"), &[&topic])).await;
    reader.until_count(3).await;
    issuer.down.store(true, SeqCst);
    until_status(&transport, "the end of the last token", |status| is_down_by(status, "the identity server is down"))
        .await;
    way.cut().await;
    reader.until("degraded", |it| it.events.iter().any(|event| matches!(event, LaneEvent::Degraded(_)))).await;
    issuer.down.store(false, SeqCst);
    until_status(&transport, "a new token", |status| *status == Status::Up).await;
    publisher.publish(numbered(&topic, 0, 3..6)).await.unwrap();
    reader.until("what came after", |it| it.numbers().contains(&5)).await;
    reader.close().await;
}

/// A poll thread that waited for the provider would serve no rebalance and report no delivery.
pub(crate) async fn a_slow_provider_keeps_nothing_waiting() {
    let issuer = Issuer::default();
    let config = issuer.on(place().sasl_ssl(), Duration::from_secs(8), Duration::from_millis(1800));
    let transport = KafkaTransport::new(config);
    let topic = topic(&transport, "slow", 1).await;
    let publisher = publisher(&transport).await;
    publisher.publish(numbered(&topic, 0, 0..1)).await.unwrap();
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(9) {
        let publishing = Instant::now();
        publisher.publish(numbered(&topic, 0, 0..1)).await.unwrap();
        longest = longest.max(publishing.elapsed());
    }
    assert!(issuer.asked.load(SeqCst) >= 2);
    assert!(longest < Duration::from_millis(1000), "{longest:?}");
}
