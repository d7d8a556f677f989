//! A broker that is cut off, by a proxy in front of its listener for faults.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{LaneEvent, Outcome, Status, Transport};
use gulo_conformance::{Mode, Proxy};
use gulo_transport_kafka::KafkaTransport;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

use crate::support::*;

/// A way to the broker that can be cut. The listener for faults knows one address, so one test has it at a time.
pub(crate) struct Way {
    proxy: Arc<Proxy>,
    address: String,
    _turn: MutexGuard<'static, ()>,
}

impl Way {
    pub(crate) async fn open() -> Option<Self> {
        static TURN: Mutex<()> = Mutex::const_new(());
        static PROXY: OnceLock<Arc<Proxy>> = OnceLock::new();
        let deadline = Instant::now() + PATIENCE;
        let (upstream, address) = broker().await?.faulty()?;
        let turn = TURN.lock().await;
        while PROXY.get().is_none() {
            match Proxy::start(&address, upstream.clone()) {
                Ok(proxy) => drop(PROXY.set(proxy)),
                // Another run on this machine has it.
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
        Some(Self { proxy: PROXY.get().cloned()?, address, _turn: turn })
    }

    pub(crate) async fn set(&self, mode: Mode) {
        self.proxy.set(mode).await;
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.proxy.open();
    }
}

pub(crate) fn through(way: &Way, publish_timeout: u64) -> KafkaTransport {
    KafkaTransport::new(config(&way.address).publish_timeout(Duration::from_secs(publish_timeout)))
}

pub(crate) async fn a_topic(what: &str) -> (KafkaTransport, Arc<str>) {
    let direct = transport(&broker().await.unwrap());
    let topic = topic(&direct, what, 1).await;
    (direct, topic)
}

pub(crate) async fn close_returns_by_its_deadline_with_the_broker_gone() {
    let Some(way) = Way::open().await else { return };
    for mode in [Mode::Refuse, Mode::Freeze] {
        way.set(Mode::Open).await;
        let (direct, topic) = a_topic("gone").await;
        publish(&direct, numbered(&topic, 0, 0..10)).await;
        let transport = through(&way, 5);
        let mut spec = eager(&unique("g"), &[&topic]);
        spec.commit.every = 1000;
        spec.commit.interval = Duration::from_secs(600);
        let mut reader = Reader::new(&transport, spec).await;
        reader.until_count(10).await;
        reader.settle_all();
        way.set(mode).await;
        sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        let error = reader.source.close(begun + Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{mode:?}");
        assert!(begun.elapsed() < Duration::from_millis(2500), "{mode:?}: {:?}", begun.elapsed());
    }
}

pub(crate) async fn a_reader_says_that_the_broker_is_gone_and_goes_on_by_itself() {
    let Some(way) = Way::open().await else { return };
    let (direct, topic) = a_topic("back").await;
    publish(&direct, numbered(&topic, 0, 0..5)).await;
    let transport = through(&way, 5);
    let mut reader = Reader::new(&transport, eager(&unique("g"), &[&topic])).await;
    reader.until_count(5).await;
    reader.settle(0..5);
    way.set(Mode::Refuse).await;
    reader.until("degraded", |it| it.events.iter().any(|it| matches!(it, LaneEvent::Degraded(_)))).await;
    assert!(matches!(transport.status(), Status::Down { .. }));
    publish(&direct, numbered(&topic, 0, 5..10)).await;
    way.set(Mode::Open).await;
    reader.until("recovered", |it| it.events.iter().any(|it| matches!(it, LaneEvent::Recovered))).await;
    assert_eq!(transport.status(), Status::Up);
    reader.until_count(10).await;
    assert_eq!(reader.numbers(), (0..10).collect::<Vec<_>>());
    reader.settle(5..10);
    reader.close().await;
}

pub(crate) async fn a_publish_that_is_cut_off_in_flight_is_unknown() {
    let Some(way) = Way::open().await else { return };
    let (_, topic) = a_topic("cut").await;
    let transport = through(&way, 3);
    let publisher = publisher(&transport).await;
    publisher.publish(numbered(&topic, 0, 0..1)).await.unwrap();
    way.set(Mode::Freeze).await;
    let begun = Instant::now();
    let unsent = publisher.publish(numbered(&topic, 0, 1..4)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(unsent.failed.len(), 3);
    assert!(unsent.failed.iter().all(|it| it.outcome == Outcome::Unknown), "{unsent}");
    way.set(Mode::Open).await;
    publisher.publish(numbered(&topic, 0, 4..5)).await.unwrap();
    publisher.close(Instant::now() + PATIENCE).await.unwrap();
}

pub(crate) async fn a_publisher_closes_by_its_deadline_and_tells_who_waits() {
    let Some(way) = Way::open().await else { return };
    let (_, topic) = a_topic("late").await;
    let transport = through(&way, 60);
    let publisher = publisher(&transport).await;
    publisher.publish(numbered(&topic, 0, 0..1)).await.unwrap();
    way.set(Mode::Freeze).await;
    let waiting = {
        let (publisher, topic) = (publisher.clone(), topic.clone());
        tokio::spawn(async move { publisher.publish(numbered(&topic, 0, 1..4)).await })
    };
    sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    let error = publisher.close(begun + Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let unsent = waiting.await.unwrap().unwrap_err();
    assert_eq!(unsent.failed.len(), 3);
    assert!(unsent.failed.iter().all(|it| it.outcome != Outcome::Refused), "{unsent}");
}

pub(crate) async fn lanes_of_a_member_that_was_away_too_long_are_lost_and_come_back() {
    let Some(way) = Way::open().await else { return };
    let (direct, topic) = a_topic("lost").await;
    publish(&direct, numbered(&topic, 0, 0..10)).await;
    let transport = through(&way, 5);
    let group = unique("g");
    let mut one = Reader::new(&transport, eager(&group, &[&topic])).await;
    one.until_count(10).await;
    one.settle(0..2);
    sleep(Duration::from_millis(500)).await;
    way.set(Mode::Freeze).await;
    // The other member gets the partition when the session has run out; what it settles, the first must not undo.
    let mut two = Reader::new(&direct, eager(&group, &[&topic])).await;
    two.until_count(8).await;
    assert_eq!(two.numbers(), (2..10).collect::<Vec<_>>());
    two.settle_all();
    one.settle(2..4);
    two.close().await;
    way.set(Mode::Open).await;
    one.until("lost", |it| it.events.iter().any(|it| matches!(it, LaneEvent::Lost(_)))).await;
    // Verdicts for the epoch that is over.
    one.settle(4..6);
    one.until("the next epoch", |it| it.open().len() == 1).await;
    publish(&direct, numbered(&topic, 0, 10..12)).await;
    one.until_count(12).await;
    assert_eq!(one.numbers()[10..], [10, 11]);
    one.close().await;
}
