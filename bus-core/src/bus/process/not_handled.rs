//! A message that came to its end without a handler: the group's layers are told.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Processor, attempt};
use crate::layer::{Fate, NotHandled};
use crate::transport::Delivery;

impl Processor {
    /// A layer that panics does not change what became of the message.
    pub(super) fn tell_layers(&self, delivery: &Delivery, fate: Fate<'_>) {
        // Most groups have none, and a topic may carry many types that they pass over.
        if self.layers.is_empty() {
            return;
        }
        let told = NotHandled { group: &self.group, message: &delivery.message, origin: delivery.origin(), fate };
        for layer in &self.layers {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| layer.not_handled(&told))) {
                tracing::error!(group = %self.group, "telling a layer: {}", attempt::panicked(panic));
            }
        }
    }
}
