//! What an application says about one group of handlers.

use std::fmt;
use std::sync::Arc;

use crate::handler::{self, ErasedHandler, Handler};
use crate::retry::Retry;
use crate::transport::{CommitPolicy, Position};

/// A consumer group and its handlers.
///
/// Messages are handled one after the other. A failed one is retried in place by [`retry`](Self::retry); what cannot be
/// handled is copied to `<topic>.<group>.dlq`, and only when that copy is confirmed does the group go on.
#[must_use = "a subscription does nothing until it is given to `BusBuilder::subscribe`"]
pub struct Subscription {
    pub(crate) group: Arc<str>,
    pub(crate) handlers: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) retry: Retry,
    pub(crate) unhandled: Unhandled,
    pub(crate) start: Position,
    pub(crate) commit: CommitPolicy,
}

/// What becomes of a message whose type the group has no handler for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unhandled {
    /// Counted and passed over: a topic may carry more types than one group cares for.
    #[default]
    Skip,
    /// A dead letter.
    DeadLetter,
}

impl Subscription {
    /// A group by this name. Members of one group share the work, each group gets everything.
    pub fn group(name: impl Into<Arc<str>>) -> Self {
        Self {
            group: name.into(),
            handlers: Vec::new(),
            retry: Retry::default(),
            unhandled: Unhandled::default(),
            start: Position::Earliest,
            commit: CommitPolicy::default(),
        }
    }

    /// Handles the event in the signature of `handler`. One handler for each type of event.
    pub fn on<Args: 'static, H: Handler<Args>>(mut self, handler: H) -> Self {
        self.handlers.push(handler::erase(handler));
        self
    }

    /// When a failed message is handled again. [`Retry::default`] unless said.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// What becomes of types without a handler. [`Unhandled::Skip`] unless said.
    pub fn unhandled(mut self, unhandled: Unhandled) -> Self {
        self.unhandled = unhandled;
        self
    }

    /// Where the group begins when it is new. [`Position::Earliest`] unless said: a group that comes late still gets
    /// what was published before, on transports with `history`.
    pub fn start(mut self, start: Position) -> Self {
        self.start = start;
        self
    }

    /// When finished work is made durable; with it goes what a crash repeats at most. 1,000 messages or one second
    /// unless said.
    pub fn commit(mut self, commit: CommitPolicy) -> Self {
        self.commit = commit;
        self
    }

    /// The topics of its handlers, each once.
    pub(crate) fn topics(&self) -> Vec<Arc<str>> {
        let mut topics: Vec<_> = self.handlers.iter().map(|handler| handler.topic()).collect();
        topics.sort();
        topics.dedup();
        topics
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("group", &self.group)
            .field("handlers", &self.handlers)
            .finish_non_exhaustive()
    }
}
