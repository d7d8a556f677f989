//! A message as a handler gets it.

use std::sync::{Arc, OnceLock};

use crate::envelope;
use crate::event::EventMeta;
use crate::transport::Delivery;

/// A message as it came, and what it says of itself: read when somebody asks, for most handlers do not.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) delivery: Delivery,
    /// What its handler takes it for, where it does not say.
    event_type: &'static str,
    meta: OnceLock<Arc<EventMeta>>,
}

impl Received {
    pub(crate) const fn new(delivery: Delivery) -> Self {
        Self { delivery, event_type: "", meta: OnceLock::new() }
    }

    /// Its handler takes it for an event of this type.
    pub(crate) const fn is_taken_for(&mut self, event_type: &'static str) {
        self.event_type = event_type;
    }

    pub(crate) fn meta(&self) -> &Arc<EventMeta> {
        let read = || envelope::read(&self.delivery.message, &self.delivery.origin(), self.event_type);
        self.meta.get_or_init(|| Arc::new(read()))
    }
}

scoped_tls::scoped_thread_local! {
    /// The message that is being handled on this thread: what its handler publishes is a consequence of it.
    static HANDLED: Received
}

/// Polls a handler's future, or whatever it is that `poll` does, as the handling of `received`.
pub(crate) fn handling<T>(received: &Received, poll: impl FnOnce() -> T) -> T {
    HANDLED.set(received, poll)
}

/// The event that is being handled on this thread.
pub(crate) fn handled() -> Option<Arc<EventMeta>> {
    HANDLED.is_set().then(|| HANDLED.with(|received| Arc::clone(received.meta())))
}
