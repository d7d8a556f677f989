//! Code of a user that panics: what a panic said, and an error in place of it.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, ErrorKind, Result, shown};

/// What `panic` said. What it carries may panic in turn when it is dropped.
pub(crate) fn said(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("without a text").to_owned();
    if catch_unwind(AssertUnwindSafe(|| drop(panic))).is_err() {
        tracing::error!("what a panic carried panicked when it was dropped");
    }
    text
}

/// What `call` gives back, or that doing `what` panicked: who publishes or starts a bus must not go down with it.
pub(crate) fn caught<T>(kind: ErrorKind, what: impl Display, call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        Error::new(kind, format!("{what} panicked: {}", shown(&said(panic))))
            .help("code that an event, its codec or a strategy brings along must not panic")
    })
}
