//! One call of a handler, its panics caught.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;

use crate::bus::process::Processor;
use crate::bus::publishing::handling;
use crate::event::EventMeta;
use crate::handler::{Call, ErasedHandler, HandlerError, HandlerResult, Undecodable};
use crate::layer::{HandlerFuture, Invocation};
use crate::transport::Delivery;

/// A panic is a failure like any other. It may strike before the first await too, when the function itself runs, or in a
/// decoder.
pub(super) async fn run(
    processor: &Processor,
    handler: &dyn ErasedHandler,
    delivery: &Delivery,
    meta: &Arc<EventMeta>,
    attempt: u32,
) -> Result<HandlerResult, Undecodable> {
    let future = match catch_unwind(AssertUnwindSafe(|| begin(processor, handler, delivery, meta, attempt))) {
        Ok(future) => future?,
        Err(panic) => return Ok(Err(panicked(&*panic))),
    };
    let future = handling(Arc::clone(meta), AssertUnwindSafe(future).catch_unwind());
    Ok(future.await.unwrap_or_else(|panic| Err(panicked(&*panic))))
}

/// The handler's future with the group's layers around it.
fn begin(
    processor: &Processor,
    handler: &dyn ErasedHandler,
    Delivery { message, origin, .. }: &Delivery,
    meta: &Arc<EventMeta>,
    attempt: u32,
) -> Result<HandlerFuture, Undecodable> {
    let (states, publish) = (&*processor.states, &processor.publish);
    let future = handler.handle(&Call { meta, message, origin, attempt, states, publish })?;
    if processor.layers.is_empty() {
        return Ok(future);
    }
    let call = Invocation {
        group: Arc::clone(&processor.group),
        handler: handler.name(),
        meta: Arc::clone(meta),
        origin: origin.clone(),
        attempt,
    };
    Ok(processor.layers.iter().rev().fold(future, |inner, layer| layer.wrap(&call, inner)))
}

/// A panic in words.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HandlerError::new(format!("handler panicked: {}", text.unwrap_or("without a text")))
}
