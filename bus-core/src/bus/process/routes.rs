//! Which handler a message is for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::envelope;
use crate::error::{Error, ErrorKind, shown};
use crate::handler::ErasedHandler;
use crate::message::Message;

/// The handlers of a group, by topic and type.
#[derive(Debug, Default)]
pub(crate) struct Routes(HashMap<Arc<str>, Vec<Arc<dyn ErasedHandler>>>);

pub(super) enum Route<'a> {
    To(&'a Arc<dyn ErasedHandler>),
    /// A tombstone: there is no event in it.
    Skip,
    /// It names a type that the group does not handle.
    Unhandled(Error),
    /// It names no type, and the topic has not just one.
    Unknown(Error),
}

impl Routes {
    pub(crate) fn new(handlers: &[Arc<dyn ErasedHandler>]) -> Self {
        let mut routes = Self::default();
        for handler in handlers {
            routes.0.entry(handler.topic()).or_default().push(Arc::clone(handler));
        }
        routes
    }

    pub(super) fn find(&self, message: &Message) -> Route<'_> {
        if message.payload.is_none() {
            return Route::Skip;
        }
        let handlers = self.0.get(&message.topic).map(Vec::as_slice).unwrap_or_default();
        let named = message.headers.get(envelope::TYPE).is_some();
        match (envelope::event_type(message), handlers) {
            (Some(event_type), _) => match handlers.iter().find(|h| h.event_type() == event_type) {
                Some(handler) => Route::To(handler),
                None => Route::Unhandled(no_handler(event_type)),
            },
            // A message of other software, on a topic with one type: the subscription says what it is.
            (None, [handler]) if !named => Route::To(handler),
            (None, _) => Route::Unknown(unknown_type(named)),
        }
    }
}

fn unknown_type(named: bool) -> Error {
    let problem = if named { "is not UTF-8" } else { "is missing, and the group handles several types" };
    Error::new(ErrorKind::Decode, format!("header `{}` {problem}: the type is unknown", envelope::TYPE))
}

fn no_handler(event_type: &str) -> Error {
    Error::new(ErrorKind::Decode, format!("no handler for events of type `{}`", shown(event_type)))
}
