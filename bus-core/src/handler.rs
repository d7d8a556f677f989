//! Handlers are plain async functions: what they take says what they get.
//!
//! ```
//! # use gulo_bus_core::event::IntegrationEvent;
//! # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
//! # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
//! # use std::sync::Arc;
//! # use gulo_bus_core::bus::Subscription;
//! # struct Mailer;
//! # impl Mailer { async fn send(&self, _: &str, _: &str) -> std::io::Result<()> { Ok(()) } }
//! use gulo_bus_core::handler::{Attempt, Event, HandlerError, Meta, State};
//!
//! async fn send_welcome(
//!     Event(user): Event<UserRegistered>,         // the event, decoded: decides topic and type
//!     State(mailer): State<Arc<Mailer>>,          // given to the bus with `.state(..)`
//!     Meta(meta): Meta,                           // its id, time, source, ..
//!     Attempt(attempt): Attempt,                  // 1, then 2, ..
//! ) -> Result<(), HandlerError> {
//!     if !user.email.contains('@') {
//!         return Err(HandlerError::new("no address").permanent()); // a dead letter at once
//!     }
//!     println!("{} of {}, attempt {attempt}", meta.id, meta.source);
//!     mailer.send(&user.email, "welcome").await?;         // any error: tried again by the policy
//!     Ok(())
//! }
//!
//! let email = Subscription::group("email").on(send_welcome);
//! ```
//!
//! The first argument is [`Event<T>`](Event). Any of [`State<S>`](State), [`Meta`], [`Attempt`],
//! [`Publish`](crate::bus::Publish), [`Headers`](crate::headers::Headers), [`Message`](crate::message::Message),
//! [`Payload`], [`Origin`](crate::message::Origin) and what implements [`FromContext`] may follow, up to four. A
//! handler returns `()`, `Result<(), E>` or an [`Outcome`]. One that takes messages as they are, without an event, is a
//! [`RawHandler`].
//!
//! Cancel safety: the future of a handler is dropped at its next await where its deadline has passed, which is a
//! failure like any other; and where its lane is lost or a shutdown has no more time: the message comes again then.

mod error;
mod extract;
mod raw;
mod received;
mod route;

use std::future::Future;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::event::IntegrationEvent;

pub use error::{ClassifyError, HandlerError};
pub(crate) use extract::StateMap;
pub use extract::{Attempt, Context, Event, FromContext, Meta, Payload, Requirement, State};
pub use raw::RawHandler;
pub use received::handled;
pub(crate) use received::{Content, Received, handling};
pub(crate) use route::{ErasedHandler, Taken, Undecodable, decode, erase, erase_raw};

/// What a handler's future comes to.
pub type HandlerResult = Result<(), HandlerError>;

/// What handles an event: an async function or closure of `Event<T>` and extractors, or a type of your own. A group may
/// have several for one type.
///
/// `Args` is only there so that functions of any arguments fit; a type says `()`.
///
/// ```
/// # use gulo_bus_core::event::IntegrationEvent;
/// # use gulo_bus_core::handler::{Context, Handler, HandlerError};
/// # use gulo_bus_core::layer::HandlerFuture;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// # #[derive(Clone)] struct Mailer;
/// # impl Mailer { async fn welcome(&self, _: &str) -> Result<(), HandlerError> { Ok(()) } }
/// impl Handler<()> for Mailer {
///     type Event = UserRegistered;
///
///     fn call(&self, user: UserRegistered, _cx: &Context<'_>) -> HandlerFuture {
///         let mailer = self.clone();
///         Box::pin(async move { mailer.welcome(&user.email).await })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not an async function of `Event<T>` and extractors",
    note = "a handler is `async fn(Event<T>, ..)`: first `Event<T>` of an `IntegrationEvent`, then up to four of `Meta`, \
            `Attempt`, `Publish`, `State<S>`, `Headers`, `Message`, `Payload`, `Origin` and types of your own with `FromContext`",
    note = "it returns `()`, `Outcome` or `Result<(), E>`, `E` any error that is `Send + Sync`, text, or `HandlerError`, and its future is `Send`: nothing \
            like `Rc` or a `std` lock guard may live across an `.await`",
    note = "`#[gulo::handler]` above the function names what is wrong with it; where it is there, see its own error. A function is \
            given, not called: `h`, not `h()`"
)]
pub trait Handler<Args>: Send + Sync + 'static {
    /// The event it handles.
    type Event: IntegrationEvent;

    /// Handles `event`. What it borrows from `cx` it has taken before this returns, so the future is `'static`.
    fn call(&self, event: Self::Event, cx: &Context<'_>) -> BoxFuture<'static, HandlerResult>;

    /// States it needs, so that a missing one is found at `start()`. None unless said.
    fn requirements() -> Vec<Requirement> {
        Vec::new()
    }
}

/// What a handler may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a handler returns",
    note = "return `()`, `Result<(), E>` or `Outcome`; `E` is any `std::error::Error`, or `HandlerError`"
)]
pub trait IntoHandlerResult {
    /// As the bus reads it.
    fn into_handler_result(self) -> HandlerResult;
}

impl IntoHandlerResult for () {
    fn into_handler_result(self) -> HandlerResult {
        Ok(())
    }
}

impl<E: Into<HandlerError>> IntoHandlerResult for Result<(), E> {
    fn into_handler_result(self) -> HandlerResult {
        self.map_err(Into::into)
    }
}

/// What a handler says in so many words, where a `Result` does not fit.
///
/// ```
/// # use gulo_bus_core::event::IntegrationEvent;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// # use gulo_bus_core::handler::{Event, HandlerError, Outcome};
/// async fn on_user(Event(user): Event<UserRegistered>) -> Outcome {
///     match user.email.as_str() {
///         "" => Outcome::DeadLetter(HandlerError::new("no address")),
///         "later@example.org" => Outcome::Retry(HandlerError::new("not yet")),
///         _ => Outcome::Done,
///     }
/// }
/// ```
#[derive(Debug)]
pub enum Outcome {
    /// Handled.
    Done,
    /// Failed; tried again by policy.
    Retry(HandlerError),
    /// Failed for good: a dead letter at once.
    DeadLetter(HandlerError),
}

impl IntoHandlerResult for Outcome {
    fn into_handler_result(self) -> HandlerResult {
        match self {
            Self::Done => Ok(()),
            Self::Retry(error) => Err(error),
            Self::DeadLetter(error) => Err(error.permanent()),
        }
    }
}

macro_rules! handler_of {
    ($($extractor:ident),*) => {
        impl<F, Fut, E, $($extractor,)*> Handler<(E, $($extractor,)*)> for F
        where
            F: Fn(Event<E>, $($extractor),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoHandlerResult> + Send + 'static,
            E: IntegrationEvent,
            $($extractor: FromContext,)*
        {
            type Event = E;

            #[allow(unused_variables)]
            fn call(&self, event: E, cx: &Context<'_>) -> BoxFuture<'static, HandlerResult> {
                $(
                    #[allow(non_snake_case)]
                    let $extractor = match $extractor::from_context(cx) {
                        Ok(value) => value,
                        Err(error) => return Box::pin(std::future::ready(Err(error))),
                    };
                )*
                let future = self(Event(event), $($extractor),*);
                // Not an `async` block: that would hold the future twice.
                Box::pin(future.map(IntoHandlerResult::into_handler_result))
            }

            fn requirements() -> Vec<Requirement> {
                let all: [Option<Requirement>; _] = [$($extractor::requirement(),)*];
                all.into_iter().flatten().collect()
            }
        }
    };
}

handler_of!();
handler_of!(A);
handler_of!(A, B);
handler_of!(A, B, C);
handler_of!(A, B, C, D);
