//! What a request led to is published when it has succeeded: its domain events as what they are
//! [mapped](crate::mapper) to, and the integration events that it emitted, as one batch, in their order, as part of the
//! request's conversation.
//!
//! [`integration_event_mediator`] adds this to any mediator; [`PublishIntegrationEvents`] is the same as a behaviour of a
//! [`Mediator`](crate::mediator::Mediator), for who wants to say what stands within it and what around it.
//!
//! It happens after the handler's own effect and is not one with it: a process that dies between the two has not
//! published. That is what an outbox is for.

mod kept;
mod wrapper;

use std::fmt;
use std::sync::Arc;

use gulo_bus_core::event_publisher::{AnyEvent, EventPublisher};
use tokio::runtime::Handle;

use crate::domain::{Collected, Events};
use crate::mapper::EventMapper;
use crate::mediator::{Behaviour, Call, RequestError, RequestFuture};

pub use kept::{KeptEvents, NotPublished};
pub use wrapper::{IntegrationEventMediator, integration_event_mediator};

/// What becomes of a request that was handled, and whose events were not published.
#[derive(Clone)]
pub enum OnPublishFailure {
    /// It fails, with an error of kind [`NotPublished`](crate::mediator::RequestErrorKind::NotPublished).
    FailRequest,
    /// It succeeds; the failure is reported, and the events are kept in this process and published again until they are
    /// confirmed, before all that comes after them.
    Keep(Report),
}

impl OnPublishFailure {
    /// [`Keep`](Self::Keep), reporting to `hook`, which is called `name` in logs. It must not block.
    ///
    /// ```
    /// # use gulo_application::publishing::OnPublishFailure;
    /// let policy = OnPublishFailure::keep("page-the-team", |failure| {
    ///     eprintln!("{} events of {} are not published yet", failure.events.len(), failure.request);
    /// });
    /// ```
    pub fn keep(name: impl Into<Arc<str>>, hook: impl Fn(&NotPublished<'_>) + Send + Sync + 'static) -> Self {
        Self::Keep(Report { name: name.into(), hook: Arc::new(hook), most: MOST })
    }

    /// [`Keep`](Self::Keep), of no more than `most` events at a time, 10,000 unless said. Where there is no more room
    /// requests fail as by [`FailRequest`](Self::FailRequest): nothing is thrown away.
    #[must_use]
    pub fn at_most(self, most: usize) -> Self {
        match self {
            Self::FailRequest => self,
            Self::Keep(report) => Self::Keep(Report { most, ..report }),
        }
    }
}

const MOST: usize = 10_000;

/// A hook with a name.
#[derive(Clone)]
pub struct Report {
    name: Arc<str>,
    hook: Arc<dyn Fn(&NotPublished<'_>) + Send + Sync>,
    most: usize,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("name", &self.name).field("most", &self.most).finish_non_exhaustive()
    }
}

impl fmt::Debug for OnPublishFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailRequest => f.write_str("FailRequest"),
            Self::Keep(report) => f.debug_tuple("Keep").field(report).finish(),
        }
    }
}

/// Publishes what a request led to, as a behaviour. A request within a request leaves it to the outer one.
///
/// ```
/// # use std::sync::Arc;
/// # use gulo_application::mapper::EventMapper;
/// # use gulo_application::mediator::{Behaviour, Logging, Mediator};
/// # use gulo_application::publishing::{OnPublishFailure, PublishIntegrationEvents};
/// # use gulo_bus_core::event_publisher::EventPublisher;
/// fn mediator(publisher: Arc<dyn EventPublisher>, transaction: impl Behaviour) -> gulo_bus_core::Result<Mediator> {
///     let publishing = PublishIntegrationEvents::new(publisher, EventMapper::new(), OnPublishFailure::FailRequest)?;
///     // Published after the transaction has been committed.
///     Mediator::builder().behaviour(Logging).behaviour(publishing).behaviour(transaction).build()
/// }
/// ```
#[derive(Clone)]
pub struct PublishIntegrationEvents {
    publisher: Arc<dyn EventPublisher>,
    mapper: Arc<EventMapper>,
    kept: Option<KeptEvents>,
}

impl PublishIntegrationEvents {
    /// By `publisher` (a bus's [`publisher()`](gulo_bus_core::bus::Bus::publisher), say), mapped by `mapper`.
    ///
    /// # Errors
    ///
    /// [`Config`](gulo_bus_core::ErrorKind::Config) where the mapper has two mappings for one domain event.
    pub fn new(
        publisher: Arc<dyn EventPublisher>,
        mapper: EventMapper,
        on_failure: OnPublishFailure,
    ) -> gulo_bus_core::Result<Self> {
        mapper.check()?;
        let kept = match on_failure {
            OnPublishFailure::FailRequest => None,
            OnPublishFailure::Keep(report) => Some(KeptEvents::new(Arc::clone(&publisher), report)),
        };
        Ok(Self { publisher, mapper: Arc::new(mapper), kept })
    }

    /// The events that are kept, where the application chose to keep them.
    pub fn kept(&self) -> Option<&KeptEvents> {
        self.kept.as_ref()
    }

    /// Publishes what happened in a request that was handled, to the end: whoever has sent it may be gone by then (a
    /// server drops what it does for a client that hangs up), and what it led to is no less true.
    async fn publish(&self, request: String, collected: Vec<Collected>) -> Result<(), RequestError> {
        let events = self.map(&request, collected)?;
        if events.is_empty() {
            return Ok(());
        }
        let (this, what) = (self.clone(), request.clone());
        let publishing = async move {
            match &this.kept {
                None => this.publisher.publish_events(events).await,
                Some(kept) => kept.publish(&what, events).await,
            }
        };
        let published = match Handle::try_current() {
            Ok(runtime) => runtime.spawn(publishing).await.map_err(|broken| not_published(&request, broken))?,
            Err(_) => publishing.await,
        };
        published.map_err(|unsent| not_published(&request, unsent))
    }

    fn map(&self, request: &str, collected: Vec<Collected>) -> Result<Vec<AnyEvent>, RequestError> {
        let events = collected.into_iter().map(|one| match one {
            Collected::Integration(event) => Ok(vec![event]),
            Collected::Domain { event, .. } => self.mapper.events_of(&event),
        });
        let events = events.collect::<Result<Vec<_>, _>>();
        let unmapped = |error| RequestError::not_published(not_published_text(request), Some(Box::new(error)));
        Ok(events.map_err(unmapped)?.into_iter().flatten().collect())
    }
}

fn not_published(request: &str, why: impl std::error::Error + Send + Sync + 'static) -> RequestError {
    RequestError::not_published(not_published_text(request), Some(Box::new(why)))
}

fn not_published_text(request: &str) -> String {
    format!("{request} was handled, and what it led to is not published")
}

impl Behaviour for PublishIntegrationEvents {
    fn wrap(&self, call: &Call, inner: RequestFuture) -> RequestFuture {
        if call.within_another {
            return inner;
        }
        let (this, request) = (self.clone(), format!("{} `{}`", call.kind, call.name));
        Box::pin(async move {
            inner.await?;
            // Nobody would publish what is raised after this.
            let collected = Events::current().map(|events| events.close()).unwrap_or_default();
            this.publish(request, collected).await
        })
    }
}

impl fmt::Debug for PublishIntegrationEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishIntegrationEvents")
            .field("mapper", &self.mapper)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}
