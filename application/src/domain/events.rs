//! What happens during a request, collected until it has succeeded.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use gulo_bus_core::event_publisher::{AnyEvent, EventDefaults};
use uuid::Uuid;

use super::AnyDomainEvent;
use crate::mediator::RequestMeta;

tokio::task_local! {
    static CURRENT: Events;
}

/// Raises a domain event in the request under way: where that succeeds its handlers are notified, and what it is
/// [mapped](crate::mapper::EventMapper) to is published.
///
/// ```
/// # use gulo_application::domain::{self, DomainEvent, NotCollected};
/// struct UserCreated { user_id: u64 }
/// impl DomainEvent for UserCreated {}
///
/// /// Anywhere below the handler of a request.
/// fn create(user_id: u64) -> Result<(), NotCollected> {
///     domain::raise(UserCreated { user_id })
/// }
/// assert!(create(7).is_err(), "no request is under way here");
/// ```
///
/// # Errors
///
/// [`NotCollected`] outside of a request's own task: a task that it spawns takes its [`Events`] along.
pub fn raise(event: impl Into<AnyDomainEvent>) -> Result<(), NotCollected> {
    Events::current().ok_or(NotCollected)?.raise(event)
}

/// Has an integration event published where the request under way succeeds. As [`raise`], for who needs no domain event.
///
/// # Errors
///
/// [`NotCollected`] outside of a request's own task.
pub fn emit(event: impl Into<AnyEvent>) -> Result<(), NotCollected> {
    Events::current().ok_or(NotCollected)?.emit(event)
}

/// No request is under way that would collect the event, or it has ended: nobody would ever publish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotCollected;

impl fmt::Display for NotCollected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no request is under way that collects this event (raise it within a request's handler, give its `Events` to \
             tasks that it spawns and await them, or publish it on the bus)",
        )
    }
}

impl std::error::Error for NotCollected {}

/// What happened so far during a request. A handler takes it as an argument; clones are the same list.
///
/// ```
/// # use gulo_application::domain::{DomainEvent, Events, NotCollected};
/// # use gulo_application::mediator::Request;
/// struct CreateUser { user_id: u64 }
/// impl Request for CreateUser { type Response = (); }
/// struct UserCreated { user_id: u64 }
/// impl DomainEvent for UserCreated {}
///
/// async fn create_user(command: CreateUser, events: Events) -> Result<(), NotCollected> {
///     events.raise(UserCreated { user_id: command.user_id })
/// }
/// ```
#[derive(Clone)]
pub struct Events {
    request: Arc<RequestMeta>,
    list: Arc<Mutex<List>>,
}

/// One that happened. In the order in which they did.
pub(crate) enum Collected {
    Domain {
        event: AnyDomainEvent,
        /// Whether its handlers have been told.
        told: bool,
    },
    Integration(AnyEvent),
}

#[derive(Default)]
struct List {
    collected: Vec<Collected>,
    /// All before this one have been told.
    told: usize,
    /// Whoever adds to it now would add to what nobody looks at any more.
    closed: bool,
}

impl Events {
    /// Those of the request under way in this task.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Raises a domain event. What it does not say of its conversation and of what led to it is that of the request.
    ///
    /// # Errors
    ///
    /// [`NotCollected`] where the request has ended.
    pub fn raise(&self, event: impl Into<AnyDomainEvent>) -> Result<(), NotCollected> {
        let mut event = event.into();
        event.led_to_by(&self.request);
        self.add(Collected::Domain { event, told: false })
    }

    /// Has an integration event published where the request succeeds, linked to the request as [`raise`](Self::raise)
    /// does. Its id and time are those of now, however late and often it is published.
    ///
    /// # Errors
    ///
    /// [`NotCollected`] where the request has ended.
    pub fn emit(&self, event: impl Into<AnyEvent>) -> Result<(), NotCollected> {
        let request = &self.request;
        let defaults = EventDefaults {
            id: Some(Uuid::now_v7().to_string()),
            time: Some(Utc::now()),
            aggregate: None,
            correlation_id: Some(request.correlation_id.clone()),
            causation_id: Some(request.id.clone()),
        };
        self.add(Collected::Integration(event.into().or(defaults)))
    }

    /// The request during which they happen.
    pub fn request(&self) -> &RequestMeta {
        &self.request
    }

    pub(crate) fn of(request: Arc<RequestMeta>) -> Self {
        Self { request, list: Arc::default() }
    }

    fn add(&self, one: Collected) -> Result<(), NotCollected> {
        let mut list = self.list();
        if list.closed {
            return Err(NotCollected);
        }
        list.collected.push(one);
        Ok(())
    }

    /// Runs `work` so that what happens in it happens here.
    pub(crate) async fn scope<T>(&self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), work).await
    }

    /// [`scope`](Self::scope) for all of a request: what happened in it. Where it is dropped before its end, or panics,
    /// who adds something later is told so.
    pub(crate) async fn whole<T>(self, work: impl Future<Output = T>) -> (T, Vec<Collected>) {
        let closing = Closing(self);
        let result = closing.0.scope(work).await;
        (result, closing.0.close())
    }

    /// The next domain event whose handlers have not been told. They are from now on.
    pub(crate) fn next_to_tell(&self) -> Option<AnyDomainEvent> {
        let List { collected, told: until, .. } = &mut *self.list();
        collected[*until..].iter_mut().find_map(|one| {
            *until += 1;
            match one {
                Collected::Domain { event, told: told @ false } => {
                    *told = true;
                    Some(event.clone())
                }
                _ => None,
            }
        })
    }

    /// How many happened so far.
    pub(crate) fn len(&self) -> usize {
        self.list().collected.len()
    }

    /// Takes all; who adds one from now on is told that it is too late.
    pub(crate) fn close(&self) -> Vec<Collected> {
        let mut list = self.list();
        list.closed = true;
        list.told = 0;
        std::mem::take(&mut list.collected)
    }

    /// Takes over what happened in a request within this one.
    pub(crate) fn take_over(&self, collected: Vec<Collected>) -> Result<(), NotCollected> {
        collected.into_iter().try_for_each(|one| self.add(one))
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Closing(Events);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.list();
        f.debug_struct("Events")
            .field("request", &self.request)
            .field("collected", &list.collected.len())
            .field("closed", &list.closed)
            .finish()
    }
}
