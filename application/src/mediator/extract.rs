//! What a handler may ask for besides its request.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use gulo_bus_core::handler::State;

use super::error::BoxError;
use super::request::RequestMeta;
use super::send::Mediator;
use crate::domain::Events;

/// What is around a request while it is handled.
#[derive(Debug, Clone)]
pub struct RequestContext {
    pub(super) events: Events,
    pub(super) mediator: Mediator,
    pub(super) within_another: bool,
}

impl RequestContext {
    /// What is known of the request.
    pub fn meta(&self) -> &RequestMeta {
        self.events.request()
    }

    /// What happened so far.
    pub fn events(&self) -> &Events {
        &self.events
    }
}

/// What a handler can take as an argument behind its request or domain event: [`State<S>`](State), [`Events`],
/// [`RequestMeta`], [`Mediator`], and types of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a request's handler can take",
    note = "it takes its request first, then up to four of `State<S>`, `Events`, `RequestMeta`, `Mediator` and types of your own with `FromRequest`"
)]
pub trait FromRequest: Sized + Send + 'static {
    /// Takes it out of the context, before the handler is called. An error fails the request.
    ///
    /// # Errors
    ///
    /// Any.
    fn from_request(cx: &RequestContext) -> Result<Self, BoxError>;

    /// The state it needs, if any, so that `build()` says where it is missing.
    fn requirement() -> Option<(TypeId, &'static str)> {
        None
    }
}

impl<S: Clone + Send + Sync + 'static> FromRequest for State<S> {
    fn from_request(cx: &RequestContext) -> Result<Self, BoxError> {
        let missing = || format!("there is no state of type {}", type_name::<S>());
        Ok(Self(cx.mediator.states().get::<S>().cloned().ok_or_else(missing)?))
    }

    fn requirement() -> Option<(TypeId, &'static str)> {
        Some((TypeId::of::<S>(), type_name::<S>()))
    }
}

impl FromRequest for Events {
    fn from_request(cx: &RequestContext) -> Result<Self, BoxError> {
        Ok(cx.events.clone())
    }
}

impl FromRequest for RequestMeta {
    fn from_request(cx: &RequestContext) -> Result<Self, BoxError> {
        Ok(cx.meta().clone())
    }
}

/// To send further requests, from any task: what they lead to is published with this one, which has to await them.
impl FromRequest for Mediator {
    fn from_request(cx: &RequestContext) -> Result<Self, BoxError> {
        Ok(Self { within: Some(cx.events.clone()), ..cx.mediator.clone() })
    }
}

/// States by their type.
#[derive(Default, Clone)]
pub(super) struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    /// Whether there was none of this type.
    pub(super) fn insert<S: Send + Sync + 'static>(&mut self, state: S) -> bool {
        self.0.insert(TypeId::of::<S>(), Arc::new(state)).is_none()
    }

    pub(super) fn has(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }

    fn get<S: 'static>(&self) -> Option<&S> {
        self.0.get(&TypeId::of::<S>())?.downcast_ref()
    }
}

// States may hold secrets: only their number shows.
impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states", self.0.len())
    }
}
