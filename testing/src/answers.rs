//! What a test asks a bus afterwards.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use gulo_bus_core::Result;
use gulo_bus_core::bus::Bus;
use gulo_bus_core::dead_letter::Reason;
use gulo_bus_core::event::{EventMeta, IntegrationEvent};
use gulo_bus_core::message::{Message, Origin};

use crate::bus::TestBus;
use crate::record::{Letter, What};

/// An event that was published and confirmed. It is its event, where one reads or compares it.
///
/// ```
/// # use gulo_bus_core::bus::{Bus, Subscription};
/// # use gulo_bus_core::event::IntegrationEvent;
/// # use gulo_bus_core::handler::Event;
/// # use gulo_testing::TestBus;
/// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)] struct Placed { order: u64 }
/// # impl IntegrationEvent for Placed { const TYPE: &'static str = "order.placed"; }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let billing = Subscription::group("billing").on(async |_: Event<Placed>| {});
/// let bus = TestBus::start(Bus::builder("shop").subscribe(billing)).await?;
/// bus.publish(Placed { order: 1 }).await?;
/// let placed = &bus.published::<Placed>()[0];
/// assert_eq!((placed.order, &*placed.meta.source), (1, "shop"));
/// assert_eq!(placed.message.headers.get_str("ce_type"), Some("order.placed"));
/// # bus.settle().await?;
/// # bus.shutdown().await?;
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Published<E> {
    /// The event.
    pub event: E,
    /// What is known of it: id, correlation, causation and the rest.
    pub meta: EventMeta,
    /// As it went over the wire.
    pub message: Message,
}

/// An event that a group handled. It is its event, where one reads or compares it. [`TestBus`] has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Handled<E> {
    /// The event.
    pub event: E,
    /// What is known of it.
    pub meta: Arc<EventMeta>,
    /// Which attempt succeeded, from 1.
    pub attempt: u32,
    /// The handler's name.
    pub handler: &'static str,
}

/// An attempt after the first. [`TestBus`] has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Retried {
    /// The type of its event.
    pub event_type: String,
    /// What is known of the event.
    pub meta: Arc<EventMeta>,
    /// Which attempt it is, from 2.
    pub attempt: u32,
    /// Why the one before it failed.
    pub error: String,
}

/// A message of which the group's dead letter stands confirmed, was taken, or by the group's choice discarded.
/// [`TestBus::dead_lettered`] has an example.
#[non_exhaustive]
pub struct DeadLettered<'a> {
    /// The type it says, or in words that it says none.
    pub event_type: String,
    /// Why it was not handled.
    pub reason: Reason,
    /// What the last failure said.
    pub error: String,
    /// How often it was handled, 0 where it never got to a handler.
    pub attempts: u32,
    /// Where it stood.
    pub origin: Origin,
    /// The message as it came.
    pub message: Message,
    /// The dead letter, its headers included; its topic is empty where it went to none.
    pub letter: Message,
    bus: &'a Bus,
}

/// A message that a group passed over. [`TestBus::skipped`] has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Skipped {
    /// The type it says, or in words that it says none.
    pub event_type: String,
    /// Where it stood.
    pub origin: Origin,
    /// The message as it came.
    pub message: Message,
}

impl TestBus {
    /// The events of type `E` that were published and confirmed, in order; those that handlers published too. Not the
    /// copies of dead letters, nor of what is to come again later. What says that it is an `E` and cannot be read as one is left out: it stands in
    /// [`messages`](Self::messages). What does not say its type is taken for an `E` in the topic of `E`.
    pub fn published<E: IntegrationEvent>(&self) -> Vec<Published<E>> {
        let topic = self.bus().topic_of::<E>().unwrap_or_default();
        let read = |what| match what {
            What::Published { message } if message.topic == topic || self.says_type(&message) => {
                let origin = Origin { topic: Arc::clone(&message.topic), partition: None, offset: None };
                let (event, meta) = self.bus().read::<E>(&message, &origin).ok()?;
                Some(Published { event, meta, message })
            }
            _ => None,
        };
        self.happened().filter_map(read).collect()
    }

    /// The events of type `E` that `group` handled, in order: once for each handler that succeeded, where the group has
    /// several for them; and again where it was handled again, after a crash.
    ///
    /// # Panics
    ///
    /// Where there is no such group.
    #[track_caller]
    pub fn handled<E: IntegrationEvent>(&self, group: &str) -> Vec<Handled<E>> {
        self.check_group(group);
        let read = |what| match what {
            What::Handled { call } if *call.group == *group => {
                let (event, _) = self.bus().read::<E>(&call.message, &call.origin).ok()?;
                Some(Handled { event, meta: call.meta, attempt: call.attempt, handler: call.handler })
            }
            _ => None,
        };
        self.happened().filter_map(read).collect()
    }

    /// The attempts of `group` after the first, of all types, in order. Not those of a handler that is no `async fn`
    /// and panics before it gives back its future: nothing can be put around that.
    ///
    /// # Panics
    ///
    /// Where there is no such group.
    #[track_caller]
    pub fn retried(&self, group: &str) -> Vec<Retried> {
        self.check_group(group);
        let read = |what| match what {
            What::Retried { call, error } if *call.group == *group => {
                let event_type = call.meta.event_type.clone().into_owned();
                Some(Retried { event_type, meta: call.meta, attempt: call.attempt, error })
            }
            _ => None,
        };
        self.happened().filter_map(read).collect()
    }

    /// What `group` could not handle and is done with, of all types, in order.
    ///
    /// ```
    /// # use gulo_bus_core::bus::{Bus, Subscription};
    /// # use gulo_bus_core::event::IntegrationEvent;
    /// # use gulo_bus_core::handler::{Event, HandlerError};
    /// # use gulo_testing::TestBus;
    /// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)] struct Placed { order: u64 }
    /// # impl IntegrationEvent for Placed { const TYPE: &'static str = "order.placed"; }
    /// # use gulo_bus_core::dead_letter::Reason;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let refuse = async |_: Event<Placed>| Err::<(), _>(HandlerError::new("no price").permanent());
    /// let bus = TestBus::start(Bus::builder("shop").subscribe(Subscription::group("billing").on(refuse))).await?;
    /// bus.publish(Placed { order: 1 }).await?;
    /// bus.settle().await?;
    /// let dead = &bus.dead_lettered("billing")[0];
    /// assert_eq!((dead.reason, &*dead.error, dead.attempts), (Reason::Permanent, "no price", 1));
    /// assert_eq!(dead.event::<Placed>()?, Placed { order: 1 });
    /// assert_eq!(&*dead.letter.topic, "integration-events.order_placed.billing.dlq");
    /// # bus.shutdown().await?;
    /// # Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    /// #     .block_on(example()).unwrap();
    /// ```
    ///
    /// # Panics
    ///
    /// Where there is no such group.
    #[track_caller]
    pub fn dead_lettered(&self, group: &str) -> Vec<DeadLettered<'_>> {
        self.check_group(group);
        let read = |what| match what {
            What::DeadLettered { group: of, message, origin, letter } if *of == *group => {
                let Letter { reason, error, attempts, copy } = letter;
                let (event_type, bus) = (self.kind(&message), self.bus());
                Some(DeadLettered { event_type, reason, error, attempts, origin, message, letter: copy, bus })
            }
            _ => None,
        };
        self.happened().filter_map(read).collect()
    }

    /// What `group` passed over, in order: tombstones, types it has no handler for, letters sent back for another
    /// group.
    ///
    /// ```
    /// # use gulo_bus_core::bus::{Bus, Subscription};
    /// # use gulo_bus_core::event::IntegrationEvent;
    /// # use gulo_bus_core::handler::Event;
    /// # use gulo_testing::TestBus;
    /// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)] struct Placed { order: u64 }
    /// # impl IntegrationEvent for Placed { const TYPE: &'static str = "order.placed"; }
    /// # use gulo_bus_core::message::Message;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let billing = Subscription::group("billing").on(async |_: Event<Placed>| {});
    /// let bus = TestBus::start(Bus::builder("shop").subscribe(billing)).await?;
    /// let other = Message::new("integration-events.order_placed", "{}").header("ce_type", "order.seen");
    /// bus.send(vec![other]).await?;
    /// bus.settle().await?;
    /// assert_eq!(bus.skipped("billing")[0].event_type, "order.seen");
    /// bus.shutdown().await?;
    /// # Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    /// #     .block_on(example()).unwrap();
    /// ```
    ///
    /// # Panics
    ///
    /// Where there is no such group.
    #[track_caller]
    pub fn skipped(&self, group: &str) -> Vec<Skipped> {
        self.check_group(group);
        let read = |what| match what {
            What::Skipped { group: of, message, origin } if *of == *group => {
                Some(Skipped { event_type: self.kind(&message), origin, message })
            }
            _ => None,
        };
        self.happened().filter_map(read).collect()
    }

    /// A misspelt name would make every "nothing of it happened" true.
    #[track_caller]
    fn check_group(&self, group: &str) {
        let groups = self.groups();
        let known = groups.iter().any(|known| **known == *group);
        assert!(known, "the bus has no group `{group}`; it has {groups:?}");
    }
}

impl DeadLettered<'_> {
    /// The event.
    ///
    /// # Errors
    ///
    /// [`Decode`](gulo_bus_core::ErrorKind::Decode) where it is no `E`, or cannot be read: perhaps that is why it is
    /// here.
    pub fn event<E: IntegrationEvent>(&self) -> Result<E> {
        self.bus.read(&self.message, &self.origin).map(|(event, _)| event)
    }
}

// The message's payload does not belong in texts.
impl fmt::Debug for DeadLettered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event_type, reason, error, attempts, origin, .. } = self;
        write!(f, "{event_type} {origin}, {}, {attempts} attempts: {error}", reason.name())
    }
}

impl<E> Deref for Published<E> {
    type Target = E;
    fn deref(&self) -> &E {
        &self.event
    }
}

impl<E> Deref for Handled<E> {
    type Target = E;
    fn deref(&self) -> &E {
        &self.event
    }
}

impl<E: PartialEq> PartialEq<E> for Published<E> {
    fn eq(&self, event: &E) -> bool {
        self.event == *event
    }
}

impl<E: PartialEq> PartialEq<E> for Handled<E> {
    fn eq(&self, event: &E) -> bool {
        self.event == *event
    }
}
