//! One message, from the group's table of handlers to its end: handled, skipped, or a confirmed dead letter.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::time::sleep;

use crate::bus::report::Gauge;
use crate::bus::subscription::Unhandled;
use crate::dead_letter::{Epitaph, Reason};
use crate::envelope;
use crate::error::{Error, ErrorKind};
use crate::event::EventMeta;
use crate::handler::{Call, ErasedHandler, HandlerError, StateMap, Undecodable};
use crate::message::Message;
use crate::retry::{Decision, Retry};
use crate::transport::{Delivery, Outcome, Publisher, Unsent};

/// Waits between attempts to get a dead letter confirmed.
const DEAD_LETTER_BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What a group's messages need.
pub(crate) struct Processor {
    pub(crate) group: Arc<str>,
    pub(crate) routes: Routes,
    pub(crate) retry: Retry,
    pub(crate) unhandled: Unhandled,
    pub(crate) states: Arc<StateMap>,
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) gauge: Arc<Gauge>,
}

/// Whether a message in work may be left at once when its lane has to go.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU8);

impl Stage {
    const WORKING: u8 = 0;
    const WAITING: u8 = 1;

    /// It only waits for its next attempt: leaving it costs nothing but that wait.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.load(Relaxed) == Self::WAITING
    }

    async fn wait(&self, delay: Duration) {
        self.0.store(Self::WAITING, Relaxed);
        sleep(delay).await;
        self.0.store(Self::WORKING, Relaxed);
    }
}

/// The end of a message that could not be handled.
struct Death {
    reason: Reason,
    error: Error,
    attempts: u32,
    first_failed: DateTime<Utc>,
}

impl Death {
    fn undecodable(error: Error, attempts: u32) -> Self {
        Self { reason: Reason::Undecodable, error, attempts, first_failed: Utc::now() }
    }
}

impl Processor {
    /// Brings `delivery` to its end. Returns only when it may be settled: its effect is done, or its copy confirmed.
    ///
    /// Cancel safety: dropped midway, the message is unsettled and comes again; a dead letter on its way may then
    /// stand twice.
    pub(crate) async fn process(&self, delivery: &Delivery, stage: &Stage) {
        let death = match self.routes.find(&delivery.message) {
            Route::Skip => return self.gauge.skipped(),
            Route::Unhandled(error) if self.unhandled == Unhandled::Skip => {
                tracing::debug!(group = %self.group, origin = %delivery.origin, "skipped: {error}");
                return self.gauge.skipped();
            }
            Route::Unhandled(error) | Route::Unknown(error) => Err(Death::undecodable(error, 0)),
            Route::To(handler) => self.handle(&**handler, delivery, stage).await,
        };
        match death {
            Ok(()) => self.gauge.handled(),
            Err(death) => self.bury(delivery, &death, stage).await,
        }
    }

    async fn handle(&self, handler: &dyn ErasedHandler, delivery: &Delivery, stage: &Stage) -> Result<(), Death> {
        let meta = handler.meta(&delivery.message, &delivery.origin);
        let meta = meta.map_err(|Undecodable(error)| Death::undecodable(error, 0))?;
        let mut first_failed = None;
        for attempt in 1.. {
            let failure = match self.attempt(handler, delivery, &meta, attempt).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(failure)) => failure,
                Err(Undecodable(error)) => return Err(Death::undecodable(error, attempt - 1)),
            };
            let first_failed = *first_failed.get_or_insert_with(Utc::now);
            let decision = self.retry.decide(&failure.failure(attempt));
            self.log_failure(handler, delivery, &meta, attempt, &failure, decision);
            match decision {
                Decision::RetryAfter(delay) => stage.wait(delay).await,
                Decision::DeadLetter => return Err(exhausted(&failure, attempt, first_failed)),
            }
            self.gauge.retried();
        }
        Ok(())
    }

    async fn attempt(
        &self,
        handler: &dyn ErasedHandler,
        delivery: &Delivery,
        meta: &Arc<EventMeta>,
        attempt: u32,
    ) -> Result<Result<(), HandlerError>, Undecodable> {
        let (message, origin) = (&delivery.message, &delivery.origin);
        let call = Call { meta, message, origin, attempt, states: &self.states };
        // A handler's panic is a failure like any other. It may strike before the first await too, when the function
        // itself runs, or in a decoder.
        let begun = std::panic::catch_unwind(AssertUnwindSafe(|| handler.handle(&call)));
        let future = match begun {
            Ok(future) => future?,
            Err(panic) => return Ok(Err(panicked(&*panic))),
        };
        Ok(AssertUnwindSafe(future).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&*panic))))
    }

    /// Publishes the dead letter until it is confirmed, however long that takes: the message parks meanwhile, unsettled.
    async fn bury(&self, delivery: &Delivery, death: &Death, stage: &Stage) {
        let epitaph = Epitaph {
            group: &self.group,
            origin: &delivery.origin,
            reason: death.reason,
            error: &death.error,
            attempts: death.attempts,
            first_failed: death.first_failed,
            last_failed: Utc::now(),
        };
        let mut copy = epitaph.copy(&delivery.message);
        let (mut wait, longest) = DEAD_LETTER_BACK_OFF;
        while let Err(unsent) = self.publisher.publish(vec![copy.clone()]).await {
            if refused_as_too_large(&unsent) {
                copy = epitaph.cut_copy(&delivery.message);
            }
            self.parked(delivery, &copy, &unsent);
            stage.wait(wait).await;
            wait = (wait * 2).min(longest);
        }
        self.gauge.set_parked(None);
        self.gauge.dead_lettered();
        let (group, origin, topic) = (&self.group, &delivery.origin, &copy.topic);
        tracing::warn!(%group, %origin, %topic, reason = death.reason.name(), "dead-lettered: {}", death.error);
    }

    fn parked(&self, delivery: &Delivery, copy: &Message, unsent: &Unsent) {
        let (origin, topic) = (&delivery.origin, &copy.topic);
        let trouble = format!("{origin} is parked, its dead letter is not taken: {unsent}");
        tracing::error!(group = %self.group, %origin, %topic, "{trouble}");
        self.gauge.set_parked(Some(trouble));
    }

    fn log_failure(
        &self,
        handler: &dyn ErasedHandler,
        delivery: &Delivery,
        meta: &EventMeta,
        attempt: u32,
        failure: &HandlerError,
        decision: Decision,
    ) {
        let next = match decision {
            Decision::RetryAfter(delay) => format!("again in {delay:?}"),
            Decision::DeadLetter => "to be dead-lettered".to_owned(),
        };
        tracing::warn!(
            group = %self.group,
            origin = %delivery.origin,
            event_id = %meta.id,
            correlation_id = meta.correlation_id.as_deref(),
            attempt,
            handler = handler.name(),
            "handler failed, {next}: {failure}"
        );
    }
}

fn exhausted(failure: &HandlerError, attempts: u32, first_failed: DateTime<Utc>) -> Death {
    let reason = if failure.is_permanent() { Reason::Permanent } else { Reason::AttemptsExhausted };
    Death { reason, error: Error::new(ErrorKind::Other, failure.to_string()), attempts, first_failed }
}

fn refused_as_too_large(unsent: &Unsent) -> bool {
    let too_large = |kind| kind == ErrorKind::TooLarge;
    unsent.failed.iter().any(|failed| failed.outcome == Outcome::Refused && too_large(failed.error.kind()))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HandlerError::new(format!("handler panicked: {}", text.unwrap_or("without a text")))
}

/// The handlers of a group, by topic and type.
#[derive(Debug, Default)]
pub(crate) struct Routes(HashMap<Arc<str>, Vec<Arc<dyn ErasedHandler>>>);

enum Route<'a> {
    To(&'a Arc<dyn ErasedHandler>),
    /// A tombstone: there is no event in it.
    Skip,
    /// It names a type that the group does not handle.
    Unhandled(Error),
    /// It names no type, and the topic has not just one.
    Unknown(Error),
}

impl Routes {
    pub(crate) fn new(handlers: &[Arc<dyn ErasedHandler>]) -> Self {
        let mut routes = Self::default();
        for handler in handlers {
            routes.0.entry(handler.topic()).or_default().push(Arc::clone(handler));
        }
        routes
    }

    fn find(&self, message: &Message) -> Route<'_> {
        if message.payload.is_none() {
            return Route::Skip;
        }
        let handlers = self.0.get(&message.topic).map(Vec::as_slice).unwrap_or_default();
        let named = message.headers.get(envelope::TYPE).is_some();
        match (envelope::event_type(message), handlers) {
            (Some(event_type), _) => match handlers.iter().find(|h| h.event_type() == event_type) {
                Some(handler) => Route::To(handler),
                None => Route::Unhandled(no_handler(event_type)),
            },
            // A message of other software, on a topic with one type: the subscription says what it is.
            (None, [handler]) if !named => Route::To(handler),
            (None, _) => Route::Unknown(unknown_type(named)),
        }
    }
}

fn unknown_type(named: bool) -> Error {
    let problem = if named { "is not UTF-8" } else { "is missing, and the group handles several types" };
    Error::new(ErrorKind::Decode, format!("header `{}` {problem}: the type is unknown", envelope::TYPE))
}

fn no_handler(event_type: &str) -> Error {
    let shown: String = event_type.chars().filter(|c| !c.is_control()).take(256).collect();
    Error::new(ErrorKind::Decode, format!("no handler for events of type `{shown}`"))
}
