//! The memory transport, with somebody who writes down what passes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use gulo_bus_core::message::Message;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{
    Capabilities, Control, Inbox, Outcome, Publisher, Source, Status, SubscribeSpec, Topology, TopologyMode,
    Transaction, Transport, Unsent,
};
use gulo_bus_core::{Error, ErrorKind, Result};
use gulo_transport_memory::MemoryTransport;
use tokio::time::Instant;

use crate::record::{Count, Counted, Record, What};

/// The transport of one life of the bus: after a crash nothing of it goes on.
pub(crate) struct RecordedTransport {
    pub(crate) inner: MemoryTransport,
    pub(crate) record: Arc<Record>,
    pub(crate) alive: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for RecordedTransport {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn status(&self) -> Status {
        self.inner.status()
    }

    /// What an application only checks is somebody else's to make, and here there is nobody else.
    async fn ensure(&self, topology: &Topology) -> Result<()> {
        self.record.declare(topology);
        self.inner.ensure(&Topology { mode: TopologyMode::Create, ..topology.clone() }).await
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        let (record, alive) = (Arc::clone(&self.record), Arc::clone(&self.alive));
        Ok(Arc::new(RecordedPublisher { inner: self.inner.publisher().await?, record, alive }))
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        let inner = self.inner.subscribe(spec).await?;
        let counted = Counted::new(&self.record, Count::Sources);
        Ok(Box::new(RecordedSource { inner, record: Arc::clone(&self.record), _counted: counted }))
    }

    async fn transaction(&self, id: &str) -> Result<Box<dyn Transaction>> {
        self.inner.transaction(id).await
    }
}

struct RecordedPublisher {
    inner: Arc<dyn Publisher>,
    record: Arc<Record>,
    alive: Arc<AtomicBool>,
}

impl RecordedPublisher {
    /// Dead letters, and what is to come again later, are written down where the group says that it is done with them.
    fn confirmed(&self, message: Message) {
        if !self.record.is_copy(&message) {
            self.record.push(What::Published { message });
        }
    }
}

#[async_trait]
impl Publisher for RecordedPublisher {
    async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        if !self.alive.load(Relaxed) {
            return Err(Unsent::all(batch, Outcome::NotSent, |_| {
                Error::new(ErrorKind::Closed, "the bus has crashed").help("publish on the one that `crash` gave back")
            }));
        }
        let _under_way = Counted::new(&self.record, Count::Publishing);
        let copies = batch.clone();
        let result = self.inner.publish(batch).await;
        let failed = result.as_ref().err().map_or(&[][..], |unsent| &unsent.failed);
        let failed: BTreeMap<usize, _> = failed.iter().map(|failed| (failed.index, failed)).collect();
        for (index, message) in copies.into_iter().enumerate() {
            match failed.get(&index) {
                None => self.confirmed(message),
                Some(failed) => {
                    let (outcome, error) = (failed.outcome, failed.error.to_string());
                    self.record.push(What::NotConfirmed { message, outcome, error });
                }
            }
        }
        result
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        self.inner.close(deadline).await
    }
}

struct RecordedSource {
    // Before the count: when that says that it is gone, it is.
    inner: Box<dyn Source>,
    record: Arc<Record>,
    _counted: Counted,
}

#[async_trait]
impl Source for RecordedSource {
    async fn recv(&mut self, inbox: &mut Inbox, room: usize) -> Result<()> {
        self.inner.recv(inbox, room).await
    }

    fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()> {
        let result = self.inner.settle(batch);
        self.record.changed();
        result
    }

    fn may_begin(&self) -> bool {
        self.inner.may_begin()
    }

    fn control(&mut self, command: Control) -> Result<()> {
        self.inner.control(command)
    }

    async fn close(&mut self, deadline: Instant) -> Result<()> {
        self.inner.close(deadline).await
    }
}
