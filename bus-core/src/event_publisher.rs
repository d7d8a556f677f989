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

mod any_event;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::bus::publishing::Publishing;
use crate::bus::{Bus, Publish};
use crate::event::Publishable;
use crate::transport::Unsent;

pub use any_event::{AnyEvent, EventDefaults};

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
        self.publish_encoded(events.iter().map(|event| event.encode(self)).collect()).await
    }
}
