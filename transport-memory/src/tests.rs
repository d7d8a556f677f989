//! The crate over the seam alone, as a bus sees it. Time stands still but where a test waits.

mod faults;
mod log;
mod publish;
mod queue;
mod random;
mod rebalance;
mod unsettled;
mod wake;

use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::{Lane, Settlement, Verdict};
use gulo_bus_core::transport::{
    CommitPolicy, Control, Delivery, GroupSpec, Inbox, LaneEvent, Source, SubscribeSpec, TopicSpec, Topics, Topology,
    TopologyMode, Transport, Unsent,
};
use tokio::time::{Instant, timeout};

use crate::{MemoryConfig, MemoryTransport, Shape};

const HOUR: Duration = Duration::from_secs(3600);

async fn log(partitions: u32) -> MemoryTransport {
    let transport = MemoryTransport::with(MemoryConfig::new().partitions(partitions));
    transport.ensure(&topology(&["t"], &[])).await.unwrap();
    transport
}

/// With group `g` bound to topic `t`.
async fn queue() -> MemoryTransport {
    queue_with(MemoryConfig::new()).await
}

async fn queue_with(config: MemoryConfig) -> MemoryTransport {
    let transport = MemoryTransport::with(config.shape(Shape::Queue));
    transport.ensure(&topology(&["t"], &["g"])).await.unwrap();
    transport
}

fn topology(topics: &[&str], groups: &[&str]) -> Topology {
    let group = |group: &&str| GroupSpec { group: (*group).into(), topics: Topics::Named(vec!["t".into()]) };
    Topology {
        mode: TopologyMode::Create,
        topics: topics.iter().map(|name| TopicSpec::new(*name)).collect(),
        groups: groups.iter().map(group).collect(),
    }
}

/// Commits each verdict at once.
fn spec() -> SubscribeSpec {
    let mut spec = SubscribeSpec::group("g", ["t"]);
    spec.commit = CommitPolicy { every: 1, interval: HOUR };
    spec
}

async fn publish(transport: &MemoryTransport, batch: Vec<Message>) -> Result<(), Unsent> {
    transport.publisher().await.unwrap().publish(batch).await
}

/// `"key:payload"`, or `"payload"` without a key.
fn message(text: &str) -> Message {
    match text.split_once(':') {
        Some((key, payload)) => Message::new("t", payload.to_owned()).key(key.to_owned()),
        None => Message::new("t", text.to_owned()),
    }
}

async fn send(transport: &MemoryTransport, texts: &[&str]) {
    publish(transport, texts.iter().map(|text| message(text)).collect()).await.unwrap();
}

fn payloads<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> Vec<String> {
    let text =
        |delivery: &Delivery| delivery.message.payload.as_deref().map(String::from_utf8_lossy).unwrap().into_owned();
    deliveries.into_iter().map(text).collect()
}

struct Reader {
    source: Box<dyn Source>,
    inbox: Inbox,
}

impl Reader {
    async fn new(transport: &MemoryTransport, spec: SubscribeSpec) -> Self {
        Self { source: transport.subscribe(spec).await.unwrap(), inbox: Inbox::default() }
    }

    /// The next `count` deliveries; events are left in the inbox.
    async fn take(&mut self, count: usize) -> Vec<Delivery> {
        while self.inbox.deliveries.len() < count {
            let room = count - self.inbox.deliveries.len();
            let got = timeout(HOUR, self.source.recv(&mut self.inbox, room)).await;
            got.unwrap_or_else(|_| panic!("{} of {count} deliveries came", self.inbox.deliveries.len())).unwrap();
        }
        self.inbox.deliveries.drain(..).collect()
    }

    /// All that is there now.
    async fn drain(&mut self) -> Vec<Delivery> {
        // So that the wait of no time is not over because this task had its turn.
        tokio::task::yield_now().await;
        while let Ok(got) = timeout(Duration::ZERO, self.source.recv(&mut self.inbox, 1000)).await {
            got.unwrap();
        }
        self.inbox.deliveries.drain(..).collect()
    }

    /// The next event.
    async fn event(&mut self) -> LaneEvent {
        if self.inbox.events.is_empty() {
            timeout(HOUR, self.source.recv(&mut self.inbox, 0)).await.expect("no event came").unwrap();
        }
        self.inbox.events.remove(0)
    }

    async fn opened(&mut self) -> Lane {
        match self.event().await {
            LaneEvent::Opened { lane, .. } => lane,
            other => panic!("not opened but {other:?}"),
        }
    }

    /// Nothing comes for as long as one may wait.
    async fn idle(&mut self) {
        let got = timeout(HOUR, self.source.recv(&mut self.inbox, 100)).await;
        assert!(got.is_err() && self.inbox.is_empty(), "{:?}", self.inbox);
    }

    fn done(&mut self, deliveries: &[Delivery]) {
        let mut batch = deliveries.iter().map(|delivery| Settlement::done(delivery.token)).collect();
        self.source.settle(&mut batch).unwrap();
        assert!(batch.is_empty());
    }

    fn verdict(&mut self, delivery: &Delivery, verdict: Verdict) -> gulo_bus_core::Result<()> {
        self.source.settle(&mut vec![Settlement { token: delivery.token, verdict }])
    }

    fn control(&mut self, command: Control) {
        self.source.control(command).unwrap();
    }

    async fn close(&mut self) {
        self.source.close(Instant::now()).await.unwrap();
    }
}
