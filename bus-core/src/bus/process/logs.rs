//! What is logged of a message: one line for each thing that happens to it, with what people look for as fields. Never its
//! payload, its key, or the value of a header that is not of its envelope.

use std::fmt::Display;

use chrono::SecondsFormat;

use super::{Processor, Work};
use crate::dead_letter::Reason;
use crate::error::{Error, shown};
use crate::message::{Message, Origin};
use crate::retry::Decision;
use crate::time::utc;

/// A line about a message. What it is made of is looked up only where somebody listens.
macro_rules! say {
    ($level:ident, $processor:expr, $work:expr, { $($more:tt)* }, $($text:tt)+) => {
        if tracing::enabled!(tracing::Level::$level) {
            let Origin { topic, partition, offset } = $work.origin();
            let meta = $work.received.meta();
            tracing::event!(
                tracing::Level::$level,
                group = %$processor.group,
                topic = shown(&topic),
                partition,
                offset,
                event_type = shown(&meta.event_type),
                event_id = shown(&meta.id),
                correlation_id = meta.correlation_id.as_deref().map(shown),
                attempt = $work.attempts,
                $($more)*
                $($text)+
            );
        }
    };
}

impl Processor {
    pub(super) fn log_handled(&self, handler: &dyn Display, work: &Work) {
        say!(DEBUG, self, work, { %handler, }, "handled");
    }

    pub(super) fn log_skipped(&self, work: &Work, why: &dyn Display) {
        say!(DEBUG, self, work, {}, "skipped: {why}");
    }

    pub(super) fn log_failure(&self, handler: &str, work: &Work, failure: &dyn Display, decision: Decision) {
        let next = match decision {
            Decision::RetryAfter(delay) => format!("again in {delay:?}"),
            // Whether it may come again later is told when that is known.
            Decision::DeadLetter if self.later.is_some() => "and not again for now".to_owned(),
            Decision::DeadLetter => "to be dead-lettered".to_owned(),
        };
        say!(WARN, self, work, { handler, }, "handler failed, {next}: {failure}");
    }

    pub(super) fn log_dead_lettered(&self, work: &Work, letters: &str, reason: Reason, error: &Error) {
        say!(WARN, self, work, { letters = shown(letters), reason = reason.name(), }, "dead-lettered: {error}");
    }

    pub(super) fn log_discarded(&self, work: &Work, reason: Reason, error: &Error) {
        say!(WARN, self, work, { reason = reason.name(), }, "discarded: {error}");
    }

    pub(super) fn log_postponed(&self, work: &Work, copy: &Message, error: &Error) {
        let at = copy.send.deliver_at.and_then(utc);
        let at =
            at.map_or_else(|| "later".to_owned(), |at| format!("at {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)));
        say!(WARN, self, work, { later = shown(&copy.topic), }, "handled again {at}: {error}");
    }

    pub(super) fn log_parked(&self, work: &Work, copy: &str, trouble: &str) {
        say!(ERROR, self, work, {}, "{} is parked, its {copy} is not taken: {trouble}", work.origin());
    }

    /// Something panicked that is not the handler itself.
    pub(super) fn log_panicked(&self, work: &Work, error: &Error) {
        say!(ERROR, self, work, {}, "{error}");
    }
}
