//! Layers around handlers, in tower's manner: each gets the call and the future inside, and gives back a future.
//!
//! ```
//! # use gulo_bus_core::handler::HandlerResult;
//! # use gulo_bus_core::layer::{HandlerFuture, Invocation, Layer};
//! /// Says how long each call took.
//! struct Timing;
//!
//! impl Layer for Timing {
//!     fn wrap(&self, call: &Invocation, inner: HandlerFuture) -> HandlerFuture {
//!         let (handler, begun) = (call.handler, std::time::Instant::now());
//!         Box::pin(async move {
//!             let result = inner.await;
//!             println!("{handler} took {:?}", begun.elapsed());
//!             result
//!         })
//!     }
//! }
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::dead_letter::Reason;
use crate::error::{Error, shown};
use crate::event::EventMeta;
use crate::handler::{HandlerError, HandlerResult};
use crate::message::{Message, Origin};

/// A call of a handler under way: owned, so layers may keep it. [The module](self) has an example.
pub type HandlerFuture = BoxFuture<'static, HandlerResult>;

/// What a layer knows of a call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Invocation {
    /// The group.
    pub group: Arc<str>,
    /// The handler's name.
    pub handler: &'static str,
    /// What is known of the event.
    pub meta: Arc<EventMeta>,
    /// The message as it came, its headers for a layer of your own. Its parts are shared, not copied.
    pub message: Message,
    /// Where the message stood.
    pub origin: Origin,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

/// Something around every call of a group's handlers. The first one added is the outermost.
///
/// The handler does not run before its future is polled: a layer that never polls it keeps the handler from running. (A
/// function that returns a future runs up to there when it is called.) What the layer's future returns is the handler's
/// result of this attempt. Where several handlers take one message, each call is wrapped by itself.
///
/// A panic in a layer is a failure, as one in a handler is; a handler's panic passes through the layers, past what they
/// do after `inner.await`. Where the call is dropped (its lane is lost, a shutdown has no more time; inside of a
/// [`TimeOut`] also where that is late) what a layer does after `inner.await` is dropped with it: what must happen
/// belongs into a `Drop`.
///
/// Told of what was not handled, a layer is where alarms come from:
///
/// ```
/// # use gulo_bus_core::layer::{Fate, HandlerFuture, Invocation, Layer, NotHandled};
/// struct Alarm;
///
/// impl Layer for Alarm {
///     fn wrap(&self, _: &Invocation, inner: HandlerFuture) -> HandlerFuture {
///         inner
///     }
///
///     fn not_handled(&self, message: &NotHandled<'_>) {
///         if let Fate::DeadLettered { error, attempts, .. } = &message.fate {
///             eprintln!("group {} gave up {} after {attempts} attempts: {error}", message.group, message.origin);
///         }
///     }
/// }
/// ```
pub trait Layer: Send + Sync + 'static {
    /// Puts itself around `inner`.
    fn wrap(&self, call: &Invocation, inner: HandlerFuture) -> HandlerFuture;

    /// Is told of a message that came to its end without having been handled: for an alarm, or a record. It is called
    /// in the group's own task and must not block. Does nothing unless said.
    fn not_handled(&self, message: &NotHandled<'_>) {
        let _ = message;
    }
}

/// A message at its end that no handler took care of. [`Layer`] has an example.
#[derive(Debug)]
#[non_exhaustive]
pub struct NotHandled<'a> {
    /// The group.
    pub group: &'a Arc<str>,
    /// The message as it came.
    pub message: &'a Message,
    /// Where it stood.
    pub origin: Origin,
    /// What became of it.
    pub fate: Fate<'a>,
}

/// What became of a message that was not handled.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fate<'a> {
    /// It was passed over: a tombstone, of a type that the group has no handler for, or sent back for another group.
    Skipped,
    /// Its dead letter is confirmed, or taken, or by the group's choice discarded.
    DeadLettered {
        /// Why it was not handled.
        reason: Reason,
        /// What the last failure said.
        error: &'a Error,
        /// How often it was handled, 0 where it never got to a handler.
        attempts: u32,
        /// The dead letter; its topic is empty where it went to none.
        letter: &'a Message,
    },
    /// Its copy in the group's [retry topic](crate::retry_later) is confirmed: it comes again later.
    Postponed {
        /// What the last failure said.
        error: &'a Error,
        /// How often it was handled.
        attempts: u32,
        /// What waits there, and until when.
        copy: &'a Message,
    },
}

/// Gives what a handler itself logs the message that it is about: a span `handle` at `info`, with its group, topic,
/// partition, offset, type, id, conversation, attempt and handler. (What becomes of a message the bus logs by itself:
/// [the guide to logs].) It costs what the subscriber makes of a span, and nothing where that does not want it.
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::layer::Log;
/// let bus = Bus::builder("user-service").layer(Log);
/// ```
///
/// [the guide to logs]: https://github.com/gulo-rs/gulo/blob/main/docs/logs.md
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Layer for Log {
    fn wrap(&self, call: &Invocation, inner: HandlerFuture) -> HandlerFuture {
        let Invocation { group, handler, meta, origin, attempt, .. } = call;
        let span = tracing::info_span!(
            "handle",
            %group,
            topic = shown(&origin.topic),
            partition = origin.partition,
            offset = origin.offset,
            event_type = shown(&meta.event_type),
            event_id = shown(&meta.id),
            correlation_id = meta.correlation_id.as_deref().map(shown),
            attempt,
            handler,
        );
        Box::pin(inner.instrument(span))
    }
}

/// Fails a call that takes longer: its future is dropped at its next await, and the failure is retried by policy. For
/// one group that is [`Subscription::deadline`](crate::bus::Subscription::deadline); for all:
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::layer::TimeOut;
/// let bus = Bus::builder("user-service").layer(TimeOut(Duration::from_secs(30)));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TimeOut(pub Duration);

const LATE: &str = "give it a longer deadline, or less to do";

impl Layer for TimeOut {
    fn wrap(&self, _: &Invocation, inner: HandlerFuture) -> HandlerFuture {
        let deadline = self.0;
        Box::pin(async move {
            let late = |_| Err(HandlerError::new(format!("handler did not end within {deadline:?} ({LATE})")));
            tokio::time::timeout(deadline, inner).await.unwrap_or_else(late)
        })
    }
}

/// Lets this many calls run at a time, of all groups that share the layer: clones share the limit. What waits for its
/// turn keeps its place in its group.
///
/// ```
/// # use gulo_bus_core::bus::Subscription;
/// # use gulo_bus_core::layer::{ConcurrencyLimit, Log};
/// // The database takes ten at a time, whoever asks.
/// let database = ConcurrencyLimit::new(10);
/// let billing = Subscription::group("billing").layer(Log).layer(database.clone());
/// let ledger = Subscription::group("ledger").layer(database);
/// ```
#[derive(Debug, Clone)]
pub struct ConcurrencyLimit(Arc<Semaphore>);

impl ConcurrencyLimit {
    /// At most `calls` at a time; 0 means 1.
    pub fn new(calls: usize) -> Self {
        Self(Arc::new(Semaphore::new(calls.clamp(1, Semaphore::MAX_PERMITS))))
    }
}

impl Layer for ConcurrencyLimit {
    fn wrap(&self, _: &Invocation, inner: HandlerFuture) -> HandlerFuture {
        let turns = Arc::clone(&self.0);
        Box::pin(async move {
            // Never closed, so there is a turn for everyone.
            let _turn = turns.acquire_owned().await;
            inner.await
        })
    }
}
