//! What an application's own code depends on where it publishes: a trait, so that its unit tests need no bus.
//!
//! ```
//! use std::sync::Arc;
//! use gulo_bus_core::event_publisher::{EventPublisher, EventPublisherExt};
//! # use gulo_bus_core::{event::IntegrationEvent, transport::Unsent};
//! # #[derive(serde::Serialize, serde::Deserialize)] struct OrderPlaced { order: u64 }
//! # impl IntegrationEvent for OrderPlaced { const TYPE: &'static str = "order.placed"; }
//! # #[derive(serde::Serialize, serde::Deserialize)] struct StockReserved { order: u64 }
//! # impl IntegrationEvent for StockReserved { const TYPE: &'static str = "stock.reserved"; }
//!
//! struct Orders { publisher: Arc<dyn EventPublisher> }
//!
//! impl Orders {
//!     async fn place(&self, order: u64) -> Result<(), Unsent> {
//!         self.publisher.publish(OrderPlaced { order }).await?;
//!         // Events of several types, in one batch.
//!         self.publisher.publish_events(vec![OrderPlaced { order }.into(), StockReserved { order }.into()]).await
//!     }
//! }
//! ```
//!
//! With the feature `testing` there is `MockEventPublisher`, by [mockall](https://docs.rs/mockall).

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::bus::publishing::{Encoded, Publishing};
use crate::bus::{Bus, Publish};
use crate::event::{IntegrationEvent, Outgoing, Publishable};
use crate::transport::Unsent;

/// Publishes events, whatever is behind it: a [`Bus`], a [`Publish`], or a test's mock. [`EventPublisherExt`] makes it
/// convenient.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait EventPublisher: Send + Sync {
    /// Publishes a batch of events of any types, those of one key in their order. Resolves when the broker has
    /// confirmed all of it; an empty batch is `Ok`.
    ///
    /// # Errors
    ///
    /// [`Unsent`] has those that are not confirmed, by their place in the batch. Where one does not encode or passes a
    /// limit, nothing of the batch is sent.
    ///
    /// Cancel safety: dropping the future takes nothing back; the events may still be sent.
    async fn publish_events(&self, events: Vec<AnyEvent>) -> Result<(), Unsent>;
}

/// Publishing events of one type, by every [`EventPublisher`], `dyn` ones too.
pub trait EventPublisherExt: EventPublisher {
    /// Publishes one event. As [`publish_events`](EventPublisher::publish_events).
    fn publish<'a>(&'a self, event: impl Publishable) -> BoxFuture<'a, Result<(), Unsent>>
    where
        Self: 'a,
    {
        self.publish_events(vec![event.into()])
    }

    /// Publishes a batch of events of one type. As [`publish_events`](EventPublisher::publish_events).
    fn publish_all<'a, P: Publishable>(
        &'a self,
        events: impl IntoIterator<Item = P>,
    ) -> BoxFuture<'a, Result<(), Unsent>>
    where
        Self: 'a,
    {
        self.publish_events(events.into_iter().map(Into::into).collect())
    }
}

impl<T: EventPublisher + ?Sized> EventPublisherExt for T {}

#[async_trait]
impl EventPublisher for Bus {
    async fn publish_events(&self, events: Vec<AnyEvent>) -> Result<(), Unsent> {
        self.publisher().publish_events(events).await
    }
}

#[async_trait]
impl EventPublisher for Publish {
    async fn publish_events(&self, events: Vec<AnyEvent>) -> Result<(), Unsent> {
        self.0.publish_events(events).await
    }
}

impl Publishing {
    async fn publish_events(&self, events: Vec<AnyEvent>) -> Result<(), Unsent> {
        self.publish_encoded(events.iter().map(|event| event.0.encode(self)).collect()).await
    }
}

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
pub struct AnyEvent(Box<dyn ErasedOutgoing>);

impl AnyEvent {
    /// Its type on the wire: [`IntegrationEvent::TYPE`].
    pub fn event_type(&self) -> &'static str {
        self.0.event_type()
    }

    /// The topic that it, or its publisher, names. `None` leaves that to the bus; a bus may have a naming of its own.
    pub fn topic(&self) -> Option<Arc<str>> {
        self.0.topic()
    }

    /// The key that it, or its publisher, gives; a bus may make another one of it.
    pub fn key(&self) -> Option<String> {
        self.0.key()
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
        self.0.as_any().downcast_ref()
    }
}

impl<P: Publishable> From<P> for AnyEvent {
    fn from(event: P) -> Self {
        Self(Box::new(event.into_outgoing()))
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
    fn encode(&self, publishing: &Publishing) -> Encoded;
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

    fn encode(&self, publishing: &Publishing) -> Encoded {
        publishing.encode(self, &publishing.destinations.of::<E>())
    }
}
