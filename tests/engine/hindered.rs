//! A transport that does not let some messages through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use gulo::message::Message;
use gulo::transport::{
    Capabilities, Outcome, Publisher, Source, Status, SubscribeSpec, Topology, Transaction, Transport, Unsent,
};
use gulo::{Error, ErrorKind, Result};
use tokio::time::Instant;

/// What becomes of messages for one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Open,
    /// None gets to the broker.
    Shut,
    /// They are confirmed, and nobody here ever hears of it.
    Silent,
}

/// A transport, and the way to one topic. Clones share it.
#[derive(Clone)]
pub struct Hindered {
    inner: Arc<dyn Transport>,
    topic: Arc<str>,
    way: Way,
    tried: Arc<AtomicUsize>,
}

impl Hindered {
    pub fn new(inner: Arc<dyn Transport>, topic: Arc<str>, way: Way) -> Self {
        Self { inner, topic, way, tried: Arc::default() }
    }

    /// How often something for the topic was published.
    pub fn tried(&self) -> usize {
        self.tried.load(SeqCst)
    }
}

#[async_trait]
impl Transport for Hindered {
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
        Ok(Arc::new(HinderedPublisher { inner: self.inner.publisher().await?, hindered: self.clone() }))
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        self.inner.subscribe(spec).await
    }

    async fn transaction(&self, id: &str) -> Result<Box<dyn Transaction>> {
        self.inner.transaction(id).await
    }
}

struct HinderedPublisher {
    inner: Arc<dyn Publisher>,
    hindered: Hindered,
}

#[async_trait]
impl Publisher for HinderedPublisher {
    async fn publish(&self, batch: Vec<Message>) -> std::result::Result<(), Unsent> {
        if batch.iter().all(|message| message.topic != self.hindered.topic) {
            return self.inner.publish(batch).await;
        }
        let way = self.hindered.way;
        if way == Way::Shut {
            self.hindered.tried.fetch_add(1, SeqCst);
            let error = |_: &Message| Error::new(ErrorKind::Unavailable, "the way is shut");
            return Err(Unsent::all(batch, Outcome::NotSent, error));
        }
        let published = self.inner.publish(batch).await;
        self.hindered.tried.fetch_add(1, SeqCst);
        if way == Way::Silent {
            std::future::pending::<()>().await;
        }
        published
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        self.inner.close(deadline).await
    }
}
