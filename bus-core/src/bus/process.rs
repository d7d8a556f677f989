//! One message, from the group's table of handlers to its end: handled, skipped, or a confirmed dead letter.
//!
//! It goes in turns: an attempt, or an attempt to get its dead letter confirmed. Between two turns it waits, and the runner
//! gives its place to others.

mod attempt;
mod parked;
mod routes;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::time::Instant;

use crate::bus::publishing::Publish;
use crate::bus::report::Gauge;
use crate::bus::subscription::Unhandled;
use crate::dead_letter::{DeadLetter, Epitaph, Reason, To};
use crate::error::{Error, ErrorKind, shown};
use crate::event::EventMeta;
use crate::handler::{ErasedHandler, HandlerError, StateMap, Undecodable};
use crate::layer::Layer;
use crate::message::Message;
use crate::retry::{Decision, Retry};
use crate::transport::{Delivery, Failed, Outcome, Publisher, Unsent};

use routes::Route;
pub(crate) use routes::Routes;

/// Waits between attempts to get a dead letter confirmed.
const DEAD_LETTER_BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What a group's messages need.
pub(crate) struct Processor {
    pub(crate) group: Arc<str>,
    pub(crate) routes: Routes,
    pub(crate) layers: Vec<Arc<dyn Layer>>,
    pub(crate) retry: Retry,
    pub(crate) dead_letter: DeadLetter,
    pub(crate) unhandled: Unhandled,
    pub(crate) states: Arc<StateMap>,
    /// For handlers; dead letters go straight to the publisher.
    pub(crate) publish: Publish,
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) gauge: Arc<Gauge>,
}

/// A message on its way to its end.
pub(crate) struct Work {
    pub(crate) delivery: Delivery,
    attempts: u32,
    /// As people read it, and as it is measured: a clock that is set does not count.
    first_failed: Option<DateTime<Utc>>,
    failing_since: Option<Instant>,
    burial: Option<Box<Burial>>,
    /// What its last failure said.
    reason: Option<Box<str>>,
}

impl Work {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self { delivery, attempts: 0, first_failed: None, failing_since: None, burial: None, reason: None }
    }
}

/// Its dead letter, and how long to wait before it is tried again.
struct Burial {
    reason: Reason,
    cut: Message,
    copy: Message,
    error: Error,
    wait: Duration,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Its end: it may be settled. Whether it is a dead letter.
    End { dead: bool },
    /// Its next attempt comes after this long.
    Retry(Duration),
    /// It cannot be handled: [`bury`](Processor::bury) it.
    Condemned,
    /// Its dead letter was not taken: bury it again after this long.
    Parked(Duration),
}

impl Processor {
    /// Handles the message once.
    ///
    /// Cancel safety: dropped midway, nothing is settled and it comes again.
    pub(crate) async fn attempt(&self, work: &mut Work) -> Turn {
        let death = match self.routes.find(&work.delivery.message) {
            Route::Skip => return self.skip(),
            Route::Unhandled(error) if self.unhandled == Unhandled::Skip => {
                tracing::debug!(group = %self.group, origin = %work.delivery.origin, "skipped: {error}");
                return self.skip();
            }
            Route::Unhandled(error) | Route::Unknown(error) => Undecodable(error),
            Route::To(handler) => match self.handle(&**handler, work).await {
                Ok(turn) => return turn,
                Err(undecodable) => undecodable,
            },
        };
        self.condemn(work, Reason::Undecodable, death.0)
    }

    fn skip(&self) -> Turn {
        self.gauge.skipped();
        Turn::End { dead: false }
    }

    async fn handle(&self, handler: &dyn ErasedHandler, work: &mut Work) -> Result<Turn, Undecodable> {
        let meta = handler.meta(&work.delivery.message, &work.delivery.origin)?;
        let attempt = work.attempts + 1;
        let result = attempt::run(self, handler, &work.delivery, &meta, attempt).await?;
        work.attempts = attempt;
        if attempt > 1 {
            self.gauge.retried();
        }
        let failure = match result {
            Ok(()) => {
                self.gauge.handled();
                return Ok(Turn::End { dead: false });
            }
            Err(failure) => failure,
        };
        work.first_failed.get_or_insert_with(Utc::now);
        let elapsed = work.failing_since.get_or_insert_with(Instant::now).elapsed();
        let decision = self.retry.decide(&failure.failure(attempt, elapsed));
        self.log_failure(handler, work, &meta, &failure, decision);
        Ok(match decision {
            Decision::RetryAfter(delay) => {
                work.reason = Some(shown(&failure.to_string()).into());
                Turn::Retry(delay)
            }
            Decision::DeadLetter => {
                let reason = if failure.is_permanent() { Reason::Permanent } else { Reason::AttemptsExhausted };
                self.condemn(work, reason, Error::new(ErrorKind::Other, failure.to_string()))
            }
        })
    }

    /// Something panicked that is not the handler itself: an error's `Display`, say. Trying again would do it again.
    pub(crate) fn condemn_panicked(&self, work: &mut Work, panic: &(dyn Any + Send)) -> Turn {
        let error = Error::new(ErrorKind::Other, attempt::panicked(panic).to_string());
        tracing::error!(group = %self.group, origin = %work.delivery.origin, "{error}");
        self.condemn(work, Reason::Permanent, error)
    }

    /// Its dead letter is written; from here on only that is tried.
    fn condemn(&self, work: &mut Work, reason: Reason, error: Error) -> Turn {
        let last_failed = Utc::now();
        let epitaph = Epitaph {
            group: &self.group,
            topic: self.dead_letter.topic_for(&work.delivery.origin.topic, &self.group).unwrap_or_default(),
            origin: &work.delivery.origin,
            reason,
            error: &error,
            attempts: work.attempts,
            first_failed: work.first_failed.unwrap_or(last_failed),
            last_failed,
        };
        let (copy, cut) = (epitaph.copy(&work.delivery.message), epitaph.cut_copy(&work.delivery.message));
        work.burial = Some(Box::new(Burial { reason, cut, copy, error, wait: DEAD_LETTER_BACK_OFF.0 }));
        Turn::Condemned
    }

    /// Publishes the dead letter once. It is at its end only when that is confirmed; else it parks, unsettled, and health
    /// says so, until it is.
    ///
    /// Cancel safety: dropped midway, the letter may stand there and the message comes again.
    pub(crate) async fn bury(&self, work: &mut Work) -> Turn {
        let Some(burial) = &mut work.burial else { return Turn::Retry(Duration::ZERO) };
        let (group, origin, topic) = (&self.group, &work.delivery.origin, &burial.copy.topic);
        let trouble = match self.take_letter(&burial.copy).await {
            Ok(()) => {
                self.gauge.unpark(work.delivery.token);
                self.gauge.dead_lettered();
                let (reason, error) = (burial.reason.name(), &burial.error);
                match &self.dead_letter.to {
                    To::Discard => tracing::warn!(%group, %origin, reason, "discarded: {error}"),
                    _ => tracing::warn!(%group, %origin, %topic, reason, "dead-lettered: {error}"),
                }
                return Turn::End { dead: true };
            }
            Err(refusal) => refusal,
        };
        if trouble.too_large {
            burial.copy = burial.cut.clone();
        }
        tracing::error!(%group, %origin, "{origin} is parked, its dead letter is not taken: {}", trouble.text);
        let wait = burial.wait;
        burial.wait = (wait * 2).min(DEAD_LETTER_BACK_OFF.1);
        self.gauge.park(work.delivery.token, work.parked(Instant::now() + wait, Some(trouble.text)));
        Turn::Parked(wait)
    }

    async fn take_letter(&self, letter: &Message) -> Result<(), Refusal> {
        match &self.dead_letter.to {
            To::Topic(_) => self.publisher.publish(vec![letter.clone()]).await.map_err(|unsent| Refusal::of(&unsent)),
            To::Discard => Ok(()),
            To::Custom(taker) => {
                let taken = AssertUnwindSafe(taker(letter.clone())).catch_unwind().await;
                let taken = taken
                    .unwrap_or_else(|panic| Err(Error::new(ErrorKind::Other, attempt::panicked(&*panic).to_string())));
                taken.map_err(|error| Refusal {
                    text: error.to_string(),
                    too_large: error.kind() == ErrorKind::TooLarge,
                })
            }
        }
    }

    fn log_failure(
        &self,
        handler: &dyn ErasedHandler,
        work: &Work,
        meta: &EventMeta,
        failure: &HandlerError,
        decision: Decision,
    ) {
        let next = match decision {
            Decision::RetryAfter(delay) => format!("again in {delay:?}"),
            Decision::DeadLetter => "to be dead-lettered".to_owned(),
        };
        tracing::warn!(
            group = %self.group,
            origin = %work.delivery.origin,
            event_id = shown(&meta.id),
            correlation_id = meta.correlation_id.as_deref().map(shown),
            attempt = work.attempts,
            handler = handler.name(),
            "handler failed, {next}: {failure}"
        );
    }
}

/// Why a dead letter was not taken.
struct Refusal {
    text: String,
    /// It may be, without the headers that are not needed.
    too_large: bool,
}

impl Refusal {
    fn of(unsent: &Unsent) -> Self {
        let too_large =
            |failed: &Failed| failed.outcome == Outcome::Refused && failed.error.kind() == ErrorKind::TooLarge;
        Self { text: unsent.to_string(), too_large: unsent.failed.iter().any(too_large) }
    }
}
