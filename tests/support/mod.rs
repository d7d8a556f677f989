//! A transport in front of the memory one that refuses what a test wants refused, and writes down what the bus did in
//! which order.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its own part")]

pub mod logs;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gulo::memory::MemoryTransport;
use gulo::message::Message;
use gulo::prelude::*;
use gulo::settle::Settlement;
use gulo::transport::{
    Capabilities, Control, Inbox, Outcome, Publisher, Source, Status, SubscribeSpec, Topology, Transaction, Transport,
    Unsent,
};
use gulo::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The event of these tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paid {
    pub order: u32,
    pub step: u32,
}

impl Paid {
    pub fn of(order: u32, step: u32) -> Self {
        Self { order, step }
    }
}

impl IntegrationEvent for Paid {
    const TYPE: &'static str = "order.paid";
    const TOPIC: Option<&'static str> = Some("orders");

    fn key(&self) -> Option<String> {
        Some(self.order.to_string())
    }
}

/// What passed the seam.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This topic confirmed a message.
    Confirmed(String),
    /// This topic did not.
    Refused(String),
    /// The bus settled this many deliveries.
    Settled(usize),
    /// Something a handler noted.
    Handled(String),
}

type Verdict = dyn Fn(&Message) -> Option<(Outcome, ErrorKind)> + Send + Sync;

/// The memory transport with a gate in front. Clones share everything.
#[derive(Clone)]
pub struct Gated {
    pub inner: MemoryTransport,
    steps: Arc<Mutex<Vec<Step>>>,
    gate: Arc<Mutex<Arc<Verdict>>>,
    broken: Arc<AtomicBool>,
    in_doubt: Arc<AtomicBool>,
}

impl Gated {
    pub fn new() -> Self {
        Self::on(MemoryTransport::new())
    }

    pub fn on(inner: MemoryTransport) -> Self {
        let gate: Arc<Verdict> = Arc::new(|_| None);
        let gate = Arc::new(Mutex::new(gate));
        Self { inner, steps: Arc::default(), gate, broken: Arc::default(), in_doubt: Arc::default() }
    }

    /// Fails what `gate` gives an outcome for.
    pub fn fail(&self, gate: impl Fn(&Message) -> Option<(Outcome, ErrorKind)> + Send + Sync + 'static) {
        *self.gate.lock().unwrap() = Arc::new(gate);
    }

    /// The next `recv` of any source ends that source, after it has filled the inbox.
    pub fn break_source(&self) {
        self.broken.store(true, SeqCst);
    }

    /// Whether it is in doubt that the lanes of any source are still its own.
    pub fn doubt(&self, in_doubt: bool) {
        self.in_doubt.store(in_doubt, SeqCst);
    }

    pub fn open(&self) {
        self.fail(|_| None);
    }

    pub fn note(&self, step: Step) {
        self.steps.lock().unwrap().push(step);
    }

    pub fn steps(&self) -> Vec<Step> {
        self.steps.lock().unwrap().clone()
    }

    /// Waits, in the test's time, until what passed the seam fulfils `condition`.
    pub async fn until(&self, what: &str, condition: impl Fn(&[Step]) -> bool) {
        eventually(what, || condition(&self.steps())).await;
    }

    /// All messages of `topic`, read outside of any group.
    pub async fn read(&self, topic: &str, count: usize) -> Vec<Message> {
        let mut source = self.inner.subscribe(SubscribeSpec::solo([topic])).await.unwrap();
        let mut inbox = Inbox::default();
        while inbox.deliveries.len() < count {
            tokio::time::timeout(PATIENCE, source.recv(&mut inbox, 1000)).await.expect("messages").unwrap();
        }
        inbox.deliveries.into_iter().map(|delivery| delivery.message).collect()
    }

    /// Publishes bytes as other software would.
    pub async fn publish_raw(&self, message: Message) {
        self.inner.publisher().await.unwrap().publish(vec![message]).await.unwrap();
    }
}

/// Longer than any back-off in these tests; their clock is paused, so waiting costs nothing.
pub const PATIENCE: Duration = Duration::from_secs(3600);

pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How far a group has come in `topic`, all partitions together, by another member's eyes: what it would get now.
pub async fn redelivered(transport: &Gated, group: &str) -> BTreeSet<(u32, u32)> {
    let mut source = transport.inner.subscribe(SubscribeSpec::group(group, ["orders"])).await.unwrap();
    // Everything after this marker has been delivered when the markers of all partitions have.
    let publisher = transport.inner.publisher().await.unwrap();
    let markers = (0..4).map(|partition| {
        let mut marker = Message::new("orders", "marker");
        marker.send.partition = Some(partition);
        marker
    });
    publisher.publish(markers.collect()).await.unwrap();
    let (mut inbox, mut seen, mut markers) = (Inbox::default(), BTreeSet::new(), 0);
    while markers < 4 {
        tokio::time::timeout(PATIENCE, source.recv(&mut inbox, 1000)).await.expect("markers").unwrap();
        for delivery in inbox.deliveries.drain(..) {
            match serde_json::from_slice::<Paid>(delivery.message.payload.as_deref().unwrap_or_default()) {
                Ok(paid) => drop(seen.insert((paid.order, paid.step))),
                Err(_) => markers += 1,
            }
        }
    }
    seen
}

#[async_trait]
impl Transport for Gated {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn status(&self) -> Status {
        self.inner.status()
    }

    async fn ensure(&self, topology: &Topology) -> Result<()> {
        self.inner.ensure(topology).await
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(GatedPublisher { inner: self.inner.publisher().await?, gated: self.clone() }))
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        Ok(Box::new(GatedSource { inner: self.inner.subscribe(spec).await?, gated: self.clone() }))
    }

    async fn transaction(&self, id: &str) -> Result<Box<dyn Transaction>> {
        self.inner.transaction(id).await
    }
}

struct GatedPublisher {
    inner: Arc<dyn Publisher>,
    gated: Gated,
}

#[async_trait]
impl Publisher for GatedPublisher {
    async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        let gate = Arc::clone(&self.gated.gate.lock().unwrap());
        if let Some((outcome, kind)) = batch.iter().find_map(|message| gate(message)) {
            batch.iter().for_each(|message| self.gated.note(Step::Refused(message.topic.to_string())));
            return Err(Unsent::all(batch, outcome, |_| Error::new(kind, "by the gate")));
        }
        let topics: Vec<_> = batch.iter().map(|message| message.topic.to_string()).collect();
        self.inner.publish(batch).await?;
        topics.into_iter().for_each(|topic| self.gated.note(Step::Confirmed(topic)));
        Ok(())
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        self.inner.close(deadline).await
    }
}

struct GatedSource {
    inner: Box<dyn Source>,
    gated: Gated,
}

#[async_trait]
impl Source for GatedSource {
    async fn recv(&mut self, inbox: &mut Inbox, room: usize) -> Result<()> {
        self.inner.recv(inbox, room).await?;
        if self.gated.broken.swap(false, SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "broken by the test"));
        }
        Ok(())
    }

    fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()> {
        self.gated.note(Step::Settled(batch.len()));
        self.inner.settle(batch)
    }

    fn may_begin(&self) -> bool {
        !self.gated.in_doubt.load(SeqCst) && self.inner.may_begin()
    }

    fn control(&mut self, command: Control) -> Result<()> {
        self.inner.control(command)
    }

    async fn close(&mut self, deadline: Instant) -> Result<()> {
        self.inner.close(deadline).await
    }
}
