//! The bus: what applications publish to, and what runs their handlers. Described by [`Bus::builder`], running from
//! [`start`](BusBuilder::start) until its shutdown.
//!
//! ```
//! # use gulo_bus_core::event::IntegrationEvent;
//! # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
//! # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
//! # use std::time::Duration;
//! # use gulo_bus_core::bus::{Bus, Concurrency, Subscription};
//! # use gulo_bus_core::handler::{Event, HandlerError};
//! # use gulo_bus_core::transport::Transport;
//! # mod tokio { pub mod signal { pub async fn ctrl_c() -> std::io::Result<()> { Ok(()) } } }
//! async fn send_welcome(Event(user): Event<UserRegistered>) -> Result<(), HandlerError> {
//!     println!("welcome, {}", user.email);
//!     Ok(())
//! }
//!
//! # async fn example(transport: impl Transport) -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::builder("user-service")
//!     .transport(transport)
//!     .subscribe(Subscription::group("email").concurrency(Concurrency::per_key(64)).on(send_welcome))
//!     .start()
//!     .await?;
//! bus.publish(UserRegistered { email: "ann@example.org".into() }).await?;     // confirmed by the broker
//! println!("{}", bus.run_until(tokio::signal::ctrl_c, Duration::from_secs(30)).await?);
//! # Ok(()) }
//! ```

mod builder;
mod destinations;
mod format;
mod guarded;
mod health;
mod limits;
mod process;
pub(crate) mod publishing;
mod reading;
mod registered;
mod report;
mod runner;
mod shutdown;
mod subscription;

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::ServiceConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Publishable;
use crate::message::Message;
use crate::routing::TopicNaming;
use crate::transport::Unsent;

pub use crate::dispatch::Concurrency;
pub use builder::{BusBuilder, TopicSettings};
pub use health::{Health, InFlight, LaneHealth, LaneState, Monitor, ParkedKey, Stage, SubscriptionHealth};
pub use limits::Limits;
pub use publishing::Publish;
pub use report::{Counts, ShutdownError, ShutdownReport, SubscriptionReport};
pub use subscription::{Subscription, Unhandled};

pub(crate) use format::TopicFormat;
use health::Watchdog;
use publishing::Publishing;
use report::Gauge;
use runner::Stop;

/// A running bus: publishes events and handles them until [`shutdown`](Self::shutdown), or until a signal:
/// [`run_until`](Self::run_until).
///
/// Dropped without shutdown it stops its tasks and warns; what was not finished is not settled and comes again.
///
/// ```
/// # use gulo_bus_core::event::IntegrationEvent;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// # use std::time::Duration;
/// # use gulo_bus_core::bus::{Bus, BusBuilder};
/// # async fn example(app: BusBuilder) -> Result<(), Box<dyn std::error::Error>> {
/// let bus = app.start().await?;
/// bus.publish(UserRegistered { email: "ann@example.org".into() }).await?; // confirmed by the broker
/// if !bus.health().is_up() {
///     eprintln!("{}", bus.health().to_json());
/// }
/// println!("{}", bus.shutdown(Duration::from_secs(30)).await?); // what was finished, what was left
/// # Ok(()) }
/// ```
pub struct Bus {
    publishing: Arc<Publishing>,
    stop: watch::Sender<Option<Stop>>,
    subscriptions: Vec<Running>,
    monitor: Monitor,
    _watchdog: Watchdog,
    shut_down: bool,
}

struct Running {
    group: Arc<str>,
    gauge: Arc<Gauge>,
    task: JoinHandle<(SubscriptionReport, Option<Error>)>,
}

impl Bus {
    /// Begins to describe the bus of a service. `service` is the [`source`] of all it publishes: a URI reference, for
    /// which a plain name is enough.
    ///
    /// [`source`]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#source-1
    pub fn builder(service: impl Into<Arc<str>>) -> BusBuilder {
        BusBuilder::new(service.into())
    }

    /// The same for the service that a configuration names, its topics called as that says. [`ServiceConfig`] shows it.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) where it names none.
    pub fn configured(config: &ServiceConfig) -> Result<BusBuilder> {
        let Some(name) = &config.name else {
            let help = format!("{}; or use `Bus::builder`", config.way_to_say("service_name"));
            return Err(Error::new(ErrorKind::Config, "the configuration names no service").help(help));
        };
        let naming = TopicNaming::new().default_prefix(&*config.default_topic_prefix);
        Ok(Self::builder(Arc::clone(name)).topic_naming(naming))
    }

    /// Publishes one event. Resolves when the broker has confirmed it.
    ///
    /// # Errors
    ///
    /// [`Unsent`] says of the event whether it was refused, was not sent, or may have arrived.
    ///
    /// Cancel safety: dropping the future takes nothing back; the event may still be sent.
    pub async fn publish(&self, event: impl Publishable) -> Result<(), Unsent> {
        self.publishing.publish([event]).await
    }

    /// Publishes a batch, events of one key in their order. Resolves when the broker has confirmed all of it.
    ///
    /// # Errors
    ///
    /// [`Unsent`] has those that are not confirmed, by their place in the batch. Where one does not encode or passes a
    /// limit, nothing of the batch is sent.
    ///
    /// Cancel safety: as [`publish`](Self::publish).
    pub async fn publish_all<P: Publishable>(&self, events: impl IntoIterator<Item = P>) -> Result<(), Unsent> {
        self.publishing.publish(events).await
    }

    /// Publishes messages as they are: no codec, no envelope, nothing added. Those of one key keep their order.
    /// Resolves when the broker has confirmed all of them. The topics are to be named with
    /// [`topic`](BusBuilder::topic), or exist.
    ///
    /// ```
    /// # use gulo_bus_core::bus::Bus;
    /// # use gulo_bus_core::message::Message;
    /// # async fn example(bus: &Bus) -> Result<(), gulo_bus_core::transport::Unsent> {
    /// bus.send(vec![Message::new("photos", b"..".as_slice()).key("7"), Message::tombstone("users").key("8")]).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unsent`] has those that are not confirmed, by their place in `messages`. Where one passes a limit, nothing is
    /// sent.
    ///
    /// Cancel safety: as [`publish`](Self::publish).
    pub async fn send(&self, messages: Vec<Message>) -> Result<(), Unsent> {
        self.publishing.send(messages).await
    }

    /// A way to publish that can be cloned and kept. After the shutdown it sends nothing, and says so: *not sent*.
    pub fn publisher(&self) -> Publish {
        Publish(Arc::clone(&self.publishing))
    }

    /// How the bus is now. Never blocks.
    pub fn health(&self) -> Health {
        self.monitor.health()
    }

    /// A way to look at the bus that can be cloned and kept, by the endpoint that shows its health.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        if self.shut_down {
            return;
        }
        let what = match self.subscriptions.is_empty() {
            true => "what is being published may not arrive",
            false => "what its handlers have not finished is delivered again",
        };
        tracing::warn!(service = %self.publishing.source, "bus dropped without shutdown: {what}");
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.subscriptions.iter().map(|running| &running.group).collect();
        f.debug_struct("Bus")
            .field("service", &self.publishing.source)
            .field("transport", &self.monitor.transport.name())
            .field("groups", &groups)
            .finish_non_exhaustive()
    }
}
