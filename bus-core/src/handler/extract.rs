//! What a handler may ask for.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::HandlerError;
use crate::bus::Publish;
use crate::event::EventMeta;
use crate::headers::Headers;
use crate::message::{Message, Origin};

/// The event itself, decoded. Always the first argument of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<T>(pub T);

/// What is known of the event: id, time, correlation and the rest.
#[derive(Debug, Clone)]
pub struct Meta(pub Arc<EventMeta>);

/// Which attempt this is, from 1. Counted in this process: a message that is delivered again after a restart begins
/// at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u32);

/// A value given to the bus with `.state(..)`, shared by all handlers; put an `Arc` in it where cloning is dear.
#[derive(Debug, Clone)]
pub struct State<S>(pub S);

/// What an extractor can look at.
#[derive(Debug)]
pub struct Context<'a> {
    /// What is known of the event.
    pub meta: &'a Arc<EventMeta>,
    /// The message as it came.
    pub message: &'a Message,
    /// Where it stood.
    pub origin: &'a Origin,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    pub(crate) states: &'a StateMap,
    pub(crate) publish: &'a Publish,
}

/// A type that a handler can take after its event.
#[diagnostic::on_unimplemented(
    message = "a handler cannot take `{Self}`",
    note = "after `Event<T>` a handler takes `Meta`, `Attempt`, `Publish`, `State<S>`, `Headers`, `Message` or `Origin`"
)]
pub trait FromContext: Sized + Send + 'static {
    /// Takes it out of the context. An error counts as the handler's.
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError>;

    /// The state it needs, if any.
    fn requirement() -> Option<Requirement> {
        None
    }
}

impl FromContext for Meta {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        Ok(Self(Arc::clone(cx.meta)))
    }
}

impl FromContext for Attempt {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        Ok(Self(cx.attempt))
    }
}

/// The headers as they came.
impl FromContext for Headers {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        Ok(cx.message.headers.clone())
    }
}

/// The message as it came: bytes, key, headers. Cheap to clone.
impl FromContext for Message {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        Ok(cx.message.clone())
    }
}

/// Where the message stood.
impl FromContext for Origin {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        Ok(cx.origin.clone())
    }
}

impl FromContext for Publish {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        Ok(cx.publish.clone())
    }
}

impl<S: Clone + Send + Sync + 'static> FromContext for State<S> {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        let missing = || HandlerError::new(format!("no state of type {}", type_name::<S>())).permanent();
        cx.states.get::<S>().cloned().map(Self).ok_or_else(missing)
    }

    fn requirement() -> Option<Requirement> {
        Some(Requirement { id: TypeId::of::<S>(), name: type_name::<S>() })
    }
}

/// A state that a handler needs.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
}

/// States by their type.
#[derive(Default)]
pub(crate) struct StateMap(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl StateMap {
    pub(crate) fn insert<S: Send + Sync + 'static>(&mut self, state: S) {
        self.0.insert(TypeId::of::<S>(), Box::new(state));
    }

    fn get<S: 'static>(&self) -> Option<&S> {
        self.0.get(&TypeId::of::<S>()).and_then(|state| state.downcast_ref())
    }

    pub(crate) fn has(&self, requirement: Requirement) -> bool {
        self.0.contains_key(&requirement.id)
    }
}

impl fmt::Debug for StateMap {
    // States may hold secrets: only their number shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateMap({})", self.0.len())
    }
}
