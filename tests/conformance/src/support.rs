//! What cases work with. A case fails by panicking, with a sentence.

mod lanes;
mod reader;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{
    Capabilities, GroupSpec, Position, Publisher, SubscribeSpec, TopicSpec, Topics, Topology, TopologyMode, Transport,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Break, Cut, Harness};

pub(crate) use reader::{Reader, both_until, text, texts};

/// Partitions of a case's topic with several, where the broker has them.
pub(crate) const PARTITIONS: u32 = 4;

/// One case's own corner of a broker: topics and groups that nobody else uses.
pub(crate) struct Bench {
    harness: Arc<dyn Harness>,
    cut: Option<Cut>,
    id: String,
}

impl Bench {
    pub(crate) async fn new(harness: Arc<dyn Harness>, cuts: bool) -> Result<Self, &'static str> {
        let cut = if cuts { harness.cut().await } else { None };
        if cuts && cut.is_none() {
            return Err("the harness has no way to the broker that can be cut");
        }
        Ok(Self { harness, cut, id: Uuid::now_v7().simple().to_string() })
    }

    /// How long one thing that must happen may take.
    pub(crate) fn patience(&self) -> Duration {
        self.harness.patience()
    }

    /// The moment by which something that begins now must have happened.
    pub(crate) fn soon(&self) -> Instant {
        Instant::now() + self.patience()
    }

    pub(crate) fn topic(&self) -> Arc<str> {
        self.topic_named("t")
    }

    pub(crate) fn topic_named(&self, name: &str) -> Arc<str> {
        format!("conformance-{}-{name}", self.id).into()
    }

    pub(crate) fn group(&self, name: &str) -> Arc<str> {
        format!("conformance-{}-{name}", self.id).into()
    }

    /// A client of its own; in a case that cuts, the one that can be cut off.
    pub(crate) async fn transport(&self) -> Arc<dyn Transport> {
        match &self.cut {
            Some(cut) => Arc::clone(&cut.transport),
            None => self.harness.transport().await,
        }
    }

    pub(crate) async fn capabilities(&self) -> Capabilities {
        self.transport().await.capabilities()
    }

    pub(crate) async fn cut_off(&self, how: Break) {
        self.cut.as_ref().expect("this case is marked as one that cuts").link.cut(how).await;
    }

    pub(crate) async fn heal(&self) {
        self.cut.as_ref().expect("this case is marked as one that cuts").link.heal().await;
    }

    /// Makes the case's topic with one partition, read by `groups`.
    pub(crate) async fn one_lane(&self, groups: &[&str]) {
        self.ensure(1, groups).await;
    }

    /// Makes the case's topic with several partitions where the broker has them, read by `groups`.
    pub(crate) async fn several_lanes(&self, groups: &[&str]) {
        let partitions = if self.capabilities().await.partitions { PARTITIONS } else { 1 };
        self.ensure(partitions, groups).await;
    }

    async fn ensure(&self, partitions: u32, groups: &[&str]) {
        let topology = self.topology(partitions, groups);
        self.transport().await.ensure(&topology).await.expect("the topic is made");
    }

    pub(crate) fn topology(&self, partitions: u32, groups: &[&str]) -> Topology {
        let topic = TopicSpec { partitions: Some(partitions), ..TopicSpec::new(self.topic()) };
        let reads = |name: &&str| GroupSpec { group: self.group(name), topics: Topics::Named(vec![self.topic()]) };
        Topology { mode: TopologyMode::Create, topics: vec![topic], groups: groups.iter().map(reads).collect() }
    }

    /// Another topic of the case's, read by `group`.
    pub(crate) fn topology_of(&self, topic: &Arc<str>, group: &str) -> Topology {
        let groups = vec![GroupSpec { group: self.group(group), topics: Topics::Named(vec![Arc::clone(topic)]) }];
        Topology { mode: TopologyMode::Create, topics: vec![TopicSpec::new(Arc::clone(topic))], groups }
    }

    /// The case's topic, as a member of `group`.
    pub(crate) fn spec(&self, group: &str) -> SubscribeSpec {
        SubscribeSpec::group(self.group(group), [self.topic()])
    }

    /// A member of `group`, on a client of its own.
    pub(crate) async fn member(&self, group: &str) -> Reader {
        self.reader(self.spec(group)).await
    }

    pub(crate) async fn solo(&self, start: Position) -> Reader {
        self.reader(SubscribeSpec { start, ..SubscribeSpec::solo([self.topic()]) }).await
    }

    pub(crate) async fn reader(&self, spec: SubscribeSpec) -> Reader {
        let window = spec.window;
        let source = self.transport().await.subscribe(spec).await.expect("the subscription is taken");
        Reader::new(source, window, self.patience())
    }

    pub(crate) async fn publisher(&self) -> Arc<dyn Publisher> {
        self.transport().await.publisher().await.expect("a publisher")
    }

    /// Publishes `batch`; all of it is confirmed.
    pub(crate) async fn send(&self, batch: Vec<Message>) {
        let publisher = self.publisher().await;
        confirmed(&*publisher, batch).await;
        publisher.close(self.soon()).await.expect("the publisher closes");
    }

    /// Publishes `texts` to the case's topic, without keys.
    pub(crate) async fn publish(&self, texts: impl IntoIterator<Item = impl Into<String>>) {
        self.send(texts.into_iter().map(|text| self.message(text)).collect()).await;
    }

    /// As [`publish`](Self::publish), to one partition.
    pub(crate) async fn publish_to(&self, partition: u32, texts: impl IntoIterator<Item = impl Into<String>>) {
        let to = |text| {
            let mut message = self.message(text);
            message.send.partition = Some(partition);
            message
        };
        self.send(texts.into_iter().map(to).collect()).await;
    }

    /// A message for the case's topic.
    pub(crate) fn message(&self, text: impl Into<String>) -> Message {
        Message::new(self.topic(), text.into())
    }

    /// Publishes one more message to the only lane, which must be the very next that `reader` gets.
    pub(crate) async fn nothing_more_for(&self, reader: &mut Reader) {
        self.publish(["fence"]).await;
        assert_eq!(text(&reader.one().await), "fence", "nothing else was left to deliver");
    }
}

/// Publishes what must be confirmed.
pub(crate) async fn confirmed(publisher: &dyn Publisher, batch: Vec<Message>) {
    // Not `expect`: that would show every message in full.
    publisher.publish(batch).await.unwrap_or_else(|unsent| panic!("not confirmed: {unsent}"));
}

/// `a0`, `a1`, ..
pub(crate) fn numbered(prefix: &str, numbers: Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{prefix}{number}")).collect()
}

pub(crate) fn set(texts: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    texts.into_iter().map(Into::into).collect()
}
