//! Setting a mediator up.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use gulo_bus_core::{Error, ErrorKind, Result};

use super::behaviour::{Behaviour, BehaviourFor, Behaviours, Open};
use super::error::called;
use super::extract::States;
use super::handler::{Erased, ErasedHandler, RequestHandler};
use super::notification::{NotificationHandler, Notified};
use super::request::Request;
use super::send::{Inner, Mediator, Route};

/// What a mediator is made of. What is wrong with it is told at [`build`](Self::build).
#[derive(Default)]
pub struct MediatorBuilder {
    behaviours: Vec<Around>,
    requests: HashMap<TypeId, Handler>,
    notified: HashMap<TypeId, Vec<Notified>>,
    states: States,
    needs: Vec<Need>,
    problems: Vec<String>,
}

/// A behaviour.
enum Around {
    All(Arc<dyn Behaviour>),
    /// An `Arc<dyn BehaviourFor<R>>` of the request of this type.
    One {
        request: TypeId,
        called: String,
        place: &'static Location<'static>,
        behaviour: Box<dyn Any + Send + Sync>,
    },
}

/// Makes the `Route<R>` of a request.
type MakeRoute = Box<dyn FnOnce(&[Around]) -> Box<dyn Any + Send + Sync> + Send + Sync>;

struct Handler {
    handler: &'static str,
    place: &'static Location<'static>,
    /// To be called when all behaviours are known.
    route: MakeRoute,
}

/// A state that a handler takes.
struct Need {
    state: (TypeId, &'static str),
    handler: &'static str,
    place: &'static Location<'static>,
}

impl MediatorBuilder {
    /// Puts `behaviour` around all requests, within those that were added before.
    #[must_use]
    pub fn behaviour(mut self, behaviour: impl Behaviour) -> Self {
        self.behaviours.push(Around::All(Arc::new(behaviour)));
        self
    }

    /// Puts `behaviour` around requests of type `R`, within those that were added before.
    #[must_use]
    #[track_caller]
    pub fn behaviour_for<R: Request>(mut self, behaviour: impl BehaviourFor<R>) -> Self {
        let (behaviour, place): (Arc<dyn BehaviourFor<R>>, _) = (Arc::new(behaviour), Location::caller());
        let (request, called) = (TypeId::of::<R>(), called::<R>());
        self.behaviours.push(Around::One { request, called, place, behaviour: Box::new(behaviour) });
        self
    }

    /// Handles the requests in the signature of `handler`. Each type of request has one handler.
    #[must_use]
    #[track_caller]
    pub fn handle<Args: 'static, H: RequestHandler<Args>>(mut self, handler: H) -> Self {
        let (name, place) = (type_name::<H>(), Location::caller());
        self.needs(H::requirements(), name, place);
        let handler: Arc<dyn ErasedHandler<H::Request>> = Arc::new(Erased::<H, Args>::new(handler));
        let route = move |around: &[Around]| -> Box<dyn Any + Send + Sync> {
            Box::new(Route { behaviours: those_for::<H::Request>(around), handler })
        };
        let new = Handler { handler: name, place, route: Box::new(route) };
        if let Some(first) = self.requests.insert(TypeId::of::<H::Request>(), new) {
            let called = called::<H::Request>();
            let Handler { handler, place: at, .. } = first;
            self.problems.push(format!("{called} has two handlers, `{handler}` at {at} and `{name}` at {place}"));
        }
        self
    }

    /// Tells `handler` of the domain events in its signature. Each type may have any number; they are told in the order
    /// in which they were added.
    #[must_use]
    #[track_caller]
    pub fn on<Args: 'static, H: NotificationHandler<Args>>(mut self, handler: H) -> Self {
        self.needs(H::requirements(), type_name::<H>(), Location::caller());
        let notified = self.notified.entry(TypeId::of::<H::Event>()).or_default();
        notified.push(Notified::new(handler));
        self
    }

    /// A value that handlers take as [`State<S>`](super::State), one for each type, cloned for each call.
    #[must_use]
    #[track_caller]
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        if !self.states.insert(state) {
            let place = Location::caller();
            self.problems.push(format!("there are two states of type {}, the second at {place}", type_name::<S>()));
        }
        self
    }

    /// The mediator.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config), with all that is wrong: a request with two handlers, a behaviour for a request
    /// that nobody handles, a state that a handler takes and nobody gave, or two of one type.
    pub fn build(mut self) -> Result<Mediator> {
        self.check();
        if !self.problems.is_empty() {
            let help = "each request has one handler, and each type of state one value";
            return Err(Error::new(ErrorKind::Config, self.problems.join("; ")).help(help));
        }
        let around = self.behaviours;
        let routes = self.requests.into_iter().map(|(request, handler)| (request, (handler.route)(&around)));
        let inner = Inner { routes: routes.collect(), notified: self.notified, states: self.states };
        Ok(Mediator { inner: Arc::new(inner), within: None })
    }

    fn needs(&mut self, states: Vec<(TypeId, &'static str)>, handler: &'static str, place: &'static Location<'static>) {
        self.needs.extend(states.into_iter().map(|state| Need { state, handler, place }));
    }

    fn check(&mut self) {
        for Need { state: (id, state), handler, place } in &self.needs {
            if !self.states.has(*id) {
                self.problems.push(format!(
                    "`{handler}` at {place} takes a state of type {state}, and there is none: add `.state(..)`"
                ));
            }
        }
        for around in &self.behaviours {
            if let Around::One { request, called, place, .. } = around
                && !self.requests.contains_key(request)
            {
                self.problems.push(format!("the behaviour at {place} is for {called}, which nobody handles"));
            }
        }
    }
}

fn those_for<R: Request>(around: &[Around]) -> Behaviours<R> {
    let of = |around: &Around| -> Option<Arc<dyn BehaviourFor<R>>> {
        match around {
            Around::All(behaviour) => Some(Arc::new(Open(Arc::clone(behaviour)))),
            Around::One { behaviour, .. } => behaviour.downcast_ref().cloned(),
        }
    };
    around.iter().filter_map(of).collect()
}

impl fmt::Debug for MediatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediatorBuilder")
            .field("requests", &self.requests.len())
            .field("domain_events", &self.notified.len())
            .field("behaviours", &self.behaviours.len())
            .finish_non_exhaustive()
    }
}
