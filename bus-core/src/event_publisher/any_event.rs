//! An event whose type is a value.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::bus::publishing::{Encoded, Publishing};
use crate::event::{Aggregate, EventMeta, IntegrationEvent, Outgoing, Publishable};

/// An event of any type, with what its publisher says about it: an [`Outgoing`] whose type is a value.
///
/// ```
/// # use gulo_bus_core::event::{IntegrationEvent, Outgoing};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct OrderPlaced { order: u64 }
/// # impl IntegrationEvent for OrderPlaced { const TYPE: &'static str = "order.placed"; }
/// # use gulo_bus_core::event_publisher::AnyEvent;
/// let any = AnyEvent::from(Outgoing::new(OrderPlaced { order: 7 }).key("ann"));
/// assert_eq!((any.event_type(), any.key().as_deref()), ("order.placed", Some("ann")));
/// assert_eq!(any.downcast_ref::<OrderPlaced>().map(|placed| placed.order), Some(7)); // in a test's mock, say
/// ```
///
/// Cloning it is cheap: the event is shared.
#[derive(Clone)]
pub struct AnyEvent {
    outgoing: Arc<dyn ErasedOutgoing>,
    defaults: Option<Arc<EventDefaults>>,
}

/// What is said of an event where neither it nor its publisher says it.
///
/// ```
/// # use gulo_bus_core::event::{IntegrationEvent, Outgoing};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct OrderPlaced { order: u64 }
/// # impl IntegrationEvent for OrderPlaced { const TYPE: &'static str = "order.placed"; }
/// # use gulo_bus_core::event_publisher::{AnyEvent, EventDefaults};
/// let defaults = EventDefaults { id: Some("7".into()), causation_id: Some("6".into()), ..EventDefaults::default() };
/// let any = AnyEvent::from(Outgoing::new(OrderPlaced { order: 7 }).id("own")).or(defaults);
/// let meta = any.meta("shop");
/// assert_eq!((&*meta.id, meta.causation_id.as_deref()), ("own", Some("6")));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventDefaults {
    /// Its id, in place of a new one: whoever may publish it again needs one that stays.
    pub id: Option<String>,
    /// When it happened, in place of now.
    pub time: Option<DateTime<Utc>>,
    /// What it is about.
    pub aggregate: Option<Aggregate>,
    /// The conversation that it is part of.
    pub correlation_id: Option<String>,
    /// The id of what led to it.
    pub causation_id: Option<String>,
}

impl AnyEvent {
    /// Its type on the wire: [`IntegrationEvent::TYPE`].
    pub fn event_type(&self) -> &'static str {
        self.outgoing.event_type()
    }

    /// The topic that it, or its publisher, names. `None` leaves that to the bus; a bus may have a naming of its own.
    pub fn topic(&self) -> Option<Arc<str>> {
        self.outgoing.topic()
    }

    /// The key that it, or its publisher, gives; a bus may make another one of it.
    pub fn key(&self) -> Option<String> {
        self.outgoing.key()
    }

    /// Whether it is an `E`.
    pub fn is<E: IntegrationEvent>(&self) -> bool {
        self.outgoing::<E>().is_some()
    }

    /// The event, where it is an `E`.
    pub fn downcast_ref<E: IntegrationEvent>(&self) -> Option<&E> {
        self.outgoing::<E>().map(|outgoing| &outgoing.event)
    }

    /// The event with what is said about it, where it is an `E`.
    pub fn outgoing<E: IntegrationEvent>(&self) -> Option<&Outgoing<E>> {
        self.outgoing.as_any().downcast_ref()
    }

    /// With this said of it where nothing else says it. What was said so before goes before.
    #[must_use]
    pub fn or(mut self, defaults: EventDefaults) -> Self {
        let said = self.defaults.take().map(Arc::unwrap_or_clone).unwrap_or_default();
        self.defaults = Some(Arc::new(said.or(defaults)));
        self
    }

    /// What is known of it when a bus of the service `source` publishes it, outside of a handler. An id or a time that
    /// nobody says is another one each time.
    pub fn meta(&self, source: impl Into<Arc<str>>) -> EventMeta {
        self.outgoing.meta(&source.into(), self.defaults.as_deref())
    }

    pub(super) fn encode(&self, publishing: &Publishing) -> Encoded {
        self.outgoing.encode(publishing, self.defaults.as_deref())
    }
}

impl EventDefaults {
    pub(crate) fn put_into(self, meta: &mut EventMeta) {
        // What is empty is not said.
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        meta.id = said(self.id).unwrap_or_else(|| std::mem::take(&mut meta.id));
        meta.time = self.time.unwrap_or(meta.time);
        meta.aggregate = meta.aggregate.take().or(self.aggregate);
        meta.correlation_id = said(self.correlation_id);
        meta.causation_id = said(self.causation_id);
    }

    /// Each of `self`, else that of `others`.
    fn or(self, others: Self) -> Self {
        Self {
            id: self.id.or(others.id),
            time: self.time.or(others.time),
            aggregate: self.aggregate.or(others.aggregate),
            correlation_id: self.correlation_id.or(others.correlation_id),
            causation_id: self.causation_id.or(others.causation_id),
        }
    }
}

impl<P: Publishable> From<P> for AnyEvent {
    fn from(event: P) -> Self {
        Self { outgoing: Arc::new(event.into_outgoing()), defaults: None }
    }
}

// Not the event itself: it may be a secret.
impl fmt::Debug for AnyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyEvent").field("type", &self.event_type()).field("key", &self.key()).finish_non_exhaustive()
    }
}

/// [`Outgoing`] without its type.
trait ErasedOutgoing: Send + Sync {
    fn event_type(&self) -> &'static str;
    fn topic(&self) -> Option<Arc<str>>;
    fn key(&self) -> Option<String>;
    fn as_any(&self) -> &dyn Any;
    fn meta(&self, source: &Arc<str>, defaults: Option<&EventDefaults>) -> EventMeta;
    fn encode(&self, publishing: &Publishing, defaults: Option<&EventDefaults>) -> Encoded;
}

impl<E: IntegrationEvent> ErasedOutgoing for Outgoing<E> {
    fn event_type(&self) -> &'static str {
        E::TYPE
    }

    fn topic(&self) -> Option<Arc<str>> {
        self.other_topic().map_or_else(E::topic, |topic| Some(topic.into()))
    }

    fn key(&self) -> Option<String> {
        self.key_or(|| self.event.key())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn meta(&self, source: &Arc<str>, defaults: Option<&EventDefaults>) -> EventMeta {
        self.meta_or(source, defaults)
    }

    fn encode(&self, publishing: &Publishing, defaults: Option<&EventDefaults>) -> Encoded {
        let to = publishing.destinations.of::<E>();
        publishing.encode_or(self, defaults, &to, &mut publishing.room.sheet(1))
    }
}
