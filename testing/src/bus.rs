//! The application's bus under test.

mod setup;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::bus::{Bus, BusBuilder, Health, Publish, ShutdownError, ShutdownReport};
use gulo_bus_core::event::Publishable;
use gulo_bus_core::event_publisher::{AnyEvent, EventPublisher};
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::Unsent;
use gulo_bus_core::{Error, ErrorKind, Result};
use gulo_transport_memory::{Faults, MemoryTransport};

use crate::record::{Log, Record, What};
use crate::settle::{Look, Unsettled};

use setup::Factory;
pub use setup::Setup;

/// What [`settle`](TestBus::settle) waits at most, in virtual time.
const PATIENCE: Duration = Duration::from_secs(3600);
/// What handlers may take to end at a shutdown, in virtual time.
const SHUTDOWN: Duration = Duration::from_secs(30);

/// An application's bus, as in production but for the broker, which is in memory, and the time, which is virtual.
///
/// Tokio's clock is paused: it goes forward only when nothing else can run, to the next timer. So waits cost nothing,
/// and their order is always the same. Real sockets and files are not waited for by it: see [the guide to testing].
///
/// [the guide to testing]: https://github.com/gulo-rs/gulo/blob/main/docs/testing.md
///
/// Where the test panics, what happened is printed.
///
/// ```
/// # use gulo_bus_core::bus::{Bus, Subscription};
/// # use gulo_bus_core::event::IntegrationEvent;
/// # use gulo_bus_core::handler::{Attempt, Event, HandlerError};
/// # use gulo_testing::TestBus;
/// # #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)] struct Placed { order: u64 }
/// # impl IntegrationEvent for Placed { const TYPE: &'static str = "order.placed"; }
/// async fn bill(Event(_): Event<Placed>, Attempt(attempt): Attempt) -> Result<(), HandlerError> {
///     if attempt == 1 { Err(HandlerError::new("the ledger is closed")) } else { Ok(()) }
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = TestBus::start(Bus::builder("shop").subscribe(Subscription::group("billing").on(bill))).await?;
/// bus.publish(Placed { order: 1 }).await?;
/// bus.settle().await?;
/// assert_eq!(bus.handled::<Placed>("billing"), [Placed { order: 1 }]);
/// assert_eq!(bus.retried("billing")[0].error, "the ledger is closed");
/// bus.shutdown().await?;
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
pub struct TestBus {
    bus: Bus,
    alive: Arc<AtomicBool>,
    factory: Option<Factory>,
    memory: MemoryTransport,
    record: Arc<Record>,
    _printed: PrintedInPanic,
}

impl TestBus {
    /// Starts the application's bus, as it is in production: what transport it has makes no difference. Topics are made
    /// that it only checks.
    ///
    /// # Errors
    ///
    /// As [`BusBuilder::start`]; and [`Config`](ErrorKind::Config) where the clock of this runtime cannot be paused: it
    /// has several threads.
    pub async fn start(app: BusBuilder) -> Result<Self> {
        Self::on(MemoryTransport::new()).start(app).await
    }

    /// As [`start`](Self::start), for an application that is to be [restarted](Self::restart): `app` makes it each
    /// time. What shall outlive that, as a database does, `app` clones into each.
    ///
    /// ```
    /// # use gulo_bus_core::bus::{Bus, BusBuilder, Subscription};
    /// # use gulo_bus_core::event::IntegrationEvent;
    /// # use gulo_bus_core::handler::Event;
    /// # use gulo_testing::TestBus;
    /// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)] struct Placed { order: u64 }
    /// # impl IntegrationEvent for Placed { const TYPE: &'static str = "order.placed"; }
    /// # use std::time::Duration;
    /// fn app() -> BusBuilder {
    ///     let slow = async |_: Event<Placed>| tokio::time::sleep(Duration::from_secs(60)).await;
    ///     Bus::builder("shop").subscribe(Subscription::group("billing").on(slow))
    /// }
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = TestBus::with(app).await?;
    /// bus.publish(Placed { order: 1 }).await?;
    /// bus.advance(Duration::from_secs(30)).await;             // its handler is at work
    /// assert!(bus.handled::<Placed>("billing").is_empty());
    /// let bus = bus.crash().await?;                           // as `kill -9`: it comes again
    /// bus.settle().await?;
    /// let bus = bus.restart().await?;                         // in good order: it does not
    /// bus.settle().await?;
    /// assert_eq!(bus.handled::<Placed>("billing"), [Placed { order: 1 }]);
    /// bus.shutdown().await?;
    /// # Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    /// #     .block_on(example()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn with(app: impl Fn() -> BusBuilder + Send + Sync + 'static) -> Result<Self> {
        Self::on(MemoryTransport::new()).with(app).await
    }

    /// On a broker of your own: in the shape of queues, with limits, or shared with another [`TestBus`].
    ///
    /// ```no_run
    /// # use gulo_bus_core::bus::BusBuilder;
    /// # use gulo_testing::TestBus;
    /// # use gulo_transport_memory::{MemoryConfig, MemoryTransport, Shape};
    /// # async fn test(app: BusBuilder) -> gulo_bus_core::Result<()> {
    /// let queues = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    /// let bus = TestBus::on(queues).start(app).await?;
    /// # Ok(()) }
    /// ```
    pub fn on(memory: MemoryTransport) -> Setup {
        Setup { memory }
    }

    /// Publishes one event. As [`Bus::publish`].
    ///
    /// # Errors
    ///
    /// As [`Bus::publish`].
    pub async fn publish(&self, event: impl Publishable) -> Result<(), Unsent> {
        self.bus.publish(event).await
    }

    /// Publishes a batch. As [`Bus::publish_all`].
    ///
    /// # Errors
    ///
    /// As [`Bus::publish_all`].
    pub async fn publish_all<P: Publishable>(&self, events: impl IntoIterator<Item = P>) -> Result<(), Unsent> {
        self.bus.publish_all(events).await
    }

    /// Publishes messages as they are, as other software would. As [`Bus::send`].
    ///
    /// # Errors
    ///
    /// As [`Bus::send`].
    pub async fn send(&self, messages: Vec<Message>) -> Result<(), Unsent> {
        self.bus.send(messages).await
    }

    /// What the application's own code publishes with. After a restart it sends nothing: ask for another.
    pub fn publisher(&self) -> Publish {
        self.bus.publisher()
    }

    /// The bus itself.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// How the bus is now.
    pub fn health(&self) -> Health {
        self.bus.health()
    }

    /// The switches that make the broker misbehave, and the windows to look into it.
    ///
    /// ```
    /// # use gulo_bus_core::bus::{Bus, Subscription};
    /// # use gulo_bus_core::event::IntegrationEvent;
    /// # use gulo_bus_core::handler::Event;
    /// # use gulo_testing::TestBus;
    /// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)] struct Placed { order: u64 }
    /// # impl IntegrationEvent for Placed { const TYPE: &'static str = "order.placed"; }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let billing = Subscription::group("billing").on(async |_: Event<Placed>| {});
    /// let bus = TestBus::start(Bus::builder("shop").subscribe(billing)).await?;
    /// bus.faults().refuse(1);
    /// assert!(bus.publish(Placed { order: 1 }).await.is_err());
    /// assert!(bus.messages("integration-events.order_placed").is_empty());
    /// bus.shutdown().await?;
    /// # Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    /// #     .block_on(example()).unwrap();
    /// ```
    pub fn faults(&self) -> Faults {
        self.memory.faults()
    }

    /// What stands in `topic`, in order. As [`Faults::messages`].
    pub fn messages(&self, topic: &str) -> Vec<Message> {
        self.faults().messages(topic)
    }

    /// Waits until all that was published has come to its end in every group: handled, skipped, or dead-lettered; what
    /// handlers published and the tasks they spawned included, as far as those do not sleep. Retries and pauses take
    /// virtual time, an hour at most, and no real time.
    ///
    /// It looks into the broker, and does not guess from silence.
    ///
    /// # Errors
    ///
    /// [`Unsettled`] names what is open: group, message, attempts, reason.
    pub async fn settle(&self) -> Result<(), Unsettled> {
        self.settle_within(PATIENCE).await
    }

    /// As [`settle`](Self::settle), for at most `limit` of virtual time. [`Unsettled`] has an example.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub async fn settle_within(&self, limit: Duration) -> Result<(), Unsettled> {
        let look = self.look();
        if look.settled(limit).await {
            return Ok(());
        }
        Err(look.unsettled(format!("within {limit:?} of virtual time"), Some(&self.bus.health())))
    }

    /// Lets this much virtual time go by, with all that becomes due in it, in order. [`with`](Self::with) has an
    /// example.
    pub async fn advance(&self, time: Duration) {
        // Not `tokio::time::advance`: that leaps, and all timers in between fire at once.
        tokio::time::sleep(time).await;
    }

    /// Shuts the bus down in good order and starts it again on the same broker, as a deployment does.
    /// [`with`](Self::with) has an example.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) where it was not started [`with`](Self::with) what makes it again. What did not
    /// close, and as [`start`](Self::start).
    pub async fn restart(self) -> Result<Self> {
        let Self { bus, factory, memory, record, _printed, .. } = self;
        let factory = factory.ok_or_else(no_factory)?;
        let unclean = |error: ShutdownError| {
            Error::new(ErrorKind::Other, format!("the bus did not shut down in order: {error}"))
                .help("settle it before, or crash it where that is what is tested")
                .source(error)
        };
        bus.shutdown(SHUTDOWN).await.map_err(unclean)?;
        record.restarted(false);
        Self::launch(memory, record, factory(), Some(factory)).await
    }

    /// Lets the bus die as a process does that is killed, and starts it again on the same broker: handlers end at their
    /// await, what they had finished and what was not durable yet comes again, and publishers given out before send
    /// nothing more. Tasks that the application spawned itself go on. [`with`](Self::with) has an example.
    ///
    /// # Errors
    ///
    /// As [`restart`](Self::restart).
    pub async fn crash(self) -> Result<Self> {
        let Self { bus, alive, factory, memory, record, _printed } = self;
        let factory = factory.ok_or_else(no_factory)?;
        alive.store(false, Relaxed);
        drop(bus);
        record.abandoned().await;
        record.restarted(true);
        Self::launch(memory, record, factory(), Some(factory)).await
    }

    /// Shuts the bus down, and checks that nothing is left: what waits, what is parked, what was never handled.
    /// It does not wait for that: [`settle`](Self::settle) does.
    ///
    /// # Errors
    ///
    /// [`Unsettled`] names what is left, and what did not close in order.
    pub async fn shutdown(self) -> Result<ShutdownReport, Unsettled> {
        let (health, closed) = (self.bus.health(), self.bus.shutdown(SHUTDOWN).await);
        let look = Look { record: &self.record, faults: self.memory.faults() };
        let mut left = look.unsettled("at shutdown".into(), Some(&health));
        match closed {
            Ok(report) if left.open.is_empty() && left.publishing == 0 => Ok(report),
            Ok(_) => Err(left),
            Err(error) => {
                left.troubles.extend(error.problems.iter().map(ToString::to_string));
                Err(left)
            }
        }
    }

    /// What happened so far, in order: what was published, what each attempt came to, what was skipped or
    /// dead-lettered. [`Log`] has an example.
    pub fn log(&self) -> Log {
        self.record.log()
    }

    pub(crate) fn groups(&self) -> Vec<Arc<str>> {
        self.record.groups()
    }

    /// The type that `message` says it has, or in words that it says none.
    pub(crate) fn kind(&self, message: &Message) -> String {
        self.record.kind(message)
    }

    pub(crate) fn says_type(&self, message: &Message) -> bool {
        self.bus.publisher().event_type_of(message).is_some()
    }

    pub(crate) fn happened(&self) -> impl Iterator<Item = What> {
        self.record.entries().into_iter().map(|entry| entry.what)
    }

    fn look(&self) -> Look<'_> {
        Look { record: &self.record, faults: self.memory.faults() }
    }
}

fn no_factory() -> Error {
    Error::new(ErrorKind::Config, "a `TestBus` that was given one bus cannot make it again")
        .help("start it with `TestBus::with(|| app())`")
}

#[async_trait]
impl EventPublisher for TestBus {
    async fn publish_events(&self, events: Vec<AnyEvent>) -> Result<(), Unsent> {
        self.bus.publish_events(events).await
    }
}

impl fmt::Debug for TestBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestBus").field(&self.bus).finish()
    }
}

/// Prints what happened where a test panics: an assertion shows what is not so, and seldom why.
#[derive(Debug)]
struct PrintedInPanic(Arc<Record>);

impl Drop for PrintedInPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what happened on the bus:\n{}", self.0.log());
        }
    }
}
