//! What a handler may ask for.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{HandlerError, Received};
use crate::bus::{Publish, TopicFormat};
use crate::event::EventMeta;
use crate::headers::Headers;
use crate::message::{Message, Origin};

/// The event itself, decoded. Always the first argument of a handler; [the module](crate::handler) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<T>(pub T);

/// What is known of the event: id, time, correlation and the rest.
///
/// ```
/// # use gulo_bus_core::event::IntegrationEvent;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// # use gulo_bus_core::handler::{Event, Meta};
/// async fn audit(_: Event<UserRegistered>, Meta(meta): Meta) {
///     println!("{} at {}, in conversation {}", meta.id, meta.time, meta.conversation());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Meta(pub Arc<EventMeta>);

/// The bytes of the message; `None` is a tombstone. They are shared, not copied. [`RawHandler`](super::RawHandler) has
/// an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(pub Option<Bytes>);

/// Which attempt this is, from 1. Counted in this process: a message that is delivered again after a restart begins
/// at 1. Those of a message that is [retried later](crate::retry_later) are counted on. [The module](crate::handler) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u32);

/// A value given to the bus with [`state`](crate::bus::BusBuilder::state), one for each type, cloned for each call: put
/// an `Arc` around it where cloning is dear. [The module](crate::handler) has an example.
#[derive(Debug, Clone)]
pub struct State<S>(pub S);

/// What an extractor can look at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The message as it came.
    pub message: &'a Message,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    pub(crate) received: &'a Received,
    pub(crate) format: &'a TopicFormat,
    pub(crate) states: &'a StateMap,
    pub(crate) publish: &'a Publish,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        received: &'a Received,
        attempt: u32,
        format: &'a TopicFormat,
        states: &'a StateMap,
        publish: &'a Publish,
    ) -> Self {
        Self { message: &received.delivery.message, attempt, received, format, states, publish }
    }

    /// Where the message stood.
    pub fn origin(&self) -> Origin {
        self.received.delivery.origin()
    }

    /// What is known of the event. Its headers are read at the first call.
    pub fn meta(&self) -> &'a Arc<EventMeta> {
        self.received.meta()
    }
}

/// A type that a handler can take after its event.
///
/// ```
/// # use gulo_bus_core::handler::{Context, FromContext, HandlerError};
/// /// Which tenant a message is of, as a header says.
/// struct Tenant(String);
///
/// impl FromContext for Tenant {
///     fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
///         let missing = || HandlerError::new("no header `tenant`").permanent();
///         let tenant = cx.message.headers.get_str("tenant").ok_or_else(missing)?;
///         Ok(Self(tenant.to_owned()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot take `{Self}`",
    note = "after `Event<T>` a handler takes `Meta`, `Attempt`, `Publish`, `State<S>`, `Headers`, `Message`, `Payload` or `Origin`"
)]
pub trait FromContext: Sized + Send + 'static {
    /// Takes it out of the context, before the handler is called. An error counts as the handler's: it is tried again
    /// by the policy, or is [permanent](HandlerError::permanent).
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError>;

    /// The state it needs, if any.
    fn requirement() -> Option<Requirement> {
        None
    }
}

impl FromContext for Meta {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        Ok(Self(Arc::clone(cx.meta())))
    }
}

impl FromContext for Payload {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        Ok(Self(cx.message.payload.clone()))
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
        Ok(cx.origin())
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
        Some(Requirement::state::<S>())
    }
}

/// A state that a handler needs, so that `start()` says where it is missing.
///
/// ```
/// # use gulo_bus_core::handler::{Context, FromContext, HandlerError, Requirement, State};
/// #[derive(Clone)]
/// struct Database;
///
/// /// One connection for each call.
/// struct Connection(Database);
///
/// impl FromContext for Connection {
///     fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
///         State::<Database>::from_context(cx).map(|State(database)| Self(database))
///     }
///
///     fn requirement() -> Option<Requirement> {
///         Some(Requirement::state::<Database>())
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
}

impl Requirement {
    /// A state of type `S`.
    #[must_use]
    pub fn state<S: 'static>() -> Self {
        Self { id: TypeId::of::<S>(), name: type_name::<S>() }
    }
}

/// States by their type: a few, so that to go through them is faster than to hash.
#[derive(Default, Clone)]
pub(crate) struct StateMap(Vec<Kept>);

/// A state, its type, and what that is called.
type Kept = (TypeId, &'static str, Arc<dyn Any + Send + Sync>);

impl StateMap {
    /// The last one of a type counts.
    pub(crate) fn insert<S: Send + Sync + 'static>(&mut self, state: S) {
        self.0.retain(|(id, ..)| *id != TypeId::of::<S>());
        self.0.push((TypeId::of::<S>(), type_name::<S>(), Arc::new(state)));
    }

    fn get<S: 'static>(&self) -> Option<&S> {
        let (_, _, state) = self.0.iter().find(|(id, ..)| *id == TypeId::of::<S>())?;
        state.downcast_ref()
    }

    pub(crate) fn has(&self, requirement: Requirement) -> bool {
        self.0.iter().any(|(id, ..)| *id == requirement.id)
    }

    /// What the types are called of those there are.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(_, name, _)| *name)
    }
}

impl fmt::Debug for StateMap {
    // States may hold secrets: only their number shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateMap({})", self.0.len())
    }
}
