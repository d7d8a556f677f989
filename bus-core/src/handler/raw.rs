//! Handlers of messages as they are: bytes, no event.

use std::future::Future;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Context, FromContext, HandlerResult, IntoHandlerResult, Requirement};

/// An async function of one to five extractors: [`Payload`](super::Payload) for the bytes,
/// [`Message`](crate::message::Message) for key and headers too. It gets messages of whatever type as they came,
/// tombstones as well. Given to a subscription with a topic, by
/// [`Subscription::on_raw`](crate::bus::Subscription::on_raw).
///
/// ```
/// # use gulo_bus_core::bus::Subscription;
/// # use gulo_bus_core::handler::Payload;
/// # use gulo_bus_core::message::{Message, Origin};
/// async fn keep(Payload(bytes): Payload, at: Origin) {
///     match bytes {
///         Some(bytes) => println!("{at}: {} bytes", bytes.len()),
///         None => println!("{at}: a tombstone"),
///     }
/// }
///
/// async fn mirror(message: Message) {
///     println!("{} headers on {}", message.headers.len(), message.topic);
/// }
///
/// let archive = Subscription::group("archive").on_raw("photos", keep).on_raw(["users", "orders"], mirror);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of raw messages",
    label = "not an async function of extractors",
    note = "it is `async fn(Payload, ..)` or `async fn(Message, ..)`: up to five of `Payload`, `Message`, `Meta`, `Attempt`, \
            `Publish`, `State<S>`, `Headers` and `Origin`; it returns what any handler returns",
    note = "`#[gulo::handler(raw)]` above the function names what is wrong with it; where it is there, see its own error. A function is \
            given, not called: `h`, not `h()`"
)]
pub trait RawHandler<Args>: Send + Sync + 'static {
    /// Handles the message of `cx`, of which it has taken what it needs before this returns.
    fn call(&self, cx: &Context<'_>) -> BoxFuture<'static, HandlerResult>;

    /// States it needs, so that a missing one is found at `start()`.
    fn requirements() -> Vec<Requirement>;
}

macro_rules! raw_handler_of {
    ($($extractor:ident),*) => {
        impl<F, Fut, $($extractor,)*> RawHandler<($($extractor,)*)> for F
        where
            F: Fn($($extractor),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoHandlerResult> + Send + 'static,
            $($extractor: FromContext,)*
        {
            fn call(&self, cx: &Context<'_>) -> BoxFuture<'static, HandlerResult> {
                $(
                    #[allow(non_snake_case)]
                    let $extractor = match $extractor::from_context(cx) {
                        Ok(value) => value,
                        Err(error) => return Box::pin(std::future::ready(Err(error))),
                    };
                )*
                let future = self($($extractor),*);
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

raw_handler_of!(A);
raw_handler_of!(A, B);
raw_handler_of!(A, B, C);
raw_handler_of!(A, B, C, D);
raw_handler_of!(A, B, C, D, E);
