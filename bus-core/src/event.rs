//! Typed events and what is known about each of them. Most are derived: `#[derive(IntegrationEvent)]` of the facade
//! writes the `impl`; [the guide to events] says what it can say.
//!
//! ```
//! # use gulo_bus_core::bus::Bus;
//! # use gulo_bus_core::event::{IntegrationEvent, Outgoing};
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct OrderPlaced { order: u64, customer: String }
//!
//! impl IntegrationEvent for OrderPlaced {
//!     const TYPE: &'static str = "order.placed";
//!     fn key(&self) -> Option<String> { Some(self.customer.clone()) }
//! }
//!
//! # async fn example(bus: &Bus) -> Result<(), gulo_bus_core::transport::Unsent> {
//! bus.publish(OrderPlaced { order: 1, customer: "ann".into() }).await?;
//! let second = OrderPlaced { order: 2, customer: "ann".into() };
//! bus.publish(Outgoing::new(second).correlation_id("request-42")).await?; // the same, with more said about it
//! # Ok(()) }
//! ```
//!
//! [the guide to events]: https://github.com/gulo-rs/gulo/blob/main/docs/events.md

mod id;
mod outgoing;

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::Encoded;
use crate::error::{Error, ErrorKind, Result, shown};

pub use outgoing::Outgoing;

/// A fact that one service tells others.
///
/// ```
/// # use gulo_bus_core::event::{Aggregate, IntegrationEvent};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct UserRegistered { user_id: u64, email: String }
///
/// impl IntegrationEvent for UserRegistered {
///     const TYPE: &'static str = "user.registered";
///     const TOPIC: Option<&'static str> = Some("users");
///     fn key(&self) -> Option<String> { Some(self.user_id.to_string()) }
///     fn aggregate(&self) -> Option<Aggregate> { Some(Aggregate::new("user", self.user_id.to_string())) }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an integration event",
    label = "needs `#[derive(IntegrationEvent)]` with `#[event(type = \"..\")]`",
    note = "an event is `Serialize + Deserialize` and names its type: by the derive, or by `impl IntegrationEvent for {Self}` with its `TYPE`"
)]
pub trait IntegrationEvent: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name on the wire, CloudEvents' [`type`]: 1 to 256 bytes without control characters, and never changed once
    /// it is in use.
    ///
    /// [`type`]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type
    const TYPE: &'static str;

    /// The version of its shape, from 1. Adding a field that may be missing needs no new version.
    const VERSION: u32 = 1;

    /// The versions it is read from, [`VERSION`](Self::VERSION) among them: a message of another one becomes a dead
    /// letter that names both. Only its own unless said.
    const ACCEPTS: RangeInclusive<u32> = Self::VERSION..=Self::VERSION;

    /// The topic it goes to. `None` leaves that to the bus: `integration-events.<type in snake case>`, unless its
    /// [`TopicNaming`](crate::routing::TopicNaming) says something else.
    const TOPIC: Option<&'static str> = None;

    /// The service it comes from, where that is not the one that publishes it.
    const SOURCE: Option<&'static str> = None;

    /// Events of one key keep their order. `None` is the id of its [`aggregate`](Self::aggregate), and no order where
    /// it has none either, unless the bus has another [`PartitionKey`](crate::routing::PartitionKey).
    fn key(&self) -> Option<String> {
        None
    }

    /// What it is about, CloudEvents' [`subject`].
    ///
    /// [`subject`]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#subject
    fn aggregate(&self) -> Option<Aggregate> {
        None
    }

    /// The event out of `older`, a payload of an accepted `version` that is not its own. Read as if it were its own
    /// unless said, which is right where fields were only added, or may be missing.
    ///
    /// ```
    /// # use gulo_bus_core::{Result, codec::Encoded, event::IntegrationEvent};
    /// # use std::ops::RangeInclusive;
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize)]
    /// struct Renamed { first_name: String, last_name: String }
    ///
    /// #[derive(Deserialize)]
    /// struct RenamedV1 { name: String }
    ///
    /// impl IntegrationEvent for Renamed {
    ///     const TYPE: &'static str = "user.renamed";
    ///     const VERSION: u32 = 2;
    ///     const ACCEPTS: RangeInclusive<u32> = 1..=2;
    ///
    ///     fn upcast(_version: u32, older: Encoded<'_>) -> Result<Self> {
    ///         let RenamedV1 { name } = older.decode()?;
    ///         let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
    ///         Ok(Self { first_name: first.into(), last_name: last.into() })
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Any: the message becomes a dead letter.
    fn upcast(version: u32, older: Encoded<'_>) -> Result<Self> {
        let _ = version;
        older.decode()
    }

    /// [`TOPIC`](Self::TOPIC), for one that is known only when the program runs. It must not change while it does.
    fn topic() -> Option<Arc<str>> {
        Self::TOPIC.map(Arc::from)
    }
}

/// What a function from an older version of an event gives back: the event, or a `Result` of it. The derive's
/// `upcast(..)` calls it.
///
/// ```
/// # use gulo_bus_core::event::{IntegrationEvent, Upcast};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Renamed { first: String, last: String }
/// # impl IntegrationEvent for Renamed { const TYPE: &'static str = "user.renamed"; }
/// struct RenamedV1 { name: String }
///
/// fn from_v1(old: RenamedV1) -> Result<Renamed, &'static str> {
///     let (first, last) = old.name.split_once(' ').ok_or("a name of one word")?;
///     Ok(Renamed { first: first.into(), last: last.into() })
/// }
///
/// let error = from_v1(RenamedV1 { name: "Ann".into() }).upcast().err().map(|error| error.to_string());
/// assert!(error.unwrap().starts_with("an older `user.renamed` does not become one of today: a name of one word"));
/// ```
#[diagnostic::on_unimplemented(
    message = "a function from an older version of `{E}` cannot give back `{Self}`",
    label = "gives back neither `{E}` nor a `Result` of it",
    note = "it is `fn(OldEvent) -> {E}`, or `fn(OldEvent) -> Result<{E}, P>` where `P` can be displayed"
)]
pub trait Upcast<E> {
    /// As the bus reads it.
    ///
    /// # Errors
    ///
    /// Its own, as [`Decode`](ErrorKind::Decode).
    fn upcast(self) -> Result<E>;
}

impl<E: IntegrationEvent> Upcast<E> for E {
    fn upcast(self) -> Result<E> {
        Ok(self)
    }
}

impl<E: IntegrationEvent, P: fmt::Display> Upcast<E> for std::result::Result<E, P> {
    fn upcast(self) -> Result<E> {
        self.map_err(|problem| {
            let text = format!("an older `{}` does not become one of today: {}", E::TYPE, shown(&problem.to_string()));
            Error::new(ErrorKind::Decode, text).help("let `upcast` take it, or mend what wrote it")
        })
    }
}

/// A type in snake case: `user.registered` and `UserRegistered` both give `user_registered`.
pub(crate) fn snake_case(event_type: &str) -> String {
    let mut topic = String::new();
    let mut boundary = true;
    for c in event_type.chars() {
        if !c.is_ascii_alphanumeric() {
            if !boundary {
                topic.push('_');
            }
            boundary = true;
            continue;
        }
        if c.is_ascii_uppercase() && !boundary {
            topic.push('_');
        }
        topic.push(c.to_ascii_lowercase());
        boundary = c.is_ascii_uppercase();
    }
    topic.trim_end_matches('_').to_owned()
}

/// The thing an event is about. On the wire it is one string, `kind/id`.
///
/// ```
/// # use gulo_bus_core::event::Aggregate;
/// let user = Aggregate::new("user", "7");
/// assert_eq!(user.to_string(), "user/7");
/// assert_eq!(Aggregate::parse("user/7"), Some(user));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// What kind of thing: `user`, without a slash.
    pub kind: String,
    /// Which one.
    pub id: String,
}

impl Aggregate {
    /// The thing of this kind and id.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self { kind: kind.into(), id: id.into() }
    }

    /// Reads `kind/id`; `None` without a slash.
    pub fn parse(subject: &str) -> Option<Self> {
        subject.split_once('/').map(|(kind, id)| Self::new(kind, id))
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// What is known about an event apart from its content.
///
/// ```
/// # use gulo_bus_core::event::IntegrationEvent;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// # use gulo_bus_core::event::EventMeta;
/// let meta = EventMeta::of(&UserRegistered { email: "ann@example.org".into() }, "user-service");
/// assert_eq!((&*meta.event_type, meta.version, &*meta.source), ("user.registered", 1, "user-service"));
/// assert_eq!(meta.conversation(), meta.id); // it begins one
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMeta {
    /// Unique with `source`. A [UUIDv7](https://www.rfc-editor.org/rfc/rfc9562#section-5.7) where Gulo makes it; other
    /// software may send any text. Of a message that says none it is where that stood: `users[3]@42`.
    pub id: String,
    /// When it happened, in UTC; microseconds on the wire. Of a message that does not say, its timestamp.
    pub time: DateTime<Utc>,
    /// [`IntegrationEvent::TYPE`].
    pub event_type: Cow<'static, str>,
    /// [`IntegrationEvent::VERSION`].
    pub version: u32,
    /// The service that published it; a URI reference, as [CloudEvents] asks. Empty where a message does not say.
    ///
    /// [CloudEvents]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#source-1
    pub source: Arc<str>,
    /// What it is about.
    pub aggregate: Option<Aggregate>,
    /// The conversation: the same for all that one request set off.
    pub correlation_id: Option<String>,
    /// The id of the event or command that led to it.
    pub causation_id: Option<String>,
}

impl EventMeta {
    /// What is known of `event`, happening now in the service `source`: a new id, a conversation of its own.
    pub fn of<E: IntegrationEvent>(event: &E, source: impl Into<Arc<str>>) -> Self {
        let (id, time) = id::new();
        Self {
            id,
            time,
            event_type: E::TYPE.into(),
            version: E::VERSION,
            source: E::SOURCE.map_or_else(|| source.into(), Arc::from),
            aggregate: event.aggregate(),
            correlation_id: None,
            causation_id: None,
        }
    }

    /// The id of the conversation: its own id begins one.
    pub fn conversation(&self) -> &str {
        self.correlation_id.as_deref().unwrap_or(&self.id)
    }

    /// Fills in what is not said yet: as a consequence of the event of `cause`.
    pub(crate) fn caused_by(&mut self, cause: &Self) {
        self.causation_id.get_or_insert_with(|| cause.id.clone());
        self.correlation_id.get_or_insert_with(|| cause.conversation().to_owned());
    }
}

/// What can be published: an event, or an [`Outgoing`] around it.
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::event::Publishable;
/// # use gulo_bus_core::transport::Unsent;
/// /// As part of the conversation that a request began.
/// async fn publish(bus: &Bus, request: &str, event: impl Publishable) -> Result<(), Unsent> {
///     bus.publish(event.into_outgoing().correlation_id(request)).await
/// }
/// ```
pub trait Publishable: Send {
    /// The event in it.
    type Event: IntegrationEvent;
    /// The event with what is said about it.
    fn into_outgoing(self) -> Outgoing<Self::Event>;
}

impl<E: IntegrationEvent> Publishable for E {
    type Event = E;
    fn into_outgoing(self) -> Outgoing<E> {
        Outgoing::new(self)
    }
}

impl<E: IntegrationEvent> Publishable for Outgoing<E> {
    type Event = E;
    fn into_outgoing(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_apart_by_words_however_they_are_written() {
        for event_type in ["user.registered", "UserRegistered", "user-registered", "User.Registered"] {
            assert_eq!(snake_case(event_type), "user_registered", "{event_type}");
        }
    }
}
