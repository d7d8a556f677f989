//! The seam: what a broker must do for Gulo, and nothing about events, codecs, handlers or retries.
//!
//! Every method works on a batch, so one boxed future serves many messages and `dyn` costs nothing. None has a
//! default body: each transport decides each of them. The suite in `gulo-conformance` says what is expected, case by
//! case, and every transport runs it; `gulo-transport-memory` is the one to begin with.
//!
//! Reading without a bus, as one that uses the seam has it:
//!
//! ```
//! # use std::time::Duration;
//! # use gulo_bus_core::settle::Settlement;
//! # use gulo_bus_core::transport::{Inbox, SubscribeSpec, Transport};
//! # use tokio::time::Instant;
//! async fn read_some(transport: &dyn Transport) -> gulo_bus_core::Result<()> {
//!     let mut source = transport.subscribe(SubscribeSpec::group("email", ["users"])).await?;
//!     let mut inbox = Inbox::default();
//!     while inbox.deliveries.is_empty() {
//!         source.recv(&mut inbox, 128).await?;        // waits for at least one event or delivery
//!         inbox.events.drain(..).for_each(|event| println!("{event:?}")); // events before deliveries
//!     }
//!     let mut done = Vec::new();
//!     for delivery in inbox.deliveries.drain(..) {
//!         println!("{}: {} bytes", delivery.origin(), delivery.message.size());
//!         done.push(Settlement::done(delivery.token));
//!     }
//!     source.settle(&mut done)?;
//!     source.close(Instant::now() + Duration::from_secs(10)).await // makes it durable
//! }
//! ```

mod capability;
mod event;
mod spec;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::error::{Error, Result, shown};
use crate::message::Message;
use crate::settle::{Lane, Settlement};

pub use capability::{Capabilities, Capability};
pub use event::{Delivery, Inbox, LaneEvent};
pub use spec::{CommitPolicy, GroupSpec, Member, Position, SubscribeSpec, TopicSpec, Topics, Topology, TopologyMode};

/// A broker, or the way to one. Making the value connects to nothing. [The module](self) has an example.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Its name, as OpenTelemetry's [`messaging.system`] has it where it knows one: `kafka`, `rabbitmq`, `memory`.
    ///
    /// [`messaging.system`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/messaging/
    fn name(&self) -> &'static str;

    /// What it can do. Constant for the life of the value.
    fn capabilities(&self) -> Capabilities;

    /// How its connections are, as last heard of. Never blocks.
    fn status(&self) -> Status;

    /// Creates what is missing of `topology`, or only checks it, by its mode. The error names all that is missing,
    /// not only the first. What exists is left as it is.
    ///
    /// Cancel safety: what was created before the future was dropped stays created.
    async fn ensure(&self, topology: &Topology) -> Result<()>;

    /// A way to publish. May be shared and called from many tasks.
    async fn publisher(&self) -> Result<Arc<dyn Publisher>>;

    /// Begins to receive. What the transport cannot do is refused here by the name of the capability, never ignored.
    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>>;

    /// Opens the transactions of `id` (Kafka's `transactional.id`), fencing an earlier owner of the same id; or
    /// [`Unsupported`](crate::ErrorKind::Unsupported), naming [`Capability::Transactions`].
    async fn transaction(&self, id: &str) -> Result<Box<dyn Transaction>>;
}

/// Sends messages.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::message::Message;
/// # use gulo_bus_core::transport::Transport;
/// # use tokio::time::Instant;
/// # async fn example(transport: &dyn Transport) -> Result<(), Box<dyn std::error::Error>> {
/// let publisher = transport.publisher().await?;
/// publisher.publish(vec![Message::new("users", "{}").key("7")]).await?; // all of it is confirmed, or else said
/// publisher.close(Instant::now() + Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Resolves when the broker has confirmed every message. Otherwise those that are not confirmed come back, owned,
    /// each with its error and its [`Outcome`]; the rest of the batch is confirmed.
    ///
    /// Messages of one key and one call keep their order. A full local queue makes it wait, up to the transport's
    /// publish time-out. An empty batch is `Ok`.
    ///
    /// Cancel safety: dropping the future takes nothing back; what was handed to the client may still be sent.
    async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent>;

    /// Waits until all that was handed over is confirmed or has failed, at most until `deadline`, then lets go of the
    /// connection. Publishing afterwards fails as *not sent*.
    async fn close(&self, deadline: Instant) -> Result<()>;
}

/// Receives messages, as a member of a group or alone.
///
/// One task owns it. It is [`Any`], so that a [`Transaction`] of its transport can take part in it. All of what it
/// hands out between [`LaneEvent::Opened`] and the end of the lane carries that lane's epoch; verdicts and commands for
/// another epoch do nothing. [The module](self) has an example.
#[async_trait]
pub trait Source: Any + Send {
    /// Waits for at least one delivery or event and adds it to `inbox`, at most `room` deliveries. With `room` 0 it
    /// still yields events. At most [`SubscribeSpec::window`] deliveries of a lane are ever out and unsettled,
    /// counted from the oldest unsettled one; a lane that is full is held back alone.
    ///
    /// An `Err` ends the source: it must be closed, a new one may be subscribed. What heals by itself is a
    /// [`LaneEvent::Degraded`].
    ///
    /// Cancel safety: safe. What was received lies in `inbox` or in the source, never in the future.
    async fn recv(&mut self, inbox: &mut Inbox, room: usize) -> Result<()>;

    /// Hands verdicts over, draining `batch`; does not wait for the broker. Verdicts of an earlier epoch, or given
    /// twice, are ignored. A verdict that needs a capability the transport lacks is
    /// [`Unsupported`](crate::ErrorKind::Unsupported); that delivery stays unsettled and the others are handed over.
    fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()>;

    /// Whether what was handed out may still be begun. `false` for as long as it is in doubt whether the lanes are
    /// still ours, because this process did not run for so long (stopped, or starved) that the group may have given
    /// them away. It becomes `true` again when that is known; what has been lost by then is told by the next `recv`.
    /// Asked before each round of handlers, so it must cost next to nothing.
    fn may_begin(&self) -> bool;

    /// Asks for something to be done to lanes; answered by [`LaneEvent`]s out of `recv`.
    fn control(&mut self, command: Control) -> Result<()>;

    /// Makes verdicts handed over so far durable, gives all lanes back and leaves. Returns by `deadline` even when
    /// the broker is gone; then with [`TimedOut`](crate::ErrorKind::TimedOut), and verdicts may be lost: what they
    /// settled is delivered again.
    async fn close(&mut self, deadline: Instant) -> Result<()>;
}

/// Publishing and settling that become visible together or not at all.
///
/// ```
/// # use gulo_bus_core::message::Message;
/// # use gulo_bus_core::settle::Settlement;
/// # use gulo_bus_core::transport::{Source, Transport};
/// # async fn example(
/// #     transport: &dyn Transport, source: &mut dyn Source, mut read: Vec<Settlement>, totals: Vec<Message>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut transaction = transport.transaction("totals-0").await?; // fences an earlier owner of this id
/// transaction.publish(totals).await?;
/// transaction.settle(source, &mut read).await?;
/// transaction.commit().await?;
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Transaction: Send + 'static {
    /// Publishes inside the transaction: as [`Publisher::publish`], but visible to nobody before the commit.
    async fn publish(&mut self, batch: Vec<Message>) -> Result<(), Unsent>;

    /// Settles deliveries of `source` with the commit.
    async fn settle(&mut self, source: &mut dyn Source, batch: &mut Vec<Settlement>) -> Result<()>;

    /// Makes all of it visible. After an error the outcome is unknown and the transaction is over: open a new one.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Takes all of it back.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// A command about lanes. One for a lane that is not open any more, or of another epoch, does nothing.
///
/// ```
/// # use gulo_bus_core::settle::Lane;
/// # use gulo_bus_core::transport::{Control, Position, Source};
/// # fn example(source: &mut dyn Source, lane: Lane) -> gulo_bus_core::Result<()> {
/// source.control(Control::Seek { lane, to: Position::Earliest })?; // `Closed`, then `Opened` with a new epoch
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Delivers nothing of the lane from now on; what is out can be settled. Answered by [`LaneEvent::Paused`].
    Pause(Lane),
    /// Delivers again, from where it stopped. Answered by [`LaneEvent::Resumed`].
    Resume(Lane),
    /// Gives lanes back: what is settled becomes durable, what is not will be delivered again. Answered by
    /// [`LaneEvent::Closed`] for each. The answer to [`LaneEvent::Draining`]; of a lane that is not draining, it
    /// opens again under a new epoch with what was unsettled, in order.
    Release(Vec<Lane>),
    /// Goes on reading at `to`. Answered by [`LaneEvent::Closed`] for the lane and [`LaneEvent::Opened`] for its next
    /// epoch. The group's committed position follows with the first settlement after it.
    Seek {
        /// The lane to move.
        lane: Lane,
        /// Where it goes on.
        to: Position,
    },
}

/// How a transport's connections are.
///
/// ```
/// # use gulo_bus_core::transport::Status;
/// fn line(status: &Status) -> String {
///     match status {
///         Status::Up => "up".into(),
///         Status::Down { since, reason } => format!("down since {since:?}: {reason}"),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Nothing bad is known.
    Up,
    /// The broker lets nothing in for now (a RabbitMQ memory alarm, say).
    Blocked {
        /// What the broker said.
        reason: String,
    },
    /// Not connected.
    Down {
        /// Since when.
        since: SystemTime,
        /// The first cause the client named, with the address.
        reason: String,
    },
}

/// What is known of a message whose publish did not succeed. [`Unsent`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It never will be taken as it is.
    Refused,
    /// It did not leave: sending it again makes no duplicate.
    NotSent,
    /// It may have arrived: sending it again may make a duplicate.
    Unknown,
}

impl Outcome {
    /// A short name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::NotSent => "not sent",
            Self::Unknown => "unknown",
        }
    }
}

/// A message that was not confirmed. [`Unsent`] has an example.
pub struct Failed {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// The message itself.
    pub message: Message,
    /// What is known of it.
    pub outcome: Outcome,
    /// Why.
    pub error: Error,
}

/// The messages of a batch that are not confirmed, in the order of the batch; those that the bus itself refused stand
/// first, for they are why the others were not sent. Never empty.
///
/// ```
/// # use gulo_bus_core::event::IntegrationEvent;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::transport::Outcome;
/// # async fn example(bus: &Bus, users: Vec<UserRegistered>) {
/// if let Err(unsent) = bus.publish_all(users).await {
///     for failed in &unsent.failed {
///         match failed.outcome {
///             Outcome::Refused => println!("number {} never will be: {}", failed.index, failed.error),
///             Outcome::NotSent => println!("number {} may safely be sent again", failed.index),
///             Outcome::Unknown => println!("number {} may have arrived", failed.index),
///         }
///     }
/// }
/// # }
/// ```
pub struct Unsent {
    /// Each with its reason.
    pub failed: Vec<Failed>,
}

impl Unsent {
    /// All of `batch` failed alike; `error` is made once per message.
    pub fn all(batch: Vec<Message>, outcome: Outcome, error: impl Fn(&Message) -> Error) -> Self {
        let fail = |(index, message): (usize, Message)| {
            let error = error(&message);
            Failed { index, message, outcome, error }
        };
        Self { failed: batch.into_iter().enumerate().map(fail).collect() }
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.failed.first() else {
            return f.write_str("0 messages not confirmed");
        };
        f.write_str(first.outcome.name())?;
        // There is none where naming it failed.
        if !first.message.topic.is_empty() {
            write!(f, " to {}", shown(&first.message.topic))?;
        }
        write!(f, ": {}", first.error)?;
        match self.failed.len() - 1 {
            0 => Ok(()),
            more => write!(f, "; and {more} more not confirmed"),
        }
    }
}

// `main` prints its error with Debug: without payloads, which may be large and are nobody's business there.
impl fmt::Debug for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, message, outcome, error } = self;
        write!(f, "#{index} {} to {}: {error:?}", outcome.name(), shown(&message.topic))
    }
}

impl std::error::Error for Unsent {}
