//! Around every call of every handler: what was tried and what came of it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use gulo_bus_core::handler::HandlerResult;
use gulo_bus_core::layer::{Fate, HandlerFuture, Invocation, Layer, NotHandled};

use crate::record::{Letter, Record, What};

pub(crate) struct RecordingLayer(pub(crate) Arc<Record>);

impl Layer for RecordingLayer {
    fn wrap(&self, call: &Invocation, inner: HandlerFuture) -> HandlerFuture {
        let attempt = Attempt::begin(&self.0, call);
        Box::pin(async move {
            match AssertUnwindSafe(inner).catch_unwind().await {
                Ok(result) => {
                    attempt.ended(&result);
                    result
                }
                Err(panic) => {
                    attempt.failed(panic_in_words(&*panic));
                    resume_unwind(panic)
                }
            }
        })
    }

    fn not_handled(&self, told: &NotHandled<'_>) {
        let (group, message, origin) = (Arc::clone(told.group), told.message.clone(), told.origin.clone());
        self.0.push(match &told.fate {
            Fate::DeadLettered { reason, error, attempts, letter } => {
                let letter =
                    Letter { reason: *reason, error: error.to_string(), attempts: *attempts, copy: (*letter).clone() };
                What::DeadLettered { group, message, origin, letter }
            }
            Fate::Postponed { error, .. } => What::Postponed { group, message, origin, error: error.to_string() },
            _ => What::Skipped { group, message, origin },
        });
    }
}

/// A call under way. Dropped before its end, that is written down too.
struct Attempt {
    record: Arc<Record>,
    number: u64,
    /// Until it has ended.
    call: Option<Invocation>,
}

impl Attempt {
    fn begin(record: &Arc<Record>, call: &Invocation) -> Self {
        let number = record.begin(call.clone());
        Self { record: Arc::clone(record), number, call: Some(call.clone()) }
    }

    fn ended(self, result: &HandlerResult) {
        match result {
            Ok(()) => self.end(|call| What::Handled { call }),
            Err(error) => self.failed(error.to_string()),
        }
    }

    fn failed(self, error: String) {
        self.end(|call| What::Failed { call, error });
    }

    fn end(mut self, what: impl FnOnce(Invocation) -> What) {
        if let Some(call) = self.call.take() {
            self.record.end(self.number, what(call));
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.record.end(self.number, What::Dropped { call });
        }
    }
}

fn panic_in_words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("handler panicked: {}", text.unwrap_or("without a text"))
}
