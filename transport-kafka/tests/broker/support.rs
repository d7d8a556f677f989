//! What all these tests need: a broker, names of their own, and a patient reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::{Lane, Settlement};
use gulo_bus_core::transport::{
    CommitPolicy, Control, Delivery, Inbox, LaneEvent, Publisher, Source, SubscribeSpec, TopicSpec, Topology,
    TopologyMode, Transport,
};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport};
use tokio::time::{Instant, timeout, timeout_at};

use crate::rig::Broker;

/// The longest wait for anything. Machines that test are slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The broker; `None` where there is none and none is required.
pub(crate) async fn broker() -> Option<Broker> {
    // `RUST_LOG=gulo_transport_kafka=debug` shows what the transport does.
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    let _ = log.try_init();
    let broker = Broker::find();
    let Some(why) = broker.unavailable() else { return Some(broker) };
    let required = std::env::var("GULO_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name.trim() == "kafka"), "GULO_REQUIRE names kafka: {why}");
    println!("ignored: {why}");
    None
}

/// A name that no other test and no other run has.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("it.{what}.{:x}.{}", since.as_micros(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Settings that make tests quick.
pub(crate) fn config(servers: &str) -> KafkaConfig {
    KafkaConfig::new(servers)
        .session_timeout(Duration::from_secs(6))
        .property("topic.metadata.refresh.interval.ms", "1000")
}

/// With one more property.
pub(crate) fn with_property(broker: &Broker, name: &str, value: &str) -> KafkaTransport {
    let mut config = KafkaConfig::new(broker.servers()).property("topic.metadata.refresh.interval.ms", "1000");
    if name != "group.protocol" {
        config = config.session_timeout(Duration::from_secs(6));
    }
    KafkaTransport::new(config.property(name, value))
}

pub(crate) fn transport(broker: &Broker) -> KafkaTransport {
    KafkaTransport::new(config(&broker.servers()))
}

pub(crate) fn topology(mode: TopologyMode, topics: Vec<TopicSpec>) -> Topology {
    Topology { mode, topics, groups: Vec::new() }
}

/// A topic of its own.
pub(crate) async fn topic(transport: &KafkaTransport, what: &str, partitions: u32) -> Arc<str> {
    let mut spec = TopicSpec::new(unique(what));
    spec.partitions = Some(partitions);
    let name = spec.name.clone();
    transport.ensure(&topology(TopologyMode::Create, vec![spec])).await.unwrap();
    name
}

/// `count` messages to `partition`, with their number as payload.
pub(crate) fn numbered(topic: &Arc<str>, partition: u32, numbers: std::ops::Range<u32>) -> Vec<Message> {
    let message = |number: u32| {
        let mut message = Message::new(topic.clone(), number.to_string()).key(format!("k{}", number % 7));
        message.send.partition = Some(partition);
        message
    };
    numbers.map(message).collect()
}

pub(crate) async fn publish(transport: &KafkaTransport, batch: Vec<Message>) {
    let publisher = transport.publisher().await.unwrap();
    publisher.publish(batch).await.unwrap();
    publisher.close(Instant::now() + PATIENCE).await.unwrap();
}

/// A subscription that commits at once.
pub(crate) fn eager(group: &str, topics: &[&Arc<str>]) -> SubscribeSpec {
    let mut spec = SubscribeSpec::group(group, topics.iter().map(|topic| (*topic).clone()));
    spec.commit = CommitPolicy { every: 1, interval: Duration::from_millis(100) };
    spec
}

pub(crate) fn number(delivery: &Delivery) -> u32 {
    let payload = delivery.message.payload.as_ref().unwrap();
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// A source with all that came out of it.
pub(crate) struct Reader {
    pub(crate) source: Box<dyn Source>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) events: Vec<LaneEvent>,
}

impl Reader {
    pub(crate) async fn new(transport: &KafkaTransport, spec: SubscribeSpec) -> Self {
        Self { source: transport.subscribe(spec).await.unwrap(), deliveries: Vec::new(), events: Vec::new() }
    }

    /// One `recv`, or nothing within `wait`.
    pub(crate) async fn step(&mut self, wait: Duration) -> bool {
        let mut inbox = Inbox::default();
        let received = timeout(wait, self.source.recv(&mut inbox, 500)).await;
        if let Ok(received) = &received {
            received.as_ref().unwrap();
        }
        self.deliveries.extend(inbox.deliveries.drain(..));
        self.events.append(&mut inbox.events);
        received.is_ok()
    }

    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "waited in vain for {what}: {:?}", self.events);
            self.step(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn until_count(&mut self, count: usize) {
        self.until("deliveries", |reader| reader.deliveries.len() >= count).await;
    }

    pub(crate) async fn quiet_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while timeout_at(deadline, self.step(time)).await.is_ok() {}
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.deliveries.iter().map(number).collect()
    }

    /// Settles the deliveries in `range`.
    pub(crate) fn settle(&mut self, range: std::ops::Range<usize>) {
        let mut batch: Vec<_> = self.deliveries[range].iter().map(|it| Settlement::done(it.token)).collect();
        self.source.settle(&mut batch).unwrap();
    }

    pub(crate) fn settle_all(&mut self) {
        self.settle(0..self.deliveries.len());
    }

    /// The lanes that are open.
    pub(crate) fn open(&self) -> Vec<Lane> {
        let mut lanes = Vec::new();
        for event in &self.events {
            match event {
                LaneEvent::Opened { lane, .. } => lanes.push(*lane),
                LaneEvent::Closed(gone) | LaneEvent::Lost(gone) => lanes.retain(|lane| lane != gone),
                _ => {}
            }
        }
        lanes
    }

    /// Gives back the lanes that are called back and open still.
    pub(crate) fn give_back_what_is_draining(&mut self) {
        let open = self.open();
        for event in &self.events {
            if let LaneEvent::Draining { lanes, .. } = event {
                let lanes = lanes.iter().copied().filter(|lane| open.contains(lane)).collect();
                self.source.control(Control::Release(lanes)).unwrap();
            }
        }
    }

    pub(crate) async fn close(&mut self) {
        self.source.close(Instant::now() + PATIENCE).await.unwrap();
    }
}

/// All numbers, each once.
pub(crate) fn sorted(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    numbers
}

pub(crate) async fn publisher(transport: &KafkaTransport) -> Arc<dyn Publisher> {
    transport.publisher().await.unwrap()
}
