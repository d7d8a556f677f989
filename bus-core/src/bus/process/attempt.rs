//! One call of a handler, its panics caught.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use super::{Processor, Work};
use crate::bus::guarded::Guarded;
use crate::handler::{Context, ErasedHandler, HandlerError, HandlerResult, Undecodable};
use crate::layer::{HandlerFuture, Invocation};

/// A handler's future, and whose it is.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(super) handler: &'static str,
    future: Guarded<HandlerResult>,
}

impl Attempt {
    /// Decodes, and calls the handler. A panic is a failure like any other. It may strike before the first await too, when
    /// the function itself runs, or in a decoder.
    pub(super) fn begin(
        processor: &Processor,
        handler: &dyn ErasedHandler,
        work: &mut Work,
    ) -> Result<Self, Undecodable> {
        work.received.is_taken_for(handler.event_type().unwrap_or_default());
        let future = match catch_unwind(AssertUnwindSafe(|| call(processor, handler, work))) {
            Ok(future) => future?,
            Err(panic) => Box::pin(std::future::ready(Err(panicked(panic)))),
        };
        Ok(Self { handler: handler.name(), future: Guarded::new(future) })
    }

    pub(super) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<HandlerResult> {
        let future = Pin::new(&mut self.future);
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(panicked(panic))))
    }
}

/// The handler's future with the group's layers around it.
fn call(processor: &Processor, handler: &dyn ErasedHandler, work: &Work) -> Result<HandlerFuture, Undecodable> {
    let cx = Context::new(&work.received, work.attempts + 1, &processor.states, &processor.publish);
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
        attempt: cx.attempt,
    };
    Ok(processor.layers.iter().rev().fold(future, |inner, layer| layer.wrap(&call, inner)))
}

/// A panic in words. What it carries may panic in turn when it is dropped.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let error = HandlerError::new(format!("handler panicked: {}", text.unwrap_or("without a text")));
    if catch_unwind(AssertUnwindSafe(|| drop(panic))).is_err() {
        tracing::error!("what a panic carried panicked when it was dropped");
    }
    error
}
