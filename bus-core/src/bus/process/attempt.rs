//! One attempt: every handler of the message that has not done its part is called, one after the other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use super::several::Parts;
use super::{Processor, Recipients};
use crate::bus::format::TopicFormat;
use crate::bus::guarded::Guarded;
use crate::handler::{Context, ErasedHandler, HandlerError, HandlerResult, Received, Undecodable};
use crate::layer::{HandlerFuture, Invocation};
use crate::panic::said;

/// Handlers at work, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Attempt {
    handler: &'static str,
    future: Guarded<HandlerResult>,
    /// Where there are several.
    rest: Option<Box<Rest>>,
}

#[derive(Debug)]
struct Rest {
    handlers: Recipients,
    format: Arc<TopicFormat>,
    parts: Parts,
    index: usize,
}

/// What an attempt came to.
pub(super) enum Ended {
    /// Of the one handler that there is.
    One(&'static str, HandlerResult),
    /// Of all of several; how far each is.
    All(Recipients, Parts),
}

/// A message, and which attempt at it this is.
#[derive(Clone, Copy)]
pub(super) struct This<'a> {
    pub(super) processor: &'a Processor,
    pub(super) received: &'a Received,
    pub(super) attempt: u32,
}

impl Attempt {
    /// Decodes, and calls the first handler that has not done its part, as `parts` say of earlier attempts.
    pub(super) fn begin(
        this: This<'_>,
        handlers: &Recipients,
        format: &Arc<TopicFormat>,
        parts: Option<Parts>,
    ) -> Result<Self, Undecodable> {
        if let [handler] = &**handlers {
            let future = this.call(&**handler, format)?;
            return Ok(Self { handler: handler.name(), future, rest: None });
        }
        let parts = parts.unwrap_or_else(|| Parts::of(handlers.len()));
        let index = parts.first_open(0).unwrap_or_default();
        let Some(handler) = handlers.get(index) else { return Ok(Self::nothing()) };
        let future = this.call(&**handler, format)?;
        let rest = Rest { handlers: Arc::clone(handlers), format: Arc::clone(format), parts, index };
        Ok(Self { handler: handler.name(), future, rest: Some(Box::new(rest)) })
    }

    fn nothing() -> Self {
        Self { handler: "no handler", future: Guarded::new(Box::pin(std::future::ready(Ok(())))), rest: None }
    }

    pub(super) fn poll(&mut self, this: This<'_>, cx: &mut TaskContext<'_>) -> Poll<Ended> {
        loop {
            let future = Pin::new(&mut self.future);
            let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
            let result = ready!(polled.unwrap_or_else(|panic| Poll::Ready(Err(panicked(panic)))));
            let Some(rest) = &mut self.rest else { return Poll::Ready(Ended::One(self.handler, result)) };
            rest.parts.note(rest.index, result);
            let next = rest.parts.first_open(rest.index + 1);
            let Some((index, handler)) = next.and_then(|index| Some((index, rest.handlers.get(index)?))) else {
                let parts = std::mem::replace(&mut rest.parts, Parts::of(0));
                return Poll::Ready(Ended::All(Arc::clone(&rest.handlers), parts));
            };
            rest.index = index;
            self.handler = handler.name();
            self.future = this.call(&**handler, &rest.format).unwrap_or_else(|undecodable| {
                let error = HandlerError::from(undecodable.0).permanent();
                Guarded::new(Box::pin(std::future::ready(Err(error))))
            });
        }
    }
}

impl This<'_> {
    /// A panic is a failure like any other. It may strike before the first await too, when the function itself runs, or
    /// in a decoder.
    fn call(self, handler: &dyn ErasedHandler, format: &TopicFormat) -> Result<Guarded<HandlerResult>, Undecodable> {
        let future = match catch_unwind(AssertUnwindSafe(|| self.layered(handler, format))) {
            Ok(future) => future?,
            Err(panic) => Box::pin(std::future::ready(Err(panicked(panic)))),
        };
        Ok(Guarded::new(future))
    }

    /// The handler's future with the group's layers around it.
    fn layered(self, handler: &dyn ErasedHandler, format: &TopicFormat) -> Result<HandlerFuture, Undecodable> {
        let Self { processor, received, attempt } = self;
        let cx = Context::new(received, attempt, format, &processor.states, &processor.publish);
        let future = handler.handle(&cx)?;
        if processor.layers.is_empty() {
            return Ok(future);
        }
        let call = Invocation {
            group: Arc::clone(&processor.group),
            handler: handler.name(),
            meta: Arc::clone(cx.meta()),
            message: cx.message.clone(),
            origin: cx.origin(),
            attempt,
        };
        Ok(processor.layers.iter().rev().fold(future, |inner, layer| layer.wrap(&call, inner)))
    }
}

/// A panic in words.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> HandlerError {
    HandlerError::new(format!("handler panicked: {}", said(panic)))
}
