//! What handles a request, and what it may answer.

use std::fmt;
use std::future::Future;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gulo_bus_core::event_publisher::AnyEvent;

use super::error::{BoxError, RequestError, called};
use super::extract::{FromRequest, RequestContext};
use super::request::Request;
use crate::domain::{AnyDomainEvent, Events, NotCollected};

/// What handles a request: an async function or closure that takes it and what it needs besides, or a type of your own.
/// A request has exactly one.
///
/// `Args` is only there so that functions of any arguments fit; a type says `()`.
///
/// ```
/// use futures_util::future::BoxFuture;
/// use gulo_application::mediator::{Request, RequestContext, RequestError, RequestHandler};
///
/// struct CreateUser { email: String }
/// impl Request for CreateUser { type Response = u64; }
///
/// struct CreateUserHandler;
///
/// impl RequestHandler<()> for CreateUserHandler {
///     type Request = CreateUser;
///
///     fn call(&self, _command: CreateUser, _cx: &RequestContext) -> BoxFuture<'static, Result<u64, RequestError>> {
///         Box::pin(async { Ok(7) })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` handles no request",
    label = "not an async function of a `Request` and what it needs besides",
    note = "a handler is `async fn(R, ..)`: first the request, then up to four of `State<S>`, `Events`, `RequestMeta`, `Mediator` and types of your own with `FromRequest`",
    note = "it returns `R::Response`, `Handled<R::Response>`, or a `Result` of either; its error is anything that `?` makes a boxed error of, and its future is `Send`"
)]
pub trait RequestHandler<Args>: Send + Sync + 'static {
    /// The request it handles.
    type Request: Request;

    /// Handles `request`. What it takes from `cx` it has taken before this returns.
    fn call(
        &self,
        request: Self::Request,
        cx: &RequestContext,
    ) -> BoxFuture<'static, Result<<Self::Request as Request>::Response, RequestError>>;

    /// States it needs, so that a missing one is found at `build()`. None unless said.
    fn requirements() -> Vec<(std::any::TypeId, &'static str)> {
        Vec::new()
    }
}

/// What a handler may return: the response `T`, a [`Handled<T>`], or a `Result` of either.
#[diagnostic::on_unimplemented(
    message = "a handler whose request is answered with `{T}` cannot return `{Self}`",
    note = "return `{T}`, `Handled<{T}>`, or a `Result` of either"
)]
pub trait IntoAnswer<T> {
    /// The response; what happened is added to `events`.
    ///
    /// # Errors
    ///
    /// The handler's own, or that an event came too late.
    fn into_answer(self, events: &Events) -> Result<T, BoxError>;
}

impl<T> IntoAnswer<T> for T {
    fn into_answer(self, _: &Events) -> Result<T, BoxError> {
        Ok(self)
    }
}

impl<T, E: Into<BoxError>> IntoAnswer<T> for Result<T, E> {
    fn into_answer(self, _: &Events) -> Result<T, BoxError> {
        self.map_err(Into::into)
    }
}

impl<T> IntoAnswer<T> for Handled<T> {
    fn into_answer(self, events: &Events) -> Result<T, BoxError> {
        self.happened.into_iter().try_for_each(|one| one.add_to(events))?;
        Ok(self.response)
    }
}

impl<T, E: Into<BoxError>> IntoAnswer<T> for Result<Handled<T>, E> {
    fn into_answer(self, events: &Events) -> Result<T, BoxError> {
        self.map_err(Into::into)?.into_answer(events)
    }
}

/// A response, and what happened on the way to it: for handlers that give back their events instead of raising them.
///
/// ```
/// # use gulo_application::domain::DomainEvent;
/// # use gulo_application::mediator::{Handled, Request};
/// struct CreateUser { email: String }
/// impl Request for CreateUser { type Response = u64; }
/// struct UserCreated { user_id: u64 }
/// impl DomainEvent for UserCreated {}
///
/// async fn create_user(_command: CreateUser) -> Handled<u64> {
///     Handled::new(7).raise(UserCreated { user_id: 7 })
/// }
/// ```
pub struct Handled<T> {
    response: T,
    happened: Vec<Happened>,
}

enum Happened {
    Domain(AnyDomainEvent),
    Integration(AnyEvent),
}

impl Happened {
    fn add_to(self, events: &Events) -> Result<(), NotCollected> {
        match self {
            Self::Domain(event) => events.raise(event),
            Self::Integration(event) => events.emit(event),
        }
    }
}

impl<T> Handled<T> {
    /// The response, nothing happened.
    pub fn new(response: T) -> Self {
        Self { response, happened: Vec::new() }
    }

    /// And this domain event happened.
    #[must_use]
    pub fn raise(mut self, event: impl Into<AnyDomainEvent>) -> Self {
        self.happened.push(Happened::Domain(event.into()));
        self
    }

    /// And these did: what an aggregate has collected, say.
    #[must_use]
    pub fn raise_all<D: Into<AnyDomainEvent>>(self, events: impl IntoIterator<Item = D>) -> Self {
        events.into_iter().fold(self, Self::raise)
    }

    /// And this integration event is to be published.
    #[must_use]
    pub fn emit(mut self, event: impl Into<AnyEvent>) -> Self {
        self.happened.push(Happened::Integration(event.into()));
        self
    }
}

impl<T> fmt::Debug for Handled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handled").field("happened", &self.happened.len()).finish_non_exhaustive()
    }
}

macro_rules! functions {
    ($($extractor:ident),*) => {
        #[diagnostic::do_not_recommend]
        impl<F, R, Fut, $($extractor,)*> RequestHandler<(R, $($extractor,)*)> for F
        where
            F: Fn(R, $($extractor,)*) -> Fut + Send + Sync + 'static,
            R: Request,
            Fut: Future<Output: IntoAnswer<R::Response>> + Send + 'static,
            $($extractor: FromRequest,)*
        {
            type Request = R;

            fn call(&self, request: R, cx: &RequestContext) -> BoxFuture<'static, Result<R::Response, RequestError>> {
                $(
                    #[allow(non_snake_case)]
                    let $extractor = match $extractor::from_request(cx) {
                        Ok(taken) => taken,
                        Err(error) => return std::future::ready(Err(RequestError::failed(called::<R>(), error))).boxed(),
                    };
                )*
                let events = cx.events.clone();
                let work = self(request, $($extractor,)*);
                Box::pin(async move {
                    let answer = work.await.into_answer(&events);
                    answer.map_err(|error| RequestError::failed(called::<R>(), error))
                })
            }

            fn requirements() -> Vec<(std::any::TypeId, &'static str)> {
                let all: [Option<(std::any::TypeId, &'static str)>; _] = [$($extractor::requirement(),)*];
                all.into_iter().flatten().collect()
            }
        }
    };
}

functions!();
functions!(A);
functions!(A, B);
functions!(A, B, C);
functions!(A, B, C, D);

/// A handler of `R` whose arguments are forgotten.
pub(super) trait ErasedHandler<R: Request>: Send + Sync {
    fn call(&self, request: R, cx: &RequestContext) -> BoxFuture<'static, Result<R::Response, RequestError>>;
}

pub(super) struct Erased<H, Args>(H, std::marker::PhantomData<fn(Args)>);

impl<H, Args> Erased<H, Args> {
    pub(super) fn new(handler: H) -> Self {
        Self(handler, std::marker::PhantomData)
    }
}

impl<Args, H: RequestHandler<Args>> ErasedHandler<H::Request> for Erased<H, Args> {
    fn call(
        &self,
        request: H::Request,
        cx: &RequestContext,
    ) -> BoxFuture<'static, Result<<H::Request as Request>::Response, RequestError>> {
        self.0.call(request, cx)
    }
}
