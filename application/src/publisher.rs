//! A publisher that is started and closed, for services that do nothing else with a bus.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::bus::{Bus, BusBuilder, ShutdownError};
use gulo_bus_core::event::Publishable;
use gulo_bus_core::event_publisher::{AnyEvent, EventPublisher};
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Failed, Outcome, Transport, Unsent};
use gulo_bus_core::{Error, ErrorKind, Result};

use crate::lifecycle::{Lifecycle, Stage};

/// Publishes integration events, from [`start`](Self::start) to [`close`](Self::close). It is a [`Bus`] without
/// subscriptions, and an [`EventPublisher`] like it.
///
/// Dropped without `close` it warns: what is being published may not arrive.
///
/// ```
/// use std::time::Duration;
/// use gulo_application::publisher::IntegrationEventPublisher;
/// # use gulo_bus_core::event::IntegrationEvent;
/// # use gulo_transport_memory::MemoryTransport;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { user_id: u64 }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let publisher = IntegrationEventPublisher::new("user-service", MemoryTransport::new())
///     .bus(|bus| bus.topic("integration-events.user_registered", |t| t.partitions(3)));
///
/// publisher.start().await?;
/// publisher.publish(UserRegistered { user_id: 1 }).await?; // confirmed by the broker
/// publisher.publish_many([UserRegistered { user_id: 2 }, UserRegistered { user_id: 3 }]).await?;
/// publisher.close(Duration::from_secs(10)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a publisher only publishes after `start()`"]
pub struct IntegrationEventPublisher {
    lifecycle: Lifecycle,
}

impl IntegrationEventPublisher {
    /// Of this service, which is the source of its events.
    pub fn new(service: impl Into<Arc<str>>, transport: impl Transport) -> Self {
        Self::shared(service, Arc::new(transport))
    }

    /// The same on a transport that others use too.
    pub fn shared(service: impl Into<Arc<str>>, transport: Arc<dyn Transport>) -> Self {
        Self { lifecycle: Lifecycle::new("the publisher", Bus::builder(service).shared_transport(transport)) }
    }

    /// Says more of the bus: topics, their codecs and envelopes, limits, naming.
    pub fn bus(mut self, change: impl FnOnce(BusBuilder) -> BusBuilder) -> Self {
        self.lifecycle.describe(change);
        self
    }

    /// Connects. One that was closed may be started again.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) where it runs already; else as [`BusBuilder::start`].
    pub async fn start(&self) -> Result<()> {
        self.lifecycle.start(|bus| bus).await
    }

    /// Publishes one event. Resolves when the broker has confirmed it.
    ///
    /// # Errors
    ///
    /// [`Unsent`], *not sent* where it is not started or is closed; else as [`Bus::publish`].
    pub async fn publish(&self, event: impl Publishable) -> Result<(), Unsent> {
        self.publish_events(vec![event.into()]).await
    }

    /// Publishes a batch, events of one key in their order. Resolves when the broker has confirmed all of it.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish): those that are not confirmed.
    pub async fn publish_many<P: Publishable>(&self, events: impl IntoIterator<Item = P>) -> Result<(), Unsent> {
        self.publish_events(events.into_iter().map(Into::into).collect()).await
    }

    /// Waits until what is being published is confirmed, for `timeout` at most, and closes. Of one that does not run
    /// there is nothing to close.
    ///
    /// # Errors
    ///
    /// As [`Bus::shutdown`].
    pub async fn close(&self, timeout: Duration) -> Result<(), ShutdownError> {
        self.lifecycle.stop(timeout).await.map(drop)
    }
}

#[async_trait]
impl EventPublisher for IntegrationEventPublisher {
    async fn publish_events(&self, events: Vec<AnyEvent>) -> Result<(), Unsent> {
        let (problem, help) = match self.lifecycle.stage() {
            Stage::Running(publish, _) => return publish.publish_events(events).await,
            Stage::NotStarted => ("the publisher is not started", "call `start()` first"),
            Stage::Stopped => ("the publisher is closed", "publish before it is closed, or start it again"),
        };
        if events.is_empty() {
            return Ok(());
        }
        let not_sent = |(index, event): (usize, AnyEvent)| {
            let error = Error::new(ErrorKind::Closed, problem).help(help);
            let message = Message::tombstone(event.topic().unwrap_or_default());
            Failed { index, message, outcome: Outcome::NotSent, error }
        };
        Err(Unsent { failed: events.into_iter().enumerate().map(not_sent).collect() })
    }
}
