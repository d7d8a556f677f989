//! The user service: a mediator that publishes what its commands led to.

use std::sync::Arc;
use std::time::Duration;

use gulo::mapper::EventMapper;
use gulo::mediator::{Logging, Mediator, Timing, Validation};
use gulo::prelude::*;
use gulo::publishing::{IntegrationEventMediator, OnPublishFailure, integration_event_mediator};

use crate::commands::{self, Users};
use crate::domain::{EmailChanged, UserCreated};
use crate::events::{UserEmailChanged, UserRegistered, topics};

/// What the HTTP face sends its requests to.
pub type Application = IntegrationEventMediator<Mediator>;

/// Its bus, all but the transport.
pub fn bus() -> BusBuilder {
    topics(Bus::builder("user-service"))
}

/// Commands and queries, with what stands around them.
///
/// # Errors
///
/// What is wrong with this function.
pub fn application(publisher: Arc<dyn EventPublisher>) -> gulo::Result<Application> {
    let mediator = Mediator::builder()
        .behaviour(Logging)
        .behaviour(Timing::warn_over(Duration::from_millis(500)))
        .behaviour(Validation)
        .handle(commands::register)
        .handle(commands::change_email)
        .handle(commands::find)
        .state(Users::default())
        .build()?;
    integration_event_mediator(mediator, publisher, mapper(), keep())
}

/// What others hear of what happens here.
fn mapper() -> EventMapper {
    let registered = |user: &UserCreated| UserRegistered {
        user_id: user.user_id,
        name: user.name.clone(),
        email: user.email.clone(),
    };
    let changed = |user: &EmailChanged| UserEmailChanged { user_id: user.user_id, email: user.email.clone() };
    EventMapper::new().map(registered).map(changed).require_all()
}

/// The user is stored by then: whoever was told to try again would hear that the address is taken. So the request
/// succeeds, and the event is published when the broker is back.
fn keep() -> OnPublishFailure {
    OnPublishFailure::keep("operator", |failure| {
        let (request, events) = (failure.request, failure.events.len());
        if failure.kept {
            tracing::error!(request, events, "not published yet: look at the broker");
        } else {
            tracing::error!(request, events, "refused for good, and not published: {:?}", failure.events);
        }
    })
}
