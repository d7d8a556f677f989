//! Domain events: what happened inside of a service, in its own words. Others are told by
//! [integration events](gulo_bus_core::event), which [`EventMapper`](crate::mapper::EventMapper) makes of them.
//!
//! ```
//! use gulo_application::domain::{DomainEvent, Raised};
//! use gulo_bus_core::event::Aggregate;
//!
//! #[derive(Debug)]
//! struct UserCreated { user_id: u64 }
//!
//! impl DomainEvent for UserCreated {
//!     fn aggregate(&self) -> Option<Aggregate> { Some(Aggregate::new("user", self.user_id.to_string())) }
//! }
//!
//! let raised = Raised::new(UserCreated { user_id: 7 });
//! assert_eq!((raised.user_id, raised.meta().aggregate.is_some()), (7, true));
//! ```

mod events;

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gulo_bus_core::event::Aggregate;
use uuid::Uuid;

pub(crate) use events::Collected;
pub use events::{Events, NotCollected, emit, raise};

/// Something that happened inside of the service.
pub trait DomainEvent: Send + Sync + 'static {
    /// What it happened to.
    fn aggregate(&self) -> Option<Aggregate> {
        None
    }

    /// What it is called in logs and errors: its type without the path, unless said.
    fn name() -> &'static str
    where
        Self: Sized,
    {
        short_name::<Self>()
    }
}

/// A type without its path, for people.
pub(crate) fn short_name<T: ?Sized>() -> &'static str {
    let name = type_name::<T>();
    let end = name.find('<').unwrap_or(name.len());
    name[..end].rfind("::").map_or(name, |at| &name[at + 2..])
}

/// What is known of a domain event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainMeta {
    /// Its id, a UUIDv7 unless said.
    pub id: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What it happened to.
    pub aggregate: Option<Aggregate>,
    /// The conversation that it is part of.
    pub correlation_id: Option<String>,
    /// The id of the request or event that led to it.
    pub causation_id: Option<String>,
}

impl DomainMeta {
    /// A new id, now, nothing else known.
    pub fn new() -> Self {
        let (aggregate, correlation_id, causation_id) = (None, None, None);
        Self { id: Uuid::now_v7().to_string(), time: Utc::now(), aggregate, correlation_id, causation_id }
    }

    /// The id of the conversation: its own id begins one.
    pub fn conversation(&self) -> &str {
        self.correlation_id.as_deref().unwrap_or(&self.id)
    }
}

impl Default for DomainMeta {
    fn default() -> Self {
        Self::new()
    }
}

/// A domain event that has happened: the event, which it derefs to, and what is known of it. Cheap to clone.
pub struct Raised<E> {
    event: Arc<E>,
    meta: Arc<DomainMeta>,
}

impl<E: DomainEvent> Raised<E> {
    /// `event`, happening now: a new id, a conversation of its own. [`raise`] does this for the request under way, and
    /// links it to that.
    pub fn new(event: E) -> Self {
        Self::with_meta(event, DomainMeta::new())
    }

    /// `event`, of which `meta` is known; its aggregate is that of the event where `meta` has none.
    pub fn with_meta(event: E, mut meta: DomainMeta) -> Self {
        meta.aggregate = meta.aggregate.or_else(|| event.aggregate());
        Self { event: Arc::new(event), meta: Arc::new(meta) }
    }
}

impl<E> Raised<E> {
    /// The event.
    pub fn event(&self) -> &E {
        &self.event
    }

    /// What is known of it.
    pub fn meta(&self) -> &DomainMeta {
        &self.meta
    }
}

impl<E> Clone for Raised<E> {
    fn clone(&self) -> Self {
        Self { event: Arc::clone(&self.event), meta: Arc::clone(&self.meta) }
    }
}

impl<E> Deref for Raised<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.event
    }
}

// Not the event itself: it may be a secret.
impl<E: DomainEvent> fmt::Debug for Raised<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raised").field("event", &E::name()).field("meta", &self.meta).finish()
    }
}

/// A domain event whose type is a value: an aggregate may keep a list of what happened to it. Cheap to clone.
///
/// ```
/// use gulo_application::domain::{AnyDomainEvent, DomainEvent};
///
/// struct Renamed;
/// impl DomainEvent for Renamed {}
/// struct Moved;
/// impl DomainEvent for Moved {}
///
/// let happened: Vec<AnyDomainEvent> = vec![Renamed.into(), Moved.into()];
/// assert_eq!(happened[0].name(), "Renamed");
/// assert!(happened[1].downcast::<Moved>().is_some());
/// ```
#[derive(Clone)]
pub struct AnyDomainEvent {
    event: Arc<dyn Any + Send + Sync>,
    name: &'static str,
    meta: Arc<DomainMeta>,
}

impl AnyDomainEvent {
    /// What it is called: [`DomainEvent::name`].
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is known of it.
    pub fn meta(&self) -> &DomainMeta {
        &self.meta
    }

    /// The event, where it is an `E`.
    pub fn downcast<E: DomainEvent>(&self) -> Option<Raised<E>> {
        let event = Arc::clone(&self.event).downcast().ok()?;
        Some(Raised { event, meta: Arc::clone(&self.meta) })
    }

    pub(crate) fn type_id(&self) -> TypeId {
        (*self.event).type_id()
    }

    /// Links it to what led to it, where nobody has said so.
    pub(crate) fn led_to_by(&mut self, request: &crate::mediator::RequestMeta) {
        let meta = Arc::make_mut(&mut self.meta);
        meta.correlation_id.get_or_insert_with(|| request.correlation_id.clone());
        meta.causation_id.get_or_insert_with(|| request.id.clone());
    }
}

impl<E: DomainEvent> From<Raised<E>> for AnyDomainEvent {
    fn from(Raised { event, meta }: Raised<E>) -> Self {
        Self { event, name: E::name(), meta }
    }
}

impl<E: DomainEvent> From<E> for AnyDomainEvent {
    fn from(event: E) -> Self {
        Raised::new(event).into()
    }
}

// Not the event itself: it may be a secret.
impl fmt::Debug for AnyDomainEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyDomainEvent").field("event", &self.name).field("meta", &self.meta).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Simple;
    struct Of<T>(T);

    impl DomainEvent for Simple {}
    impl<T: Send + Sync + 'static> DomainEvent for Of<T> {}

    #[test]
    fn a_name_is_the_type_without_its_path() {
        assert_eq!(Simple::name(), "Simple");
        assert!(<Of<Simple>>::name().starts_with("Of<"), "{}", <Of<Simple>>::name());
    }

    #[test]
    fn neither_an_event_nor_its_content_is_shown() {
        let shown = format!("{:?} {:?}", Raised::new(Of("hunter2")), AnyDomainEvent::from(Of("hunter2")));
        assert!(shown.contains("Of<") && !shown.contains("hunter2"), "{shown}");
    }
}
