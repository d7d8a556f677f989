//! Publishing around any mediator.

use std::sync::Arc;

use gulo_bus_core::event_publisher::EventPublisher;

use super::{KeptEvents, OnPublishFailure, PublishIntegrationEvents};
use crate::domain::Events;
use crate::mapper::EventMapper;
use crate::mediator::{Mediate, Request, RequestError, RequestMeta, called, hand_on};

/// A mediator that publishes what its requests led to, whatever mediator is within it. Events are raised with
/// [`raise`](crate::domain::raise) and [`emit`](crate::domain::emit) then, where that one hands out no
/// [`Events`]. [`integration_event_mediator`] makes it.
#[derive(Debug, Clone)]
pub struct IntegrationEventMediator<M> {
    inner: M,
    publishing: PublishIntegrationEvents,
}

/// Adds to `mediator` that what its requests led to is published when they have succeeded: domain events as `mapper` has
/// them, and emitted integration events, by `publisher`. `on_failure` says what becomes of a request where that fails.
///
/// [The crate](crate) has an example.
///
/// # Errors
///
/// [`Config`](gulo_bus_core::ErrorKind::Config) where the mapper has two mappings for one domain event.
pub fn integration_event_mediator<M: Mediate>(
    mediator: M,
    publisher: Arc<dyn EventPublisher>,
    mapper: EventMapper,
    on_failure: OnPublishFailure,
) -> gulo_bus_core::Result<IntegrationEventMediator<M>> {
    let publishing = PublishIntegrationEvents::new(publisher, mapper, on_failure)?;
    Ok(IntegrationEventMediator { inner: mediator, publishing })
}

impl<M> IntegrationEventMediator<M> {
    /// The mediator within.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// The events that are kept, where the application chose to keep what could not be published.
    pub fn kept(&self) -> Option<&KeptEvents> {
        self.publishing.kept()
    }
}

impl<M: Mediate> Mediate for IntegrationEventMediator<M> {
    async fn send_as<R: Request>(&self, request: R, meta: RequestMeta) -> Result<R::Response, RequestError> {
        let outer = Events::current();
        let events = Events::of(Arc::new(meta.clone()));
        let (handled, collected) = events.whole(self.inner.send_as(request, meta)).await;
        if outer.is_some() {
            return hand_on(outer, collected, handled, &called::<R>());
        }
        let response = handled?;
        self.publishing.publish(called::<R>(), collected).await?;
        Ok(response)
    }
}
