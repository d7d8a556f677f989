//! What is told of domain events within the service.

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::error::{BoxError, RequestError};
use super::extract::{FromRequest, RequestContext};
use super::handler::IntoAnswer;
use crate::domain::{AnyDomainEvent, DomainEvent, Raised};

/// What is told of a domain event: an async function or closure of [`Raised<E>`](Raised) and what it needs besides, or a
/// type of your own. An event may have any number.
///
/// `Args` is only there so that functions of any arguments fit; a type says `()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is told of no domain event",
    label = "not an async function of `Raised<E>` and what it needs besides",
    note = "it is `async fn(Raised<E>, ..)` of a `DomainEvent`, then up to four of `State<S>`, `Events`, `RequestMeta`, `Mediator` and types of your own with `FromRequest`",
    note = "it returns `()` or `Result<(), E>`, and its future is `Send`"
)]
pub trait NotificationHandler<Args>: Send + Sync + 'static {
    /// The event it is told of.
    type Event: DomainEvent;

    /// Is told. What it takes from `cx` it has taken before this returns.
    fn call(&self, event: Raised<Self::Event>, cx: &RequestContext) -> BoxFuture<'static, Result<(), BoxError>>;

    /// States it needs, so that a missing one is found at `build()`. None unless said.
    fn requirements() -> Vec<(std::any::TypeId, &'static str)> {
        Vec::new()
    }
}

macro_rules! functions {
    ($($extractor:ident),*) => {
        #[diagnostic::do_not_recommend]
        impl<F, E, Fut, $($extractor,)*> NotificationHandler<(E, $($extractor,)*)> for F
        where
            F: Fn(Raised<E>, $($extractor,)*) -> Fut + Send + Sync + 'static,
            E: DomainEvent,
            Fut: Future<Output: IntoAnswer<()>> + Send + 'static,
            $($extractor: FromRequest,)*
        {
            type Event = E;

            fn call(&self, event: Raised<E>, cx: &RequestContext) -> BoxFuture<'static, Result<(), BoxError>> {
                $(
                    #[allow(non_snake_case)]
                    let $extractor = match $extractor::from_request(cx) {
                        Ok(taken) => taken,
                        Err(error) => return std::future::ready(Err(error)).boxed(),
                    };
                )*
                let events = cx.events.clone();
                let work = self(event, $($extractor,)*);
                Box::pin(async move { work.await.into_answer(&events) })
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

/// A handler whose event and arguments are forgotten.
type Told = Arc<dyn Fn(&AnyDomainEvent, &RequestContext) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

#[derive(Clone)]
pub(super) struct Notified {
    pub(super) handler: &'static str,
    told: Told,
}

impl Notified {
    pub(super) fn new<Args: 'static, H: NotificationHandler<Args>>(handler: H) -> Self {
        let told = move |event: &AnyDomainEvent, cx: &RequestContext| match event.downcast::<H::Event>() {
            Some(event) => handler.call(event, cx),
            None => std::future::ready(Ok(())).boxed(),
        };
        Self { handler: std::any::type_name::<H>(), told: Arc::new(told) }
    }
}

/// Tells all of `handlers`, one after the other, whatever becomes of those before.
pub(super) async fn tell(
    handlers: &[Notified],
    event: &AnyDomainEvent,
    cx: &RequestContext,
) -> Result<(), RequestError> {
    let mut first = None;
    for Notified { handler, told } in handlers {
        if let Err(error) = told(event, cx).await {
            tracing::warn!(
                event = event.name(),
                event_id = %event.meta().id,
                correlation_id = event.meta().conversation(),
                handler,
                "handling a domain event failed: {error}"
            );
            first = first.or(Some((*handler, error)));
        }
    }
    match first {
        None => Ok(()),
        Some((handler, error)) => {
            let what = format!("telling `{handler}` of the domain event `{}`", event.name());
            Err(RequestError::failed(what, error))
        }
    }
}
