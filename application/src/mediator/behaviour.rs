//! What stands around the handler of a request.

mod logging;
mod timing;
mod validation;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::error::{Problem, Problems, RequestError, called};
use super::extract::RequestContext;
use super::handler::ErasedHandler;
use super::request::{Request, RequestKind, RequestMeta};
use super::send;

pub use logging::Logging;
pub use timing::Timing;
pub use validation::Validation;

/// A request being handled: whether it succeeded.
pub type RequestFuture = BoxFuture<'static, Result<(), RequestError>>;

/// What stands around the handlers of all requests, whatever their types: logs, times, transactions, rights.
///
/// Behaviours run in the order in which they were added, the first outermost, those for one type of request
/// ([`BehaviourFor`]) among them.
///
/// ```
/// use gulo_application::mediator::{Behaviour, Call, RequestError, RequestFuture};
///
/// struct Transaction;
///
/// impl Behaviour for Transaction {
///     fn wrap(&self, call: &Call, inner: RequestFuture) -> RequestFuture {
///         println!("begin, for {} `{}`", call.kind, call.name);
///         Box::pin(async {
///             let result = inner.await;
///             println!("{}", if result.is_ok() { "commit" } else { "roll back" });
///             result
///         })
///     }
/// }
/// ```
pub trait Behaviour: Send + Sync + 'static {
    /// Looks at the request before it is handled. Lets it pass unless said.
    ///
    /// # Errors
    ///
    /// Any: the request fails, and nothing further in sees it.
    fn admit(&self, request: &View<'_>) -> Result<(), RequestError> {
        let _ = request;
        Ok(())
    }

    /// Puts itself around `inner`. Nothing unless said.
    fn wrap(&self, call: &Call, inner: RequestFuture) -> RequestFuture {
        let _ = call;
        inner
    }
}

/// What stands around the handler of one type of request, and sees the request and the response. Async closures of
/// `(R, Next<R>)` are such.
///
/// ```
/// # use gulo_application::mediator::{Mediator, Next, Request};
/// # struct CountUsers;
/// # impl Request for CountUsers { type Response = usize; }
/// # async fn count_users(_: CountUsers) -> usize { 0 }
/// let at_least_one = async |request: CountUsers, next: Next<CountUsers>| next.run(request).await.map(|count| count.max(1));
/// let mediator = Mediator::builder().behaviour_for(at_least_one).handle(count_users).build()?;
/// # Ok::<(), gulo_bus_core::Error>(())
/// ```
pub trait BehaviourFor<R: Request>: Send + Sync + 'static {
    /// Handles `request`, by [`next`](Next::run) or without it.
    fn handle(&self, request: R, next: Next<R>) -> BoxFuture<'static, Result<R::Response, RequestError>>;
}

impl<R, F, Fut> BehaviourFor<R> for F
where
    R: Request,
    F: Fn(R, Next<R>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R::Response, RequestError>> + Send + 'static,
{
    fn handle(&self, request: R, next: Next<R>) -> BoxFuture<'static, Result<R::Response, RequestError>> {
        Box::pin(self(request, next))
    }
}

/// What a behaviour is told of a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call {
    /// Whether it changes something.
    pub kind: RequestKind,
    /// What it is called.
    pub name: &'static str,
    /// What is known of it.
    pub meta: RequestMeta,
    /// Whether it was sent while another request was being handled, in the same task.
    pub within_another: bool,
}

/// A request as a behaviour may look at it.
pub struct View<'a> {
    /// Whether it changes something.
    pub kind: RequestKind,
    /// What it is called.
    pub name: &'static str,
    request: &'a dyn Any,
    problems: fn(&dyn Any) -> Vec<Problem>,
}

impl<'a> View<'a> {
    fn of<R: Request>(request: &'a R) -> Self {
        let problems = |request: &dyn Any| {
            let mut problems = Problems::default();
            if let Some(request) = request.downcast_ref::<R>() {
                request.validate(&mut problems);
            }
            problems.into_vec()
        };
        Self { kind: R::KIND, name: R::name(), request, problems }
    }

    /// The request, where it is an `R`.
    pub fn downcast_ref<R: Request>(&self) -> Option<&R> {
        self.request.downcast_ref()
    }

    /// What is wrong with it, by [`Request::validate`].
    pub fn problems(&self) -> Vec<Problem> {
        (self.problems)(self.request)
    }

    /// The error of a request with these problems.
    pub fn invalid(&self, problems: Vec<Problem>) -> RequestError {
        RequestError::invalid((self.kind, self.name), problems)
    }
}

// Not the request itself: it may be a secret.
impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Those around the handlers of `R`, the first outermost.
pub(super) type Behaviours<R> = Arc<[Arc<dyn BehaviourFor<R>>]>;

/// The rest of the way of a request: the behaviours further in, and its handler.
pub struct Next<R: Request> {
    pub(super) behaviours: Behaviours<R>,
    pub(super) at: usize,
    pub(super) handler: Arc<dyn ErasedHandler<R>>,
    pub(super) cx: RequestContext,
}

impl<R: Request> Next<R> {
    /// Handles the request, and tells the handlers of the domain events that this raises.
    ///
    /// # Errors
    ///
    /// Those of the handlers and behaviours further in.
    pub async fn run(self, request: R) -> Result<R::Response, RequestError> {
        let cx = self.cx.clone();
        let rest = async {
            let response = self.further_in(request).await?;
            // A behaviour may raise some too.
            send::tell_of_what_happened(&cx).await?;
            Ok(response)
        };
        // Whoever stands around it may have it done in another task.
        cx.events.scope(rest).await
    }

    async fn further_in(mut self, request: R) -> Result<R::Response, RequestError> {
        let Some(behaviour) = self.behaviours.get(self.at).cloned() else {
            return self.handler.call(request, &self.cx).await;
        };
        self.at += 1;
        behaviour.handle(request, self).await
    }

    /// What is known of the request.
    pub fn meta(&self) -> &RequestMeta {
        self.cx.meta()
    }
}

impl<R: Request> fmt::Debug for Next<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Next of {}", called::<R>())
    }
}

/// A behaviour for all requests, as one for those of a type.
pub(super) struct Open(pub(super) Arc<dyn Behaviour>);

impl<R: Request> BehaviourFor<R> for Open {
    fn handle(&self, request: R, next: Next<R>) -> BoxFuture<'static, Result<R::Response, RequestError>> {
        if let Err(refused) = self.0.admit(&View::of(&request)) {
            return Box::pin(std::future::ready(Err(refused)));
        }
        let call =
            Call { kind: R::KIND, name: R::name(), meta: next.meta().clone(), within_another: next.cx.within_another };
        let answer = Arc::new(Mutex::new(None));
        let answered = Arc::clone(&answer);
        let inner = async move {
            let response = next.run(request).await?;
            *answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
            Ok(())
        };
        let wrapped = self.0.wrap(&call, Box::pin(inner));
        Box::pin(async move {
            wrapped.await?;
            let response = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
            let skipped = "a behaviour said that it succeeded, and did not await what it stands around";
            response.ok_or_else(|| RequestError::failed(called::<R>(), skipped))
        })
    }
}
