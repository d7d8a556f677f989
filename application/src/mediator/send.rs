//! A request on its way.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::behaviour::{Behaviours, Next};
use super::builder::MediatorBuilder;
use super::error::{RequestError, called};
use super::extract::{RequestContext, States};
use super::handler::ErasedHandler;
use super::notification::{self, Notified};
use super::request::{Request, RequestMeta};
use crate::domain::{AnyDomainEvent, Collected, Events};

/// Handlers of domain events that raise more than this are such that answer each other for ever.
const MOST: usize = 10_000;

/// Sends requests to their handlers: a [`Mediator`], a wrapper around one, or another one of your own.
pub trait Mediate: Send + Sync {
    /// Sends `request`, of which `meta` is known.
    ///
    /// Cancel safety: the handler's future is dropped with this one, and nothing it led to is published. Where all of it
    /// was handled already, what it led to is published to the end.
    ///
    /// # Errors
    ///
    /// [`RequestError`] says of which [kind](RequestError::kind).
    fn send_as<R: Request>(
        &self,
        request: R,
        meta: RequestMeta,
    ) -> impl Future<Output = Result<R::Response, RequestError>> + Send;

    /// Sends `request`, as part of the conversation that is being handled in this task, or as the beginning of one:
    /// [`RequestMeta::here`].
    ///
    /// # Errors
    ///
    /// As [`send_as`](Self::send_as).
    fn send<R: Request>(&self, request: R) -> impl Future<Output = Result<R::Response, RequestError>> + Send {
        async { self.send_as(request, RequestMeta::here()).await }
    }
}

/// Sends requests to their handlers, and domain events to theirs. Cheap to clone. [The module](super) has an example.
///
/// Domain events that are raised while a request is handled are told to their handlers when the request's own handler
/// has succeeded, within the same behaviours (and so within the same transaction); where one of them fails the request
/// fails. A request within a request belongs to it: what it led to is published with the outer one, if both succeed.
#[derive(Clone)]
pub struct Mediator {
    pub(super) inner: Arc<Inner>,
    /// Of the request whose handler it was given to.
    pub(super) within: Option<Events>,
}

pub(super) struct Inner {
    /// A `Route<R>` for each `R`.
    pub(super) routes: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    pub(super) notified: HashMap<TypeId, Vec<Notified>>,
    pub(super) states: States,
}

pub(super) struct Route<R: Request> {
    pub(super) behaviours: Behaviours<R>,
    pub(super) handler: Arc<dyn ErasedHandler<R>>,
}

impl Mediator {
    /// One of which nothing is said yet.
    #[must_use]
    pub fn builder() -> MediatorBuilder {
        MediatorBuilder::default()
    }

    /// Tells the handlers of a domain event, outside of a request or within one. All are told, one after the other.
    ///
    /// # Errors
    ///
    /// That of the first one that failed; each failure is logged.
    pub async fn notify(&self, event: impl Into<AnyDomainEvent>) -> Result<(), RequestError> {
        let event = event.into();
        let told = Box::pin(self.told(event));
        match self.around() {
            Some(around) => around.scope(told).await,
            None => told.await,
        }
    }

    async fn told(&self, event: AnyDomainEvent) -> Result<(), RequestError> {
        let (outer, meta) = (Events::current(), RequestMeta::here());
        let events = Events::of(Arc::new(meta));
        let cx = RequestContext { events: events.clone(), mediator: self.clone(), within_another: outer.is_some() };
        let told = async {
            notification::tell(self.handlers_of(&event), &event, &cx).await?;
            tell_of_what_happened(&cx).await
        };
        let (told, collected) = events.whole(told).await;
        hand_on(outer, collected, told, event.name())
    }

    /// What is around a request that a handler sends from another task than its own.
    fn around(&self) -> Option<&Events> {
        self.within.as_ref().filter(|_| Events::current().is_none())
    }

    async fn handled<R: Request>(&self, request: R, meta: RequestMeta) -> Result<R::Response, RequestError> {
        let route = self.inner.routes.get(&TypeId::of::<R>()).and_then(|route| route.downcast_ref::<Route<R>>());
        let Route { behaviours, handler } = route.ok_or_else(RequestError::no_handler::<R>)?;
        let (behaviours, handler, outer) = (Arc::clone(behaviours), Arc::clone(handler), Events::current());
        let events = Events::of(Arc::new(meta));
        let cx = RequestContext { events: events.clone(), mediator: self.clone(), within_another: outer.is_some() };
        let (handled, collected) = events.whole(Next { behaviours, at: 0, handler, cx }.run(request)).await;
        hand_on(outer, collected, handled, &called::<R>())
    }

    pub(super) fn states(&self) -> &States {
        &self.inner.states
    }

    fn handlers_of(&self, event: &AnyDomainEvent) -> &[Notified] {
        self.inner.notified.get(&event.type_id()).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Mediate for Mediator {
    async fn send_as<R: Request>(&self, request: R, meta: RequestMeta) -> Result<R::Response, RequestError> {
        // Boxed: all that stands around a request has its place in it.
        let handled = Box::pin(self.handled(request, meta));
        match self.around() {
            Some(around) => around.scope(handled).await,
            None => handled.await,
        }
    }

    async fn send<R: Request>(&self, request: R) -> Result<R::Response, RequestError> {
        let sent = Box::pin(async { self.handled(request, RequestMeta::here()).await });
        match self.around() {
            Some(around) => around.scope(sent).await,
            None => sent.await,
        }
    }
}

/// Tells the handlers of the domain events of this request, and of those that they raise in turn.
pub(super) async fn tell_of_what_happened(cx: &RequestContext) -> Result<(), RequestError> {
    for _ in 0..cx.events.len() + MOST {
        let Some(event) = cx.events.next_to_tell() else { return Ok(()) };
        notification::tell(cx.mediator.handlers_of(&event), &event, cx).await?;
    }
    let text = format!("their handlers raised {MOST} of them, do they answer each other?");
    Err(RequestError::failed("telling of domain events", text))
}

/// What happened in a request that succeeded belongs to whoever is around it.
pub(crate) fn hand_on<T>(
    outer: Option<Events>,
    collected: Vec<Collected>,
    result: Result<T, RequestError>,
    called: &str,
) -> Result<T, RequestError> {
    let response = result?;
    match outer {
        Some(outer) => {
            outer.take_over(collected).map_err(|late| RequestError::not_published(called, Some(late.into())))?
        }
        None if collected.iter().any(|one| matches!(one, Collected::Integration(_))) => {
            let problem = "led to integration events, and nobody publishes them (see `integration_event_mediator`)";
            return Err(RequestError::not_published(format!("{called} {problem}"), None));
        }
        None if !collected.is_empty() => {
            tracing::debug!(
                within = called,
                events = collected.len(),
                "no publishing around it: nothing is published of its domain events"
            );
        }
        None => {}
    }
    Ok(response)
}

impl fmt::Debug for Mediator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mediator")
            .field("requests", &self.inner.routes.len())
            .field("domain_events", &self.inner.notified.len())
            .finish_non_exhaustive()
    }
}
