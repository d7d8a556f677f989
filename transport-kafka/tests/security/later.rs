//! What goes wrong after the start shows within seconds, and heals without a restart.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::transport::{Inbox, LaneEvent, Status, Transport as _};
use gulo_bus_core::{Error, ErrorKind};
use gulo_conformance::{Mode, Proxy};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, SaslMechanism};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};

use crate::place::{Place, place};
use crate::support::*;

/// A way to the broker that can be cut, so that connections have to be made anew. One case has it at a time.
pub(crate) struct Way {
    pub(crate) proxy: Arc<Proxy>,
    upstream: String,
    address: String,
    _turn: MutexGuard<'static, ()>,
}

impl Way {
    pub(crate) async fn open(place: &Place) -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        static PROXY: std::sync::OnceLock<Arc<Proxy>> = std::sync::OnceLock::new();
        let (upstream, address) = (place.listener("FAULTY_UPSTREAM"), place.listener("FAULTY_ADVERTISED"));
        let turn = TURN.lock().await;
        let deadline = Instant::now() + PATIENCE;
        while PROXY.get().is_none() {
            match Proxy::start(&address, upstream.clone()) {
                Ok(proxy) => drop(PROXY.set(proxy)),
                // Another run on this machine has it.
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
        Self { proxy: PROXY.get().cloned().unwrap(), upstream, address, _turn: turn }
    }

    /// The same settings by this way.
    pub(crate) fn through(&self, config: KafkaConfig) -> KafkaConfig {
        config.with_variables([("KAFKA_BOOTSTRAP_SERVERS", self.address.as_str())]).unwrap()
    }

    /// Ends all connections; new ones may be made.
    pub(crate) async fn cut(&self) {
        self.proxy.set(Mode::Refuse).await;
        sleep(Duration::from_millis(200)).await;
        self.proxy.set(Mode::Open).await;
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.proxy.lead_to(&self.upstream);
        self.proxy.open();
    }
}

/// Polls until the status is as wanted.
pub(crate) async fn until_status(transport: &KafkaTransport, what: &str, is: impl Fn(&Status) -> bool) -> Status {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let status = transport.status();
        if is(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}: {status:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn is_down_by(status: &Status, word: &str) -> bool {
    matches!(status, Status::Down { reason, .. } if reason.contains(word))
}

fn carol(place: &Place, password: &str) -> KafkaConfig {
    place.sasl_ssl().sasl(SaslMechanism::ScramSha512, "carol", password)
}

/// Carol's password is one thing, and two cases change it.
static CAROL: Mutex<()> = Mutex::const_new(());

pub(crate) async fn a_new_password_is_wanted_from_the_next_connection_on() {
    let (place, _turn) = (place(), CAROL.lock().await);
    place.set_password("carol", "carol-new");
    let old = KafkaTransport::new(carol(&place, "carol-secret"));
    let error = old.subscribe(eager(&unique("g"), &[&"it.any".into()])).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    crate::mechanisms::works(carol(&place, "carol-new")).await;
    place.set_password("carol", "carol-secret");
}

pub(crate) async fn a_login_that_fails_after_the_start_shows_and_heals() {
    let (place, _turn) = (place(), CAROL.lock().await);
    place.set_password("carol", "carol-secret");
    let way = Way::open(&place).await;
    let transport =
        KafkaTransport::new(way.through(carol(&place, "carol-secret")).publish_timeout(Duration::from_secs(3)));
    let topic = topic(&transport, "later", 1).await;
    let publisher = publisher(&transport).await;
    publisher.publish(numbered(&topic, 0, 0..3)).await.unwrap();
    let mut reader = Reader::new(&transport, eager(&unique("g"), &[&topic])).await;
    reader.until_count(3).await;

    place.set_password("carol", "carol-new");
    way.cut().await;
    let down = until_status(&transport, "the failed login", |status| is_down_by(status, "uthentication")).await;
    assert!(!format!("{down:?}").contains("carol-secret"), "{down:?}");
    let told =
        |event: &LaneEvent| matches!(event, LaneEvent::Degraded(error) if error.to_string().contains("check sasl"));
    reader.until("the cause", |it| it.events.iter().any(told)).await;
    let unsent = publisher.publish(numbered(&topic, 0, 3..4)).await.unwrap_err();
    assert!(unsent.to_string().contains("uthentication"), "the cause, not only that it timed out: {unsent}");

    place.set_password("carol", "carol-secret");
    until_status(&transport, "the login", |status| *status == Status::Up).await;
    reader.until("recovered", |it| it.events.iter().any(|event| matches!(event, LaneEvent::Recovered))).await;
    publisher.publish(numbered(&topic, 0, 4..6)).await.unwrap();
    reader.until("the last", |it| it.numbers().contains(&5)).await;
    reader.close().await;
}

/// As where a certificate was renewed too late, and then was.
pub(crate) async fn a_certificate_that_expires_after_the_start_shows_and_heals() {
    let place = place();
    let way = Way::open(&place).await;
    let transport = KafkaTransport::new(way.through(place.alice()).publish_timeout(Duration::from_secs(3)));
    let topic = topic(&transport, "expires", 1).await;
    let publisher = publisher(&transport).await;
    publisher.publish(numbered(&topic, 0, 0..1)).await.unwrap();
    let mut reader = Reader::new(&transport, eager(&unique("g"), &[&topic])).await;
    reader.until_count(1).await;

    way.proxy.lead_to(&place.listener("EXPIRED"));
    way.cut().await;
    until_status(&transport, "the bad certificate", |status| is_down_by(status, "certificate verify failed")).await;
    // That the connection ended is told first.
    let told = |event: &LaneEvent| matches!(event, LaneEvent::Degraded(error) if error.to_string().contains("ssl.ca.location"));
    reader.until("the cause", |it| it.events.iter().any(told)).await;
    let unsent = publisher.publish(numbered(&topic, 0, 1..2)).await.unwrap_err();
    assert!(unsent.to_string().contains("certificate verify failed"), "{unsent}");

    way.proxy.lead_to(&way.upstream);
    until_status(&transport, "the good certificate", |status| *status == Status::Up).await;
    reader.until("recovered", |it| it.events.iter().any(|event| matches!(event, LaneEvent::Recovered))).await;
    publisher.publish(numbered(&topic, 0, 2..3)).await.unwrap();
    reader.until("the last", |it| it.numbers().contains(&2)).await;
    reader.close().await;
}

/// What the source says when it ends, or is degraded.
pub(crate) async fn trouble(reader: &mut Reader) -> Error {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        assert!(Instant::now() < deadline, "waited in vain for trouble: {:?}", reader.events);
        let mut inbox = Inbox::default();
        if let Ok(Err(error)) = timeout(Duration::from_millis(200), reader.source.recv(&mut inbox, 100)).await {
            return error;
        }
        for event in inbox.events {
            if let LaneEvent::Degraded(error) = event {
                return error;
            }
        }
    }
}

pub(crate) async fn a_right_that_is_taken_away_shows_and_its_return_heals() {
    let place = place();
    let transport = KafkaTransport::new(place.alice());
    let (topic, group) = (topic(&transport, "taken", 1).await, unique("g"));
    let publisher = publisher(&transport).await;
    publisher.publish(numbered(&topic, 0, 0..3)).await.unwrap();
    let mut reader = Reader::new(&transport, eager(&group, &[&topic])).await;
    reader.until_count(3).await;

    place.deny("alice", "topic", &topic, true);
    let unsent = publisher.publish(numbered(&topic, 0, 3..4)).await.unwrap_err();
    assert!(unsent.to_string().contains("authorization failed"), "{unsent}");
    let error = trouble(&mut reader).await;
    assert!(error.to_string().contains("authorization failed"), "{error}");
    // A bus subscribes anew until it is let in.
    let refused = transport.subscribe(eager(&group, &[&topic])).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");

    place.deny("alice", "topic", &topic, false);
    let deadline = Instant::now() + PATIENCE;
    while publisher.publish(numbered(&topic, 0, 4..5)).await.is_err() {
        assert!(Instant::now() < deadline, "publishing does not heal");
        sleep(Duration::from_millis(200)).await;
    }
    drop(reader);
    let mut again = Reader::new(&transport, eager(&group, &[&topic])).await;
    again.until("what came meanwhile", |it| it.numbers().contains(&4)).await;
    again.close().await;
}
