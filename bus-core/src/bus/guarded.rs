//! A future of a user, whose drop may panic.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

/// Dropped with its panics caught: what a handler held across its last await runs its `Drop` when a lane is lost, and
/// must not take the whole group with it.
pub(crate) struct Guarded<T>(Option<BoxFuture<'static, T>>);

impl<T> Guarded<T> {
    pub(crate) const fn new(future: BoxFuture<'static, T>) -> Self {
        Self(Some(future))
    }
}

impl<T> Future for Guarded<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        let future = self.0.take();
        if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
            tracing::error!("what a handler left behind panicked when it was dropped");
        }
    }
}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded(..)")
    }
}
