//! What an application says about one group of handlers.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::bus::registered::{Place, Registered};
use crate::config::ServiceConfig;
use crate::dead_letter::DeadLetter;
use crate::dispatch::Concurrency;
use crate::error::{Error, ErrorKind, Result};
use crate::handler::{self, ErasedHandler, Handler, RawHandler};
use crate::layer::{Layer, TimeOut};
use crate::retry::Retry;
use crate::retry_later::RetryLater;
use crate::routing::TopicSelector;
use crate::transport::{CommitPolicy, Position};

/// A consumer group and its handlers.
///
/// Messages are handled one after the other unless [`concurrency`](Self::concurrency) says more. A failed one is tried
/// again by [`retry`](Self::retry); what cannot be handled is copied to `<topic>.<group>.dlq`, and only when that copy
/// is confirmed is the message settled.
///
/// ```
/// # use gulo_bus_core::event::IntegrationEvent;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// # use std::time::Duration;
/// # use gulo_bus_core::bus::{Concurrency, Subscription};
/// # use gulo_bus_core::dead_letter::DeadLetter;
/// # use gulo_bus_core::handler::{Event, HandlerError};
/// # use gulo_bus_core::retry::Retry;
/// async fn send_welcome(Event(user): Event<UserRegistered>) -> Result<(), HandlerError> {
///     println!("welcome, {}", user.email);
///     Ok(())
/// }
///
/// let email = Subscription::group("email")
///     .concurrency(Concurrency::per_key(64))                       // 64 at a time, those of one key in order
///     .retry(Retry::exponential(Duration::from_millis(100)).max_attempts(5))
///     .deadline(Duration::from_secs(30))                           // for each attempt
///     .dead_letter(DeadLetter::topic())                            // `<topic>.email.dlq`
///     .on(send_welcome);                                           // topic and type come from the signature
/// ```
#[derive(Clone)]
#[must_use = "a subscription does nothing until it is given to `BusBuilder::subscribe`"]
pub struct Subscription {
    pub(crate) group: Arc<str>,
    pub(crate) handlers: Vec<Registered>,
    /// Where in the program it was made.
    pub(crate) place: Place,
    pub(crate) retry: Retry,
    pub(crate) later: Option<RetryLater>,
    pub(crate) dead_letter: DeadLetter,
    pub(crate) unhandled: Unhandled,
    pub(crate) start: Position,
    pub(crate) commit: CommitPolicy,
    pub(crate) concurrency: Concurrency,
    pub(crate) layers: Vec<Arc<dyn Layer>>,
    /// The shortest that was said; it is kept by a layer.
    pub(crate) deadline: Option<Duration>,
    pub(crate) in_flight: Option<usize>,
    pub(crate) window: Option<usize>,
    pub(crate) stall_after: Duration,
}

/// More than handlers ordinarily take: deadlines of theirs are seldom over half of it.
const STALL_AFTER: Duration = Duration::from_secs(60);

/// What becomes of a message that no handler of the group is for, by its type or its topic.
///
/// ```
/// # use gulo_bus_core::bus::{Subscription, Unhandled};
/// // Nobody else publishes here: what is unknown is a mistake.
/// let orders = Subscription::group("orders").unhandled(Unhandled::DeadLetter);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unhandled {
    /// Counted and passed over: a topic may carry more types than one group cares for.
    #[default]
    Skip,
    /// A dead letter, for the [reason](crate::dead_letter::Reason) `undecodable`.
    DeadLetter,
}

impl Subscription {
    /// A group by this name. Members of one group share the work, each group gets everything.
    #[track_caller]
    pub fn group(name: impl Into<Arc<str>>) -> Self {
        Self {
            group: name.into(),
            handlers: Vec::new(),
            place: Location::caller(),
            retry: Retry::default(),
            later: None,
            dead_letter: DeadLetter::default(),
            unhandled: Unhandled::default(),
            start: Position::Earliest,
            commit: CommitPolicy::default(),
            concurrency: Concurrency::Sequential,
            layers: Vec::new(),
            deadline: None,
            in_flight: None,
            window: None,
            stall_after: STALL_AFTER,
        }
    }

    /// The group that a configuration names, with what it says of retries, dead letters and where a new group begins.
    /// [`ServiceConfig`] shows it.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) where it names no group: members of one group share its messages, so a name that
    /// several services fell back to would cost each of them what another one got.
    #[track_caller]
    pub fn configured(config: &ServiceConfig) -> Result<Self> {
        let Some(group) = &config.group else {
            let help = format!("{}; or use `Subscription::group`", config.way_to_say("consumer_group_id"));
            return Err(Error::new(ErrorKind::Config, "the configuration names no group").help(help));
        };
        let suffix = Arc::clone(&config.dead_letter_suffix);
        let dead_letter = match config.dead_letters {
            true => DeadLetter::topic_named(move |topic, group| format!("{topic}.{group}{suffix}")),
            false => DeadLetter::discard(),
        };
        let retry = Retry::default().max_attempts(config.max_attempts);
        Ok(Self::group(Arc::clone(group)).start(config.start).retry(retry).dead_letter(dead_letter))
    }

    /// Handles the event in the signature of `handler`, from the topic of its type.
    ///
    /// Several handlers of one type each get every event, one after the other as they were added, and each has its own
    /// outcome: where one fails the others still run, and only those that failed are tried again, each by what the
    /// policy says of its own error. The message is settled when all have done their part, or becomes one dead letter that
    /// names what each of those that failed said. (After a crash, in the next process or member that gets a message which
    /// waited for its next attempt, and when a dead letter is published again, all run again. What must not share that
    /// fate belongs into a group of its own.)
    ///
    /// ```
    /// # use gulo_bus_core::event::IntegrationEvent;
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
    /// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRenamed { name: String }
    /// # impl IntegrationEvent for UserRenamed { const TYPE: &'static str = "user.renamed"; }
    /// # use gulo_bus_core::bus::Subscription;
    /// # use gulo_bus_core::handler::Event;
    /// async fn send_welcome(_: Event<UserRegistered>) {}
    /// async fn count(_: Event<UserRegistered>) {}
    /// async fn change_name(_: Event<UserRenamed>) {}
    ///
    /// let email = Subscription::group("email").on(send_welcome).on(count).on(change_name);
    /// ```
    #[track_caller]
    pub fn on<Args: 'static, H: Handler<Args>>(self, handler: H) -> Self {
        self.with(None, handler::erase(handler), Location::caller())
    }

    /// Handles the event in the signature of `handler`, from other topics than that of its type: one, several, or all
    /// that match a [pattern](TopicSelector::pattern). Names are those in the program:
    /// [`TopicNaming`](crate::routing::TopicNaming) applies to them, but not to patterns.
    ///
    /// ```
    /// # use gulo_bus_core::event::IntegrationEvent;
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct OrderPlaced { order: u64 }
    /// # impl IntegrationEvent for OrderPlaced { const TYPE: &'static str = "order.placed"; }
    /// # use gulo_bus_core::bus::Subscription;
    /// # use gulo_bus_core::handler::Event;
    /// # use gulo_bus_core::routing::TopicSelector;
    /// # async fn ship(_: Event<OrderPlaced>) {}
    /// let two = Subscription::group("eu-and-us").on_from(["orders.eu", "orders.us"], ship);
    /// let all = Subscription::group("everywhere").on_from(TopicSelector::pattern(r"orders\.[a-z]+"), ship);
    /// ```
    #[track_caller]
    pub fn on_from<Args: 'static, H: Handler<Args>>(self, topics: impl Into<TopicSelector>, handler: H) -> Self {
        self.with(Some(topics.into()), handler::erase(handler), Location::caller())
    }

    /// Handles messages of `topics` as they are, with an async function of [`Payload`](crate::handler::Payload) or
    /// [`Message`](crate::message::Message): all for which the group has no handler by their type, tombstones too.
    /// [`RawHandler`] has an example.
    #[track_caller]
    pub fn on_raw<Args: 'static, H: RawHandler<Args>>(self, topics: impl Into<TopicSelector>, handler: H) -> Self {
        self.with(Some(topics.into()), handler::erase_raw(handler), Location::caller())
    }

    fn with(mut self, from: Option<TopicSelector>, handler: Arc<dyn ErasedHandler>, place: Place) -> Self {
        self.handlers.push(Registered { handler, from, place });
        self
    }

    /// How many messages are handled at a time, in this process. [`Concurrency::Sequential`] unless said.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// How many messages are inside at most: in work, waiting for an attempt, or queued behind their key. Unless said,
    /// what the windows of the open lanes add up to (2,000 each), or 512 where messages are handled one after the
    /// other. With fewer, keys that are stuck on some lanes can hold up the others.
    pub fn in_flight(mut self, messages: usize) -> Self {
        self.in_flight = Some(messages);
        self
    }

    /// How many messages of one lane (a partition, a queue) are out at most, counted from the oldest unfinished one:
    /// 2,000 unless said. It bounds what a crash repeats, and how far a lane goes on past a key that is stuck. A lane
    /// that is full is held back alone.
    pub fn window(mut self, messages: usize) -> Self {
        self.window = Some(messages);
        self
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        let usual = if self.concurrency == Concurrency::Sequential { Some(512) } else { None };
        self.in_flight.or(usual)
    }

    /// Puts a layer around every call of the group's handlers; the first one is the outermost.
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// How long a handler may take, each at each attempt: one that takes longer has failed, and is tried again by
    /// policy. Its future is dropped at its next await; code that blocks its thread cannot be stopped. No limit unless
    /// said.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |said| said.min(deadline)));
        self.layer(TimeOut(deadline))
    }

    /// A lane (a partition, a queue) of which something is in flight and nothing has come to its end for this long is
    /// unhealthy: [`Health`](crate::bus::Health) names it, and so does one warning. So is the whole group where a
    /// handler blocks its thread for this long. Nothing is stopped by it.
    ///
    /// A minute unless said: more than a handler ordinarily takes. Where one takes longer than that, or where a wait
    /// between attempts is longer, say more. [`Duration::MAX`] is never.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use gulo_bus_core::bus::Subscription;
    /// let reports = Subscription::group("reports").stall_after(Duration::from_secs(15 * 60));
    /// ```
    pub fn stall_after(mut self, time: Duration) -> Self {
        self.stall_after = time.max(Duration::from_millis(1));
        self
    }

    /// When a failed message is handled again. [`Retry::default`] unless said.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// After which delays a message is handled again that has failed as often as [`retry`](Self::retry) allows: it waits in the
    /// group's own topic, and its key goes on without it. Not at all unless said. [`retry_later`](crate::retry_later) says all of
    /// it; the transport must offer `deliver_at`.
    pub fn retry_later(mut self, later: impl Into<RetryLater>) -> Self {
        self.later = Some(later.into());
        self
    }

    /// Where dead letters go. [`DeadLetter::topic`] unless said.
    pub fn dead_letter(mut self, dead_letter: DeadLetter) -> Self {
        self.dead_letter = dead_letter;
        self
    }

    /// What becomes of types without a handler. [`Unhandled::Skip`] unless said.
    pub fn unhandled(mut self, unhandled: Unhandled) -> Self {
        self.unhandled = unhandled;
        self
    }

    /// Where the group begins when it is new. [`Position::Earliest`] unless said: a group that comes late still gets
    /// what was published before, on transports with `history`. [`Position`] has an example.
    pub fn start(mut self, start: Position) -> Self {
        self.start = start;
        self
    }

    /// When finished work is made durable; with it goes what a crash repeats at most. 5,000 messages or one second
    /// unless said. [`CommitPolicy`] has an example.
    pub fn commit(mut self, commit: CommitPolicy) -> Self {
        self.commit = commit;
        self
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("group", &self.group)
            .field("handlers", &self.handlers.iter().map(|registered| &registered.handler).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
