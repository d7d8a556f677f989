//! An event on its way out.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{Aggregate, EventMeta, IntegrationEvent};
use crate::event_publisher::EventDefaults;
use crate::headers::Headers;
use crate::message::{SendOptions, Wishes};

/// An event with what its publisher wants said about it, and done with it. `bus.publish(event)` is enough mostly, and
/// within a handler its [`Publish`](crate::bus::Publish) says by itself what led to the event.
///
/// ```
/// # use gulo_bus_core::event::{IntegrationEvent, Outgoing};
/// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)] struct UserRegistered;
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// let event = Outgoing::new(UserRegistered)
///     .topic("users.eu")               // not where its type goes
///     .key("tenant-7")                 // not its own key
///     .header("tenant", "7")           // beside those of the envelope
///     .correlation_id("request-42");
/// assert_eq!(event.event(), &UserRegistered);
///
/// // To partition 3, where the transport has partitions, and linked to what led to it outside of a handler's task.
/// # use gulo_bus_core::event::EventMeta;
/// # fn example(meta: &EventMeta) {
/// let linked = Outgoing::new(UserRegistered).caused_by(meta).partition(3);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Outgoing<E> {
    pub(crate) event: E,
    id: Option<String>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    /// What is seldom said.
    more: Option<Box<More>>,
}

#[derive(Debug, Clone, Default)]
struct More {
    time: Option<DateTime<Utc>>,
    source: Option<Arc<str>>,
    aggregate: Option<Aggregate>,
    topic: Option<Arc<str>>,
    key: Option<Option<String>>,
    headers: Headers,
    send: Wishes,
}

static NO_HEADERS: Headers = Headers::new();

impl<E: IntegrationEvent> Outgoing<E> {
    /// The event, nothing else said.
    pub fn new(event: E) -> Self {
        Self { event, id: None, correlation_id: None, causation_id: None, more: None }
    }

    /// The event in it.
    pub fn event(&self) -> &E {
        &self.event
    }

    /// With an id of the publisher's own, for one that must be able to publish the same event again. 1 to 256 bytes,
    /// unless the bus has other [limits](crate::bus::Limits).
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// As part of this conversation.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// As a consequence of the event or command of this id.
    #[must_use]
    pub fn causation_id(mut self, id: impl Into<String>) -> Self {
        self.causation_id = Some(id.into());
        self
    }

    /// As a consequence of the event of `meta`: its id becomes the causation, its conversation goes on; an event
    /// without one begins it by its own id.
    #[must_use]
    pub fn caused_by(self, meta: &EventMeta) -> Self {
        self.causation_id(meta.id.clone()).correlation_id(meta.conversation())
    }

    /// Having happened then; now unless said.
    #[must_use]
    pub fn time(self, time: DateTime<Utc>) -> Self {
        self.with(|more| more.time = Some(time))
    }

    /// From this service, in place of the one that publishes it, and of what its type says. A URI reference.
    #[must_use]
    pub fn source(self, source: impl Into<Arc<str>>) -> Self {
        let source = source.into();
        self.with(|more| more.source = Some(source))
    }

    /// About this, in place of what the event says itself.
    #[must_use]
    pub fn aggregate(self, aggregate: Aggregate) -> Self {
        self.with(|more| more.aggregate = Some(aggregate))
    }

    /// To this topic, by its name in the program: the bus's [`TopicNaming`](crate::routing::TopicNaming) applies.
    /// Topics that only such events go to are named with [`BusBuilder::topic`](crate::bus::BusBuilder::topic).
    #[must_use]
    pub fn topic(self, topic: impl Into<Arc<str>>) -> Self {
        let topic = topic.into();
        self.with(|more| more.topic = Some(topic))
    }

    /// With this key, and so in the order of all that has it.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.with(|more| more.key = Some(Some(key)))
    }

    /// Without a key: in no order.
    #[must_use]
    pub fn no_key(self) -> Self {
        self.with(|more| more.key = Some(None))
    }

    /// With one more header. Those of the envelope cannot be given: the event is refused then.
    #[must_use]
    pub fn header(self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) -> Self {
        self.with(|more| more.headers.append(name, value))
    }

    /// To this partition in place of the one that its key goes to. Needs the capability `partitions`.
    #[must_use]
    pub fn partition(self, partition: u32) -> Self {
        self.with(|more| more.send.partition = Some(partition))
    }

    /// With all wishes of a sender at once: partition, delivery time, expiry, priority. Each needs its capability.
    ///
    /// ```
    /// # use gulo_bus_core::event::{IntegrationEvent, Outgoing};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered;
    /// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
    /// # use std::time::Duration;
    /// # use gulo_bus_core::message::SendOptions;
    /// let options = SendOptions { expires: Some(Duration::from_secs(60)), ..SendOptions::default() };
    /// let event = Outgoing::new(UserRegistered).send_options(options);
    /// ```
    #[must_use]
    pub fn send_options(self, options: SendOptions) -> Self {
        self.with(|more| more.send = options.into())
    }

    fn with(mut self, say: impl FnOnce(&mut More)) -> Self {
        say(self.more.get_or_insert_default());
        self
    }

    /// What is known of it when the service `source` publishes it, `defaults` where nobody says more.
    pub(crate) fn meta_or(&self, source: &Arc<str>, defaults: Option<&EventDefaults>) -> EventMeta {
        let mut meta = EventMeta::of(&self.event, Arc::clone(source));
        if let Some(defaults) = defaults {
            defaults.clone().put_into(&mut meta);
        }
        if let Some(id) = &self.id {
            meta.id.clone_from(id);
        }
        meta.correlation_id = self.correlation_id.clone().or(meta.correlation_id);
        meta.causation_id = self.causation_id.clone().or(meta.causation_id);
        if let Some(more) = &self.more {
            meta.time = more.time.unwrap_or(meta.time);
            meta.aggregate = more.aggregate.clone().or(meta.aggregate);
            meta.source = more.source.clone().unwrap_or(meta.source);
        }
        meta
    }

    pub(crate) fn headers(&self) -> &Headers {
        self.more.as_ref().map_or(&NO_HEADERS, |more| &more.headers)
    }

    pub(crate) fn wishes(&self) -> Wishes {
        self.more.as_ref().map(|more| more.send.clone()).unwrap_or_default()
    }

    pub(crate) fn other_topic(&self) -> Option<&str> {
        self.more.as_ref()?.topic.as_deref()
    }

    pub(crate) fn key_or(&self, usual: impl FnOnce() -> Option<String>) -> Option<String> {
        let said = self.more.as_ref().and_then(|more| more.key.clone());
        said.unwrap_or_else(usual)
    }
}
