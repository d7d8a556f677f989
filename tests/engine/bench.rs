//! What cases work with: topics and a group of their own, and questions to the broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::message::Message;
use gulo::prelude::*;
use gulo::transport::{Capabilities, Inbox, SubscribeSpec, TopicSpec, Topology, TopologyMode, Transport};
use gulo::{dead_letter, envelope};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::backend::Clients;
use crate::shared::{Gate, Log, Meter, Step, set_topic_of_this_thread, step};

/// How long one thing that must happen may take.
const PATIENCE: Duration = Duration::from_secs(45);

/// How much longer than it should a wait may take where the clock is a real one.
const SLACK: Duration = Duration::from_secs(5);

const FENCE: &str = "fence";

/// One case's own corner of a broker.
pub struct Bench {
    pub log: Log,
    pub gate: Gate,
    pub meter: Meter,
    pub can: Capabilities,
    /// Whether the clock is the test's own.
    pub paused: bool,
    pub topic: Arc<str>,
    pub group: Arc<str>,
    lanes: u32,
    clients: Clients,
}

impl Bench {
    pub fn new(case: &str, clients: Clients, paused: bool) -> Self {
        let (short, id): (String, _) = (case.chars().take(40).collect(), Uuid::now_v7().simple());
        let topic: Arc<str> = format!("engine-{short}-{id}").into();
        set_topic_of_this_thread(topic.clone());
        let (group, can) = (format!("group-{id}").into(), clients().capabilities());
        let (log, gate, meter) = (Log::default(), Gate::closed(), Meter::default());
        Self { log, gate, meter, can, paused, topic, group, lanes: 1, clients }
    }

    /// On several partitions where the broker has them, instead of one.
    pub fn spread(mut self) -> Self {
        self.lanes = if self.can.partitions { 4 } else { 1 };
        self
    }

    pub fn client(&self) -> Arc<dyn Transport> {
        (self.clients)()
    }

    pub fn subscription(&self) -> Subscription {
        Subscription::group(self.group.clone())
    }

    /// A bus as another process would have it, on the topics of the case.
    pub fn bus(&self, subscription: Subscription) -> BusBuilder {
        let bus = Bus::builder("engine").shared_transport(self.client()).subscribe(subscription);
        let bus = bus.topic(self.topic.clone(), |topic| topic.partitions(self.lanes));
        let bus = bus.topic(self.letters_topic(), |topic| topic.partitions(1));
        bus.state(self.log.clone()).state(self.gate.clone()).state(self.meter.clone())
    }

    pub async fn start(&self, subscription: Subscription) -> Bus {
        self.bus(subscription).start().await.expect("starts")
    }

    pub fn letters_topic(&self) -> Arc<str> {
        dead_letter::topic_name(&self.topic, &self.group)
    }

    /// All that stands in the dead-letter topic.
    pub async fn letters(&self) -> Vec<Message> {
        self.read(&self.letters_topic()).await
    }

    /// All that stands in a topic of one partition: what comes before something that is published now.
    pub async fn read(&self, topic: &str) -> Vec<Message> {
        let id = Uuid::now_v7().to_string();
        self.send(vec![Message::new(topic, id.clone()).header(FENCE, "")]).await;
        let spec = if self.can.solo { SubscribeSpec::solo([topic]) } else { SubscribeSpec::group("reader", [topic]) };
        let mut source = self.client().subscribe(spec).await.expect("a reader");
        let (mut inbox, mut read) = (Inbox::default(), Vec::new());
        loop {
            timeout(PATIENCE, source.recv(&mut inbox, 1000)).await.expect("the fence in time").expect("received");
            for delivery in inbox.deliveries.drain(..) {
                let message = delivery.message;
                if message.payload.as_deref() == Some(id.as_bytes()) {
                    // Dropped with nothing settled: all of it is there for the next reader.
                    return read;
                }
                if message.headers.get(FENCE).is_none() {
                    read.push(message);
                }
            }
        }
    }

    /// Publishes bytes as other software would.
    pub async fn send(&self, batch: Vec<Message>) {
        let publisher = self.client().publisher().await.expect("a publisher");
        publisher.publish(batch).await.unwrap_or_else(|unsent| panic!("not confirmed: {unsent}"));
        publisher.close(Instant::now() + PATIENCE).await.expect("the publisher closes");
    }

    /// The message of a step, made by other software.
    pub fn message(&self, step: Step) -> Message {
        let payload = serde_json::to_vec(&step).expect("encodes");
        let mut message = Message::new(self.topic.clone(), payload).key(step.order.to_string());
        message.headers = envelope::write(&EventMeta::of(&step, "elsewhere"), "application/json");
        message
    }

    /// Makes a topic that keeps what nobody reads yet.
    pub async fn make_topic(&self, name: &str) {
        let topic = TopicSpec { keep: true, partitions: Some(1), ..TopicSpec::new(name) };
        let topology = Topology { mode: TopologyMode::Create, topics: vec![topic], groups: Vec::new() };
        self.client().ensure(&topology).await.expect("the topic is made");
    }

    /// What another member of the group would get now: where the group stands, by what is delivered to it.
    pub async fn redelivered(&self) -> Vec<Step> {
        let (seen, lanes) = (Arc::<Mutex<Vec<Step>>>::default(), self.lanes as usize);
        let handler = async |Event(step): Event<Step>, State(seen): State<Arc<Mutex<Vec<Step>>>>| {
            seen.lock().unwrap().push(step);
        };
        let fence = step(u32::MAX, 0);
        let bus = self.bus(self.subscription().on(handler)).state(seen.clone()).start().await.expect("starts");
        let fences = (0..self.lanes).map(|partition| {
            let mut message = self.message(fence);
            message.send.partition = self.can.partitions.then_some(partition);
            message
        });
        self.send(fences.collect()).await;
        self.until("the fences", || seen.lock().unwrap().iter().filter(|step| **step == fence).count() == lanes).await;
        bus.shutdown(Duration::from_secs(20)).await.expect("clean");
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.retain(|step| *step != fence);
        seen.sort();
        seen
    }

    /// Waits, in the time of the case, until `condition` holds.
    pub async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "in vain: {what}\n{:#?}", self.log.texts());
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn until_done(&self, steps: impl IntoIterator<Item = Step>) {
        for step in steps {
            self.until(&format!("{step:?}"), || self.log.is_done(step)).await;
        }
    }

    /// The time between each of `instants` and the next is `expected`, in milliseconds: exactly, where the clock is the test's
    /// own; else it is no shorter, and not much longer.
    pub fn assert_waits(&self, instants: &[Instant], expected: &[u64]) {
        let waits: Vec<Duration> = instants.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits.len(), expected.len(), "{waits:?}");
        for (wait, expected) in waits.iter().zip(expected) {
            let expected = Duration::from_millis(*expected);
            let exact = *wait == expected;
            assert!(exact || !self.paused, "{wait:?} instead of {expected:?}: {waits:?}");
            assert!(*wait >= expected && *wait < expected + SLACK, "{wait:?} instead of {expected:?}: {waits:?}");
        }
    }
}

/// Clean, with (handled, retried, dead-lettered, skipped, left).
pub async fn assert_stops_with(bus: Bus, expected: (u64, u64, u64, u64, usize)) {
    let report = bus.shutdown(Duration::from_secs(20)).await.expect("clean");
    let (counts, left) = (report.subscriptions[0].counts, report.subscriptions[0].left);
    assert_eq!((counts.handled, counts.retried, counts.dead_lettered, counts.skipped, left), expected, "{report}");
}

/// The headers of `message` by name and value, for a comparison that shows itself.
pub fn headers(message: &Message) -> Vec<(String, Option<String>)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    message.headers.iter().map(|(name, value)| (name.to_string(), value.map(text))).collect()
}

pub fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    message.headers.get_str(name).unwrap_or("missing")
}

/// The steps in the payloads of `letters`.
pub fn steps_of(letters: &[Message]) -> Vec<Step> {
    let step = |letter: &Message| serde_json::from_slice(letter.payload.as_deref().unwrap_or_default());
    letters.iter().map(|letter| step(letter).expect("a step")).collect()
}

/// `items` in order.
pub fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}
