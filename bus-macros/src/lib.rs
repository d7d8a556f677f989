//! The macros of the Gulo event bus. Applications use them through the facade: `#[derive(gulo::IntegrationEvent)]` and
//! `#[gulo::handler]`.
//!
//! ```
//! use gulo::prelude::*;
//!
//! #[derive(serde::Serialize, serde::Deserialize, IntegrationEvent)]
//! #[event(type = "user.registered", key = user_id)]
//! struct UserRegistered {
//!     user_id: u64,
//! }
//!
//! #[gulo::handler]
//! async fn greet(Event(user): Event<UserRegistered>) {
//!     println!("welcome, {}", user.user_id);
//! }
//!
//! let subscription = Subscription::group("greetings").on(greet);
//! ```

mod attribute;
mod event;
mod handler;
mod words;

use proc_macro::TokenStream;

/// Makes a struct or an enum an integration event.
///
/// ```
/// use gulo::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, IntegrationEvent)]
/// #[event(type = "user.registered", topic = "users", key = user_id, aggregate(kind = "user", id = user_id))]
/// struct UserRegistered {
///     user_id: u64,
///     email: String,
/// }
///
/// let event = UserRegistered { user_id: 7, email: "ada@example.com".into() };
/// assert_eq!(UserRegistered::TYPE, "user.registered");
/// assert_eq!(event.key().as_deref(), Some("7"));
/// assert_eq!(event.aggregate(), Some(Aggregate::new("user", "7")));
/// ```
///
/// Only `type` must be said. What is not said is as in the trait.
///
/// | `#[event(..)]` | |
/// |---|---|
/// | `type = "user.registered"` | its name on the wire: 1 to 256 bytes, no control characters, never changed in use |
/// | `version = 3` | the version of its shape, from 1 |
/// | `accepts = 1..=3` | the versions it is read from, its own among them |
/// | `upcast(1 = from_v1, 2 = from_v2)` | functions from older versions |
/// | `topic = "users"` | where it goes |
/// | `source = "billing"` | the service it comes from, where that is not the one that publishes it |
/// | `key = user_id` | the field whose events keep their order |
/// | `aggregate(kind = "user", id = user_id)` | what it is about; a kind has no slash |
/// | `crate = ::platform::gulo` | where the bus is, for a library that has it under another name |
///
/// # Keys
///
/// A key, and so an aggregate's id, is made of anything with `Display`: a field (`user_id`, or `0` of a tuple), a field
/// of a field (`customer.id`), a method of the event without arguments (`partition_key()`), or several of them with a
/// `/` between: `key(tenant, user_id)`. An `Option` that is `None` gives no key at all, one among several included: the
/// id of its aggregate stands in, and where it has none either such an event has no order. The fields of an enum's
/// variants are reached by a method.
///
/// ```
/// # use gulo::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, IntegrationEvent)]
/// #[event(type = "payment.ended", key(tenant(), number()))]
/// enum PaymentEnded {
///     Paid { tenant: u32, number: u64 },
///     Refused { tenant: u32 },
/// }
///
/// impl PaymentEnded {
///     fn tenant(&self) -> u32 {
///         match self {
///             Self::Paid { tenant, .. } | Self::Refused { tenant } => *tenant,
///         }
///     }
///
///     fn number(&self) -> Option<u64> {
///         match self {
///             Self::Paid { number, .. } => Some(*number),
///             Self::Refused { .. } => None,
///         }
///     }
/// }
///
/// assert_eq!(PaymentEnded::Paid { tenant: 3, number: 14 }.key().as_deref(), Some("3/14"));
/// assert_eq!(PaymentEnded::Refused { tenant: 3 }.key(), None);
/// ```
///
/// # Versions
///
/// A function of `upcast` takes the event as it was in that version, which needs `Deserialize` only, and gives back the
/// event or a `Result` of it, whose error may be anything with `Display`. A version that is accepted and has no
/// function is read as if it were today's, which is right where fields were only added. Without `accepts` all versions
/// from the lowest in `upcast` on are accepted.
///
/// ```
/// # use gulo::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, IntegrationEvent)]
/// #[event(type = "user.renamed", version = 3, upcast(1 = from_v1))]
/// struct UserRenamed {
///     first: String,
///     last: String,
///     /// Since version 3.
///     #[serde(default)]
///     by_admin: bool,
/// }
///
/// #[derive(Deserialize)]
/// struct UserRenamedV1 {
///     name: String,
/// }
///
/// fn from_v1(old: UserRenamedV1) -> Result<UserRenamed, &'static str> {
///     let (first, last) = old.name.split_once(' ').ok_or("a name of one part")?;
///     Ok(UserRenamed { first: first.into(), last: last.into(), by_admin: false })
/// }
///
/// assert_eq!(UserRenamed::ACCEPTS, 1..=3);
/// ```
///
/// # Generic events
///
/// An event with type parameters is one wherever the whole of it is
/// `Serialize + DeserializeOwned + Send + Sync + 'static`. All of them have the same type on the wire.
#[proc_macro_derive(IntegrationEvent, attributes(event))]
pub fn integration_event(input: TokenStream) -> TokenStream {
    event::expand(&syn::parse_macro_input!(input)).into()
}

/// Says what keeps an `async fn` from being a handler, at the place that is wrong. Where nothing is, it does nothing:
/// any handler works without it.
///
/// Without it, all that the compiler can say is that the function given to `Subscription::on` is not a handler.
///
/// ```
/// # use gulo::prelude::*;
/// # #[derive(serde::Serialize, serde::Deserialize, IntegrationEvent)]
/// # #[event(type = "user.registered")]
/// # struct UserRegistered { email: String }
/// # #[derive(Clone)] struct Mailer;
/// # impl Mailer { async fn welcome(&self, _: &str) -> std::io::Result<()> { Ok(()) } }
/// #[gulo::handler]
/// async fn send_welcome_mail(
///     Event(user): Event<UserRegistered>,
///     State(mailer): State<Mailer>,
/// ) -> Result<(), HandlerError> {
///     mailer.welcome(&user.email).await?;
///     Ok(())
/// }
///
/// let subscription = Subscription::group("mail").on(send_welcome_mail);
/// ```
///
/// This one takes a `Mailer` where it means `State<Mailer>`, and is told so:
///
/// ```compile_fail
/// # use gulo::prelude::*;
/// # #[derive(serde::Serialize, serde::Deserialize, IntegrationEvent)]
/// # #[event(type = "user.registered")]
/// # struct UserRegistered { email: String }
/// # #[derive(Clone)] struct Mailer;
/// #[gulo::handler]
/// async fn send_welcome_mail(Event(user): Event<UserRegistered>, mailer: Mailer) {}
/// ```
///
/// ```text
/// error[E0277]: a handler cannot take `Mailer`
///   |
///   | async fn send_welcome_mail(Event(user): Event<UserRegistered>, mailer: Mailer) {}
///   |                                                                        ^^^^^^ not what a handler takes
///   |
///   = note: beside its event a handler takes up to four of `Meta`, `Attempt`, `Publish`, `State<T>`, `Headers`, ..
///   = note: a value of your own is given to the bus by `.state(..)` and taken as `State<Mailer>`
/// ```
///
/// It looks at the first argument, `Event<T>` of an integration event; at the further ones, at most four; at what is
/// returned; and at whether the future is `Send`. Its arguments:
///
/// - `#[gulo::handler(raw)]` is for a handler of raw messages, given to `Subscription::on_raw`. It has no event, and
///   takes up to five arguments.
/// - `#[gulo::handler(crate = ::platform::gulo)]` says where the bus is, for a library that has it under another name.
///
/// ```
/// # use gulo::prelude::*;
/// #[gulo::handler(raw)]
/// async fn archive(Payload(bytes): Payload, Meta(meta): Meta) {
///     println!("{}: {} bytes", meta.event_type, bytes.map_or(0, |bytes| bytes.len()));
/// }
///
/// let subscription = Subscription::group("archive").on_raw("users", archive);
/// ```
///
/// In an `impl` it takes functions without `self`. One that uses a type parameter of the `impl` must say `Self`
/// somewhere.
///
/// The compiler reads the function's body twice for it, which costs time; nothing of that is in the program.
#[proc_macro_attribute]
pub fn handler(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand(args.into(), item.into()).into()
}
