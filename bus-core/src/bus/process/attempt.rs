//! One call of a handler, its panics caught.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::bus::publishing::{Publish, handling};
use crate::event::EventMeta;
use crate::handler::{Call, ErasedHandler, HandlerError, HandlerResult, StateMap, Undecodable};
use crate::transport::Delivery;

/// A panic is a failure like any other. It may strike before the first await too, when the function itself runs, or in a
/// decoder.
pub(super) async fn run(
    handler: &dyn ErasedHandler,
    delivery: &Delivery,
    meta: &Arc<EventMeta>,
    attempt: u32,
    (states, publish): (&StateMap, &Publish),
) -> Result<HandlerResult, Undecodable> {
    let (message, origin) = (&delivery.message, &delivery.origin);
    let call = Call { meta, message, origin, attempt, states, publish };
    let future = match std::panic::catch_unwind(AssertUnwindSafe(|| handler.handle(&call))) {
        Ok(future) => future?,
        Err(panic) => return Ok(Err(panicked(&*panic))),
    };
    let future = handling(Arc::clone(meta), AssertUnwindSafe(future).catch_unwind());
    Ok(future.await.unwrap_or_else(|panic| Err(panicked(&*panic))))
}

/// A panic in words.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HandlerError::new(format!("handler panicked: {}", text.unwrap_or("without a text")))
}
