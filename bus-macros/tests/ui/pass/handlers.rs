#![deny(warnings, unused_qualifications)]
//! Handlers that nothing is to be said of, and that the bus takes.

use std::fmt;
use std::sync::Arc;

use gulo::handler::{Context, FromContext};
use gulo::headers::Headers;
use gulo::message::{Message, Origin};
use gulo::prelude::*;
use gulo::{Event as Happened, IntegrationEvent as Fact, handler};

use super::events::UserRegistered;

#[handler]
async fn of_the_event(Event(user): Event<UserRegistered>) {
    assert_eq!(any(user.user_id), 7);
}

/// Of the same name as what the macro writes for itself.
fn any(number: u64) -> u64 {
    argument(number)
}

fn argument(number: u64) -> u64 {
    number
}

/// Documented, and with an attribute of its own.
#[allow(clippy::unused_async)]
#[gulo::handler]
pub(crate) async fn of_all(
    Happened(user): Happened<UserRegistered>,
    Meta(meta): Meta,
    Attempt(attempt): Attempt,
    publish: Publish,
    mut headers: Headers,
) -> Result<(), HandlerError> {
    let _ = (&meta, attempt, headers.get_str("x"));
    headers = Headers::default();
    let _ = headers;
    publish.publish(user).await.map_err(|unsent| HandlerError::new(unsent.to_string()))
}

type UserEvent = Happened<UserRegistered>;

#[gulo::handler]
async fn of_an_alias(user: UserEvent, _: Message, origin: Origin) -> Result<(), std::io::Error> {
    let Happened(UserRegistered { user_id }) = user;
    if user_id == 0 { Err(std::io::Error::other(origin.topic.to_string())) } else { Ok(()) }
}

#[gulo::handler]
async fn fails_with_a_text(Event(user): Event<UserRegistered>) -> Result<(), String> {
    if user.user_id == 0 { Err("nobody".into()) } else { Ok(()) }
}

#[gulo::handler]
async fn gives_an_outcome(Event(_): Event<UserRegistered>) -> Outcome {
    Outcome::Done
}

#[gulo::handler]
async fn gives_something(Event(_): Event<UserRegistered>) -> impl handler::IntoHandlerResult {}

struct Tenant(u32);

impl FromContext for Tenant {
    fn from_context(cx: &Context<'_>) -> Result<Self, HandlerError> {
        Ok(Self(cx.attempt))
    }
}

/// `State` by name, and not the bus's.
mod own {
    use super::{Context, FromContext, HandlerError};

    pub(super) struct State<T>(pub(super) Option<T>);

    impl<T: Send + 'static> FromContext for State<T> {
        fn from_context(_: &Context<'_>) -> Result<Self, HandlerError> {
            Ok(Self(None))
        }
    }
}

#[gulo::handler]
async fn of_own_extractors(Event(_): Event<UserRegistered>, tenant: Tenant, own::State(none): own::State<u8>) {
    let _ = (tenant.0, none);
}

trait Mailer: Send + Sync + 'static {
    fn welcome(&self, user: u64) -> impl Future<Output = ()> + Send;
}

struct Quiet;

impl Mailer for Quiet {
    async fn welcome(&self, _: u64) {}
}

#[gulo::handler]
async fn generic<M, const N: usize>(Event(user): Event<UserRegistered>, State(mailer): State<Arc<M>>)
where
    M: Mailer,
{
    mailer.welcome(user.user_id + N as u64).await;
}

#[gulo::handler]
async fn of_any_event<T: Fact + fmt::Debug>(Event(event): Event<T>) {
    let _ = format!("{event:?}");
}

#[gulo::handler(raw)]
async fn of_messages(Payload(bytes): Payload, _: Message, _: Meta, _: State<u8>, _: Origin) {
    let _ = bytes;
}

struct Handlers;

impl Handlers {
    #[gulo::handler]
    async fn in_an_impl(Event(user): Event<UserRegistered>) {
        let _ = user;
    }

    #[gulo::handler]
    async fn with_others_of_it(Event(user): Event<UserRegistered>) -> Result<(), HandlerError> {
        Self::checked(user.user_id)
    }

    fn checked(user: u64) -> Result<(), HandlerError> {
        if user == 0 { Err(HandlerError::new("nobody")) } else { Ok(()) }
    }
}

/// Items in a body have a `Self` of their own.
#[gulo::handler]
async fn with_items(Event(_): Event<UserRegistered>) {
    struct Inner;
    impl Inner {
        fn new() -> Self {
            Self
        }
    }
    let _ = Inner::new();
}

#[gulo::handler]
#[cfg(any())]
async fn not_built(Event(_): Event<Missing>) {}

struct Generic<T>(T);

impl<T: Fact> Generic<T> {
    #[gulo::handler]
    async fn of_its_parameter(Event(event): Event<T>) {
        let _ = Self(event).0;
    }
}

mod platform {
    pub(super) use gulo as bus;
}

#[gulo::handler(crate = platform::bus)]
async fn elsewhere(Event(_): Event<UserRegistered>, _: Publish) {}

macro_rules! handler_of {
    ($name:ident, $event:ty, $state:ty) => {
        #[gulo::handler]
        async fn $name(Event(event): Event<$event>, State(_): State<$state>) {
            let _ = event;
        }
    };
}

handler_of!(by_a_macro, UserRegistered, Vec<u8>);

#[test]
fn the_bus_takes_what_passes() {
    let subscription = Subscription::group("mail")
        .on(of_the_event)
        .on(of_all)
        .on(of_an_alias)
        .on(fails_with_a_text)
        .on(gives_an_outcome)
        .on(gives_something)
        .on(of_own_extractors)
        .on(generic::<Quiet, 3>)
        .on(of_any_event::<UserRegistered>)
        .on(Handlers::in_an_impl)
        .on(Handlers::with_others_of_it)
        .on(with_items)
        .on(Generic::<UserRegistered>::of_its_parameter)
        .on(elsewhere)
        .on(by_a_macro)
        .on_raw("users", of_messages);
    assert!(format!("{subscription:?}").contains("by_a_macro"));
}
