//! Which handler a message is for.

use std::sync::Arc;

use crate::envelope;
use crate::error::{Error, ErrorKind, shown};
use crate::handler::ErasedHandler;
use crate::message::Message;

/// The handlers of a group, by topic and type.
#[derive(Debug, Default)]
pub(crate) struct Routes(Vec<(Arc<str>, Handlers)>);

/// The handlers of one topic.
#[derive(Debug, Default)]
struct Handlers {
    typed: Vec<(&'static str, Arc<dyn ErasedHandler>)>,
    /// For what is left.
    raw: Option<Arc<dyn ErasedHandler>>,
}

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
            let of_topic = routes.entry(handler.topic());
            match handler.event_type() {
                Some(event_type) => of_topic.typed.push((event_type, Arc::clone(handler))),
                None => of_topic.raw = Some(Arc::clone(handler)),
            }
        }
        routes
    }

    fn entry(&mut self, topic: Arc<str>) -> &mut Handlers {
        let known = self.0.iter().position(|(name, _)| *name == topic);
        let index = known.unwrap_or_else(|| {
            self.0.push((topic, Handlers::default()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }

    pub(super) fn find(&self, message: &Message) -> Route<'_> {
        // A group has few topics: to compare is faster than to hash.
        let of_topic = self.0.iter().find(|(topic, _)| *topic == message.topic);
        let (typed, raw) = of_topic.map_or((&[][..], None), |(_, of)| (&of.typed[..], of.raw.as_ref()));
        if message.payload.is_none() {
            return raw.map_or(Route::Skip, Route::To);
        }
        let given = message.headers.get(envelope::TYPE);
        let event_type = given.and_then(|name| std::str::from_utf8(name).ok());
        match (event_type, typed) {
            (Some(event_type), _) => match (typed.iter().find(|(handled, _)| *handled == event_type), raw) {
                (Some((_, handler)), _) | (None, Some(handler)) => Route::To(handler),
                (None, None) => Route::Unhandled(no_handler(event_type)),
            },
            (None, _) if raw.is_some() => raw.map_or(Route::Skip, Route::To),
            // A message of other software, on a topic with one type: the subscription says what it is.
            (None, [(_, handler)]) if given.is_none() => Route::To(handler),
            (None, _) => Route::Unknown(unknown_type(given.is_some())),
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
