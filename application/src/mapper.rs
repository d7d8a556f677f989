//! From domain events to integration events.
//!
//! ```
//! use gulo_application::domain::{DomainEvent, Raised};
//! use gulo_application::mapper::EventMapper;
//! # use gulo_bus_core::event::IntegrationEvent;
//! # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { user_id: u64 }
//! # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
//! # #[derive(serde::Serialize, serde::Deserialize)] struct AddressChanged { user_id: u64, city: String }
//! # impl IntegrationEvent for AddressChanged { const TYPE: &'static str = "user.address-changed"; }
//! struct UserCreated { user_id: u64 }
//! impl DomainEvent for UserCreated {}
//! struct UserMoved { user_id: u64, cities: Vec<String> }
//! impl DomainEvent for UserMoved {}
//! struct UserLoggedIn;
//! impl DomainEvent for UserLoggedIn {}
//!
//! let mapper = EventMapper::new()
//!     // One to one: the id, too, stays the same.
//!     .map(|user: &UserCreated| UserRegistered { user_id: user.user_id })
//!     // To none or to several.
//!     .map_each(|user: &Raised<UserMoved>, to| {
//!         for city in &user.cities {
//!             to.push(AddressChanged { user_id: user.user_id, city: city.clone() });
//!         }
//!     })
//!     // Nobody else's business.
//!     .ignore::<UserLoggedIn>();
//!
//! let raised = Raised::new(UserCreated { user_id: 7 });
//! let events = mapper.events_of(&raised.clone().into())?;
//! assert_eq!(events[0].event_type(), "user.registered"); // the integration event's own, not the domain event's
//! assert_eq!(events[0].meta("user-service").id, raised.meta().id);
//! # Ok::<(), gulo_bus_core::Error>(())
//! ```

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use gulo_bus_core::event::Publishable;
use gulo_bus_core::event_publisher::{AnyEvent, EventDefaults};
use gulo_bus_core::{Error, ErrorKind, Result};
use uuid::Uuid;

use crate::domain::{AnyDomainEvent, DomainEvent, DomainMeta, Raised};

/// Which integration events are made of which domain events, by their types. [The module](self) has an example.
///
/// What is made keeps the integration event's own type, version, topic and key, and has from the domain event what it
/// does not say itself: the id (where exactly one is made; several have ids of their own), the time, the aggregate, and
/// the correlation. Its causation is what led to the domain event, and where that is not known the domain event.
#[derive(Default)]
pub struct EventMapper {
    mappings: HashMap<TypeId, Mapping>,
    /// What was said twice, to be told at the first use.
    problem: Option<String>,
    required: bool,
}

/// Adds what is made of a domain event.
type Make = Box<dyn Fn(&AnyDomainEvent, &mut IntegrationEvents) + Send + Sync>;

struct Mapping {
    place: &'static Location<'static>,
    make: Make,
}

/// The integration events that are made of a domain event.
#[derive(Debug, Default)]
pub struct IntegrationEvents(Vec<AnyEvent>);

impl IntegrationEvents {
    /// One more: an integration event, or an [`Outgoing`](gulo_bus_core::event::Outgoing) with what is said about it.
    pub fn push(&mut self, event: impl Into<AnyEvent>) {
        self.0.push(event.into());
    }
}

impl EventMapper {
    /// One that maps nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes one integration event of each `D`: the event, or an [`Outgoing`](gulo_bus_core::event::Outgoing).
    #[must_use]
    #[track_caller]
    pub fn map<D: DomainEvent, P: Publishable>(self, make: impl Fn(&D) -> P + Send + Sync + 'static) -> Self {
        self.map_each(move |raised: &Raised<D>, events| events.push(make(raised)))
    }

    /// Makes any number of integration events, of any types, of each `D`, and sees what is known of it.
    #[must_use]
    #[track_caller]
    pub fn map_each<D: DomainEvent>(
        mut self,
        make: impl Fn(&Raised<D>, &mut IntegrationEvents) + Send + Sync + 'static,
    ) -> Self {
        let place = Location::caller();
        let make = move |event: &AnyDomainEvent, events: &mut IntegrationEvents| {
            if let Some(raised) = event.downcast::<D>() {
                make(&raised, events);
            }
        };
        if let Some(first) = self.mappings.insert(TypeId::of::<D>(), Mapping { place, make: Box::new(make) }) {
            let problem = format!("`{}` is mapped at {} and at {place}", D::name(), first.place);
            self.problem.get_or_insert(problem);
        }
        self
    }

    /// Makes nothing of a `D`, on purpose.
    #[must_use]
    #[track_caller]
    pub fn ignore<D: DomainEvent>(self) -> Self {
        self.map_each(|_: &Raised<D>, _| {})
    }

    /// Refuses domain events that nothing is said about. They are passed over otherwise: most are nobody else's
    /// business.
    #[must_use]
    pub fn require_all(mut self) -> Self {
        self.required = true;
        self
    }

    /// Whether something is said about `D`.
    pub fn knows<D: DomainEvent>(&self) -> bool {
        self.mappings.contains_key(&TypeId::of::<D>())
    }

    /// What is made of `event`, linked to it.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) where a type was mapped twice, or nothing is said about this one and
    /// [`require_all`](Self::require_all) was; [`Encode`](ErrorKind::Encode) where the mapping panicked.
    pub fn events_of(&self, event: &AnyDomainEvent) -> Result<Vec<AnyEvent>> {
        self.check()?;
        let Some(mapping) = self.mappings.get(&event.type_id()) else {
            if self.required {
                return Err(unmapped(event));
            }
            tracing::debug!(event = event.name(), "not mapped: nothing is published of this domain event");
            return Ok(Vec::new());
        };
        let mut events = IntegrationEvents::default();
        // The request was handled by now: a panic here must not take along what is known of that.
        let made = catch_unwind(AssertUnwindSafe(|| (mapping.make)(event, &mut events)));
        made.map_err(|_| panicked(event, mapping.place))?;
        let alone = events.0.len() == 1;
        Ok(events.0.into_iter().map(|made| made.or(defaults(event.meta(), alone))).collect())
    }

    pub(crate) fn check(&self) -> Result<()> {
        match &self.problem {
            Some(problem) => Err(Error::new(ErrorKind::Config, problem.clone())
                .help("map it once: `map_each` makes several events of one")),
            None => Ok(()),
        }
    }
}

fn panicked(event: &AnyDomainEvent, place: &Location<'_>) -> Error {
    Error::new(ErrorKind::Encode, format!("mapping the domain event `{}` panicked, at {place}", event.name()))
        .help("what it said is on stderr; a mapping must not panic")
}

fn unmapped(event: &AnyDomainEvent) -> Error {
    Error::new(ErrorKind::Config, format!("nothing is said about what becomes of the domain event `{}`", event.name()))
        .help("say `.map(..)`, or `.ignore::<..>()` where nobody is to be told")
}

fn defaults(domain: &DomainMeta, alone: bool) -> EventDefaults {
    // Two events of one id would look like one that came twice.
    let id = if alone { domain.id.clone() } else { Uuid::now_v7().to_string() };
    let causation = domain.causation_id.as_ref().filter(|_| alone).unwrap_or(&domain.id);
    EventDefaults {
        id: Some(id),
        time: Some(domain.time),
        aggregate: domain.aggregate.clone(),
        correlation_id: Some(domain.conversation().to_owned()),
        causation_id: Some(causation.clone()),
    }
}

impl fmt::Debug for EventMapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventMapper").field("types", &self.mappings.len()).finish_non_exhaustive()
    }
}
