//! One message, from the group's table of handlers to its end: handled, skipped, or a confirmed copy of it, as a dead letter or
//! for a later time.
//!
//! It goes in turns: an attempt, or an attempt to get its copy confirmed. Between two turns it waits, and the
//! runner gives its place to others.

mod attempt;
mod burial;
mod later;
mod logs;
mod not_handled;
mod parked;
mod routes;
mod several;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::bus::format::TopicFormat;
use crate::bus::publishing::Publish;
use crate::bus::report::Gauge;
use crate::bus::subscription::Unhandled;
use crate::dead_letter::{DeadLetter, Reason};
use crate::error::{Error, ErrorKind, shown};
use crate::handler::{HandlerError, HandlerResult, Received, StateMap, Undecodable, handling};
use crate::layer::{Fate, Layer};
use crate::message::Origin;
use crate::retry::{Decision, Retry};
use crate::retry_later::Past;
use crate::settle::Token;
use crate::transport::{Delivery, Publisher, Transport};

pub(crate) use attempt::Attempt;
use attempt::{Ended, This};
use burial::Burial;
pub(crate) use later::Later;
pub(crate) use routes::{Recipients, Routes};
use routes::{Route, no_topic};
use several::Parts;

/// What a group's messages need.
pub(crate) struct Processor {
    pub(crate) group: Arc<str>,
    pub(crate) routes: Routes,
    pub(crate) layers: Vec<Arc<dyn Layer>>,
    pub(crate) retry: Retry,
    pub(crate) later: Option<Later>,
    pub(crate) dead_letter: DeadLetter,
    pub(crate) unhandled: Unhandled,
    pub(crate) states: Arc<StateMap>,
    /// For handlers; dead letters go straight to the publisher.
    pub(crate) publish: Publish,
    pub(crate) publisher: Arc<dyn Publisher>,
    /// Makes topics for dead letters, where they are not known before.
    pub(crate) letter_topics: Option<Arc<dyn Transport>>,
    pub(crate) gauge: Arc<Gauge>,
}

/// A message on its way to its end.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) received: Received,
    attempts: u32,
    /// Nothing of it is there while all goes well.
    failing: Option<Box<Failing>>,
}

/// Since when it fails, as people read it, and as it is measured: a clock that is set does not count.
#[derive(Debug)]
struct Failing {
    first: DateTime<Utc>,
    since: Instant,
    /// What its last failure said.
    reason: String,
    /// How far each of its handlers is, where there are several and no attempt is under way.
    parts: Option<Parts>,
    /// What it brought with it from the group's retry topic.
    past: Option<Past>,
    burial: Option<Burial>,
}

impl Work {
    #[inline(always)]
    pub(crate) const fn new(delivery: Delivery) -> Self {
        Self { received: Received::new(delivery), attempts: 0, failing: None }
    }

    pub(crate) const fn token(&self) -> Token {
        self.received.delivery.token
    }

    pub(crate) fn origin(&self) -> Origin {
        self.received.delivery.origin()
    }

    fn failing(&mut self) -> &mut Failing {
        let now = || {
            Box::new(Failing {
                first: Utc::now(),
                since: Instant::now(),
                reason: String::new(),
                parts: None,
                past: None,
                burial: None,
            })
        };
        self.failing.get_or_insert_with(now)
    }

    fn past(&self) -> Option<&Past> {
        self.failing.as_ref().and_then(|failing| failing.past.as_ref())
    }
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Its end: it may be settled. Whether it is a dead letter.
    End { dead: bool },
    /// Its next attempt comes after this long.
    Retry(Duration),
    /// It cannot be handled, or not now: [`bury`](Processor::bury) it.
    Condemned,
    /// Its copy was not taken: bury it again after this long.
    Parked(Duration),
}

impl Processor {
    /// Begins to handle the message, and polls its handler once, on the spot: most are done then, and cost no wake-up.
    /// What is not is an [`Attempt`] under way; dropped, nothing is settled and the message comes again.
    pub(crate) fn begin(&self, work: &mut Work, cx: &mut Context<'_>) -> Result<Turn, Attempt> {
        if let Some(later) = &self.later {
            later.arrives(work);
        }
        let begun = catch_unwind(AssertUnwindSafe(|| self.call(work)));
        let mut attempt = match begun {
            Ok(Err(attempt)) => attempt,
            Ok(Ok(turn)) => return Ok(turn),
            Err(panic) => return Ok(self.condemn_panicked(work, panic)),
        };
        match self.poll(work, &mut attempt, cx) {
            Poll::Ready(turn) => Ok(turn),
            Poll::Pending => Err(attempt),
        }
    }

    /// Goes on with an attempt.
    pub(crate) fn poll(&self, work: &mut Work, attempt: &mut Attempt, cx: &mut Context<'_>) -> Poll<Turn> {
        let this = This { processor: self, received: &work.received, attempt: work.attempts + 1 };
        let polled = handling(&work.received, || attempt.poll(this, cx));
        polled.map(|ended| {
            let conclude = || match ended {
                Ended::One(handler, result) => self.conclude(work, handler, result),
                Ended::All(handlers, parts) => self.conclude_all(work, parts, &handlers),
            };
            let concluded = catch_unwind(AssertUnwindSafe(conclude));
            concluded.unwrap_or_else(|panic| self.condemn_panicked(work, panic))
        })
    }

    /// The group's handlers, the first one called; or where there is none for it, what becomes of the message.
    fn call(&self, work: &mut Work) -> Result<Turn, Attempt> {
        let Some(handlers) = self.routes.of(&work.received.delivery.message.topic) else {
            let error = no_topic(&work.received.delivery.message.topic);
            return Ok(self.unhandled(work, error));
        };
        let death = match handlers.route(&mut work.received, &self.group) {
            Route::Skip(why) => {
                self.log_skipped(work, &why);
                return Ok(self.skip(work));
            }
            Route::Unhandled(error) => return Ok(self.unhandled(work, error)),
            Route::Unknown(error) => Undecodable(error),
            Route::To(recipients) => match self.attempt(work, recipients, &handlers.format) {
                Ok(attempt) => return Err(attempt),
                Err(undecodable) => undecodable,
            },
        };
        Ok(self.condemn(work, Reason::Undecodable, death.0))
    }

    /// A message that nobody in the group handles: what becomes of it is the subscription's choice.
    fn unhandled(&self, work: &mut Work, error: Error) -> Turn {
        if self.unhandled == Unhandled::DeadLetter {
            return self.condemn(work, Reason::Undecodable, error);
        }
        self.log_skipped(work, &error);
        self.skip(work)
    }

    fn attempt(
        &self,
        work: &mut Work,
        recipients: &Recipients,
        format: &Arc<TopicFormat>,
    ) -> Result<Attempt, Undecodable> {
        let event_type = recipients.first().and_then(|handler| handler.event_type());
        work.received.is_taken_for(event_type.unwrap_or_default());
        let parts = work.failing.as_mut().and_then(|failing| failing.parts_of(recipients));
        let this = This { processor: self, received: &work.received, attempt: work.attempts + 1 };
        Attempt::begin(this, recipients, format, parts)
    }

    fn skip(&self, work: &Work) -> Turn {
        self.gauge.skipped();
        self.tell_layers(&work.received.delivery, Fate::Skipped);
        Turn::End { dead: false }
    }

    /// What follows from an attempt that is over.
    fn conclude(&self, work: &mut Work, handler: &str, result: HandlerResult) -> Turn {
        work.attempts += 1;
        if work.attempts > 1 {
            self.gauge.retried();
        }
        let Err(failure) = result else {
            self.gauge.handled();
            self.log_handled(&handler, work);
            return Turn::End { dead: false };
        };
        let decision = self.judge(work, &failure);
        self.log_failure(handler, work, &failure, decision);
        match decision {
            Decision::RetryAfter(delay) => {
                work.failing().reason = shown(&failure.to_string());
                Turn::Retry(delay)
            }
            Decision::DeadLetter => {
                let reason = if failure.is_permanent() { Reason::Permanent } else { Reason::AttemptsExhausted };
                self.give_up(work, reason, Error::new(ErrorKind::Other, failure.to_string()), Vec::new())
            }
        }
    }

    /// What the policy says of a failure.
    fn judge(&self, work: &mut Work, failure: &HandlerError) -> Decision {
        let attempts = work.attempts - work.past().map_or(0, |past| past.attempts);
        let failing = work.failing();
        if attempts == 1 {
            // It may have been there since it came.
            failing.since = Instant::now();
        }
        let elapsed = failing.since.elapsed();
        self.retry.decide(&failure.failure(attempts, elapsed))
    }

    /// Something panicked that is not the handler itself: an error's `Display`, say. Trying again would do it again.
    fn condemn_panicked(&self, work: &mut Work, panic: Box<dyn Any + Send>) -> Turn {
        let error = Error::new(ErrorKind::Other, attempt::panicked(panic).to_string());
        self.log_panicked(work, &error);
        self.condemn(work, Reason::Permanent, error)
    }
}
