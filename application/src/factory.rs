//! Integration events whose metadata is filled in the same way wherever they are made.

use std::sync::Arc;

use gulo_bus_core::event::{IntegrationEvent, Outgoing};
use uuid::Uuid;

use crate::domain::{DomainEvent, Raised};
use crate::mediator::RequestMeta;

/// Makes integration events of one service, out of a domain event or from scratch.
///
/// ```
/// # use gulo_application::domain::{DomainEvent, Raised};
/// # use gulo_application::factory::IntegrationEventFactory;
/// # use gulo_bus_core::event::IntegrationEvent;
/// # use gulo_bus_core::event_publisher::AnyEvent;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { user_id: u64 }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// struct UserCreated { user_id: u64 }
/// impl DomainEvent for UserCreated {}
///
/// let factory = IntegrationEventFactory::new("user-service");
/// let raised = Raised::new(UserCreated { user_id: 7 });
/// let event = factory.from_domain(&raised, UserRegistered { user_id: raised.user_id });
///
/// let meta = AnyEvent::from(event).meta("whoever publishes it");
/// assert_eq!((&*meta.source, &meta.causation_id), ("user-service", &Some(raised.meta().id.clone())));
/// ```
#[derive(Debug, Clone)]
pub struct IntegrationEventFactory {
    source: Arc<str>,
}

impl IntegrationEventFactory {
    /// Of this service: the source of its events, a URI reference.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into() }
    }

    /// `event` as a consequence of `domain`: caused by it, of its time and of its conversation, which it begins where it
    /// is of none; about the same as it is, unless `event` says so itself. Its id is a new one.
    pub fn from_domain<D: DomainEvent, E: IntegrationEvent>(&self, domain: &Raised<D>, event: E) -> Outgoing<E> {
        let meta = domain.meta();
        let own = event.aggregate().is_some();
        let made = self.outgoing(event).time(meta.time);
        let made = made.causation_id(meta.id.clone()).correlation_id(meta.conversation());
        match meta.aggregate.clone().filter(|_| !own) {
            Some(aggregate) => made.aggregate(aggregate),
            None => made,
        }
    }

    /// `event` from scratch: of the conversation of the request or event that is being handled in this task, and caused
    /// by that; where there is none it begins a conversation, which has its id.
    pub fn create<E: IntegrationEvent>(&self, event: E) -> Outgoing<E> {
        let id = Uuid::now_v7().to_string();
        let made = self.outgoing(event);
        match RequestMeta::under_way() {
            Some((correlation, causation)) => made.id(id).correlation_id(correlation).causation_id(causation),
            None => made.correlation_id(id.clone()).id(id),
        }
    }

    fn outgoing<E: IntegrationEvent>(&self, event: E) -> Outgoing<E> {
        Outgoing::new(event).source(Arc::clone(&self.source))
    }
}
