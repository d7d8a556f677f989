//! Several handlers of one message, each with its own outcome: one that failed is tried again alone, by what the policy
//! says of its own error.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Failing, Processor, Recipients, Turn, Work};
use crate::dead_letter::Reason;
use crate::error::{Error, ErrorKind, shown};
use crate::handler::{HandlerError, HandlerResult};
use crate::retry::Decision;

/// How far each handler of a message is, over all attempts.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Part>);

#[derive(Debug)]
enum Part {
    /// To be called, for the first time or again; what it said, where nobody has judged that yet.
    Open(Option<HandlerError>),
    Done,
    /// It is not called again: why, and what it said.
    Dead(Reason, String),
}

impl Parts {
    pub(super) fn of(handlers: usize) -> Self {
        Self((0..handlers).map(|_| Part::Open(None)).collect())
    }

    /// Only those of these names are to be called again. All of them, where a name is not known: they are called otherwise since.
    fn only(names: &[String], handlers: &Recipients) -> Self {
        let is_called = |name: &String| handlers.iter().any(|handler| handler.name() == name);
        if names.is_empty() || !names.iter().all(is_called) {
            return Self::of(handlers.len());
        }
        let part = |name: &str| if names.iter().any(|open| open == name) { Part::Open(None) } else { Part::Done };
        Self(handlers.iter().map(|handler| part(handler.name())).collect())
    }

    /// The names of those that failed, where all of them may succeed another time.
    fn to_call_again(&self, handlers: &Recipients) -> Vec<String> {
        let dead = self.0.iter().zip(handlers.iter()).filter(|(part, _)| matches!(part, Part::Dead(..)));
        dead.map(|(_, handler)| handler.name().to_owned()).collect()
    }

    /// The first from `index` on that is to be called.
    pub(super) fn first_open(&self, index: usize) -> Option<usize> {
        let mut from = self.0.iter().enumerate().skip(index);
        from.find(|(_, part)| matches!(part, Part::Open(_))).map(|(index, _)| index)
    }

    pub(super) fn note(&mut self, index: usize, result: HandlerResult) {
        let Some(part) = self.0.get_mut(index) else { return };
        *part = match result {
            Ok(()) => Part::Done,
            Err(error) => Part::Open(Some(error)),
        };
    }

    /// What is written on the dead letter: each handler that failed for good, by its name where there is more than one.
    fn epitaph(&self, handlers: &Recipients) -> Option<(Reason, String)> {
        let dead: Vec<(&str, Reason, &str)> = self
            .0
            .iter()
            .zip(handlers.iter())
            .filter_map(|(part, handler)| match part {
                Part::Dead(reason, text) => Some((handler.name(), *reason, &**text)),
                Part::Open(_) | Part::Done => None,
            })
            .collect();
        let reason = match dead.first()? {
            (_, first, _) if dead.iter().all(|(_, reason, _)| reason == first) => *first,
            _ => Reason::AttemptsExhausted,
        };
        let text = match &dead[..] {
            [(_, _, text)] => (*text).to_owned(),
            several => several.iter().map(|(name, _, text)| format!("{name}: {text}")).collect::<Vec<_>>().join("; "),
        };
        Some((reason, text))
    }
}

impl Processor {
    /// What follows from an attempt that is over. The longest wait of those that are tried again counts.
    pub(super) fn conclude_all(&self, work: &mut Work, mut parts: Parts, handlers: &Recipients) -> Turn {
        work.attempts += 1;
        if work.attempts > 1 {
            self.gauge.retried();
        }
        let mut again: Option<(Duration, String)> = None;
        for (part, handler) in parts.0.iter_mut().zip(handlers.iter()) {
            let Part::Open(Some(error)) = part else { continue };
            let (text, decision) = (text_of(error), self.judge(work, error));
            self.log_failure(handler.name(), work, &text, decision);
            *part = match decision {
                Decision::RetryAfter(wait) => {
                    let (longest, said) = again.get_or_insert_with(|| (wait, shown(&text)));
                    if wait > *longest {
                        (*longest, *said) = (wait, shown(&text));
                    }
                    Part::Open(None)
                }
                Decision::DeadLetter if error.is_permanent() => Part::Dead(Reason::Permanent, text),
                Decision::DeadLetter => Part::Dead(Reason::AttemptsExhausted, text),
            };
        }
        if let Some((wait, reason)) = again {
            let failing = work.failing();
            (failing.reason, failing.parts) = (reason, Some(parts));
            return Turn::Retry(wait);
        }
        let Some((reason, text)) = parts.epitaph(handlers) else {
            self.gauge.handled();
            self.log_handled(&Names(handlers), work);
            return Turn::End { dead: false };
        };
        // One that failed for good must get into a dead letter, which may as well be now.
        let for_good = parts.0.iter().any(|part| matches!(part, Part::Dead(Reason::Permanent, _)));
        let error = Error::new(ErrorKind::Other, text);
        match for_good {
            true => self.condemn(work, reason, error),
            false => self.give_up(work, reason, error, parts.to_call_again(handlers)),
        }
    }
}

impl Failing {
    /// How far each of `handlers` is, here or where it was before.
    pub(super) fn parts_of(&mut self, handlers: &Recipients) -> Option<Parts> {
        let past = self.past.as_ref().filter(|past| !past.handlers.is_empty());
        self.parts.take().or_else(|| past.map(|past| Parts::only(&past.handlers, handlers)))
    }
}

/// What several handlers are called.
struct Names<'a>(&'a Recipients);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|handler| handler.name()).collect();
        f.write_str(&names.join(", "))
    }
}

/// An error of the user's own may panic when it is shown, and what the others did must not be lost with it.
fn text_of(error: &HandlerError) -> String {
    let text = catch_unwind(AssertUnwindSafe(|| error.to_string()));
    text.unwrap_or_else(|panic| {
        drop(super::attempt::panicked(panic));
        "an error that panics when it is shown".to_owned()
    })
}
