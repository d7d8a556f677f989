//! A group of handlers that is started and stopped, for services that do nothing else with a bus.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::Result;
use gulo_bus_core::bus::{Bus, BusBuilder, Health, ShutdownError, ShutdownReport, Subscription};
use gulo_bus_core::handler::Handler;
use gulo_bus_core::transport::Transport;

use crate::lifecycle::{Lifecycle, Stage};

/// Handles the integration events of one consumer group, in the background, from [`start`](Self::start) to
/// [`stop`](Self::stop). It is a [`Bus`] with one [`Subscription`], whose settings are its own.
///
/// Dropped while it runs it stops its tasks and warns; what was not finished is not settled and comes again.
///
/// ```
/// use std::time::Duration;
/// use gulo_application::consumer::IntegrationEventConsumer;
/// use gulo_bus_core::handler::Event;
/// use gulo_bus_core::retry::Retry;
/// # use gulo_bus_core::event::IntegrationEvent;
/// # use gulo_transport_memory::MemoryTransport;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
///
/// async fn send_welcome(Event(user): Event<UserRegistered>) {
///     println!("welcome, {}", user.email);
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let consumer = IntegrationEventConsumer::new("email-service", "email", MemoryTransport::new())
///     .register(send_welcome) // a function, or a type that is a `Handler`
///     .subscription(|group| group.retry(Retry::exponential(Duration::from_millis(100)).max_attempts(5)));
///
/// consumer.start().await?;
/// // It works in the background.
/// assert!(consumer.is_running());
/// println!("{}", consumer.stop(Duration::from_secs(10)).await?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a consumer only handles events after `start()`"]
pub struct IntegrationEventConsumer {
    group: Arc<str>,
    subscription: Option<Subscription>,
    lifecycle: Lifecycle,
}

impl IntegrationEventConsumer {
    /// Of this service and consumer group, with no handler yet.
    #[track_caller]
    pub fn new(service: impl Into<Arc<str>>, group: impl Into<Arc<str>>, transport: impl Transport) -> Self {
        Self::shared(service, group, Arc::new(transport))
    }

    /// The same on a transport that others use too.
    #[track_caller]
    pub fn shared(service: impl Into<Arc<str>>, group: impl Into<Arc<str>>, transport: Arc<dyn Transport>) -> Self {
        let group = group.into();
        let subscription = Some(Subscription::group(Arc::clone(&group)));
        let lifecycle = Lifecycle::new("the consumer", Bus::builder(service).shared_transport(transport));
        Self { group, subscription, lifecycle }
    }

    /// Handles the event in the signature of `handler`: [`Subscription::on`].
    #[track_caller]
    pub fn register<Args: 'static, H: Handler<Args>>(mut self, handler: H) -> Self {
        // Not in a closure: the place that errors name is that of whoever calls this.
        if let Some(subscription) = self.subscription.take() {
            self.subscription = Some(subscription.on(handler));
        }
        self
    }

    /// Says more of the group: retries, dead letters, how many at a time, raw handlers.
    #[track_caller]
    pub fn subscription(mut self, change: impl FnOnce(Subscription) -> Subscription) -> Self {
        self.subscription = self.subscription.map(change);
        self
    }

    /// Says more of the bus: states, topics, layers, limits.
    pub fn bus(mut self, change: impl FnOnce(BusBuilder) -> BusBuilder) -> Self {
        self.lifecycle.describe(change);
        self
    }

    /// Subscribes, and handles events in the background from then on. One that was stopped may be started again: it goes
    /// on where its group stands.
    ///
    /// # Errors
    ///
    /// [`Config`](gulo_bus_core::ErrorKind::Config) where it runs already; else as [`BusBuilder::start`].
    pub async fn start(&self) -> Result<()> {
        let subscription = self.subscription.clone();
        self.lifecycle.start(|bus| subscription.into_iter().fold(bus, BusBuilder::subscribe)).await
    }

    /// Lets handlers finish what they have begun, makes that durable, and stops, within `timeout`. Says what was
    /// finished and what was left. Of one that does not run it reports nothing.
    ///
    /// # Errors
    ///
    /// As [`Bus::shutdown`].
    pub async fn stop(&self, timeout: Duration) -> Result<ShutdownReport, ShutdownError> {
        self.lifecycle.stop(timeout).await
    }

    /// Starts, unless it runs already, and stops when `signal` resolves: the whole life of a service in one line.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start) and of [`stop`](Self::stop).
    pub async fn run_until(
        &self,
        signal: impl Future,
        timeout: Duration,
    ) -> Result<ShutdownReport, Box<dyn std::error::Error + Send + Sync>> {
        if !self.is_running() {
            self.start().await?;
        }
        signal.await;
        Ok(self.stop(timeout).await?)
    }

    /// Whether it handles events.
    pub fn is_running(&self) -> bool {
        matches!(self.lifecycle.stage(), Stage::Running(..))
    }

    /// How its group is, as [`Bus::health`] says. `None` while it does not run.
    pub fn health(&self) -> Option<Health> {
        self.lifecycle.health()
    }

    /// Its consumer group.
    pub fn group(&self) -> &str {
        &self.group
    }
}
