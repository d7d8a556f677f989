#![doc = include_str!("../README.md")]

pub use gulo_application::{consumer, domain, factory, mapper, mediator, publisher, publishing};
pub use gulo_bus_core::bus::{self, Bus, Subscription};
pub use gulo_bus_core::event::{self, Aggregate, EventMeta, IntegrationEvent, Outgoing};
pub use gulo_bus_core::event_publisher::{self, AnyEvent, EventPublisher, EventPublisherExt};
pub use gulo_bus_core::handler::{self, Attempt, Event, HandlerError, Meta, Payload, State};
pub use gulo_bus_core::retry::{self, Retry};
pub use gulo_bus_core::{Error, ErrorKind, Result, ServiceConfig};
pub use gulo_bus_core::{
    codec, dead_letter, envelope, headers, layer, message, retry_later, routing, settle, transport,
};
pub use gulo_bus_macros::{IntegrationEvent, handler};
pub use gulo_dead_letters as dead_letters;

#[cfg(feature = "testing")]
pub use gulo_testing as testing;
#[cfg(feature = "amqp")]
pub use gulo_transport_amqp as amqp;
#[cfg(feature = "kafka")]
pub use gulo_transport_kafka as kafka;
#[cfg(feature = "memory")]
pub use gulo_transport_memory as memory;

/// What the macros write into an application's code, and nobody else.
#[doc(hidden)]
pub mod __private {
    pub use serde;
}

/// What a service needs, in one line.
///
/// ```
/// use gulo::prelude::*;
///
/// #[derive(serde::Serialize, serde::Deserialize, IntegrationEvent)]
/// #[event(type = "user.registered", topic = "users", key = user_id)]
/// struct UserRegistered {
///     user_id: u64,
/// }
///
/// async fn greet(Event(user): Event<UserRegistered>) -> Result<(), HandlerError> {
///     println!("welcome, {}", user.user_id);
///     Ok(())
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let greetings = Subscription::group("greetings").concurrency(Concurrency::per_key(64)).on(greet);
/// let bus = Bus::builder("user-service").transport(MemoryTransport::new()).subscribe(greetings).start().await?;
/// bus.publish(UserRegistered { user_id: 7 }).await?; // confirmed by the broker
/// bus.shutdown(std::time::Duration::from_secs(10)).await?;
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(example()).unwrap();
/// ```
pub mod prelude {
    pub use gulo_bus_core::bus::{Bus, BusBuilder, Concurrency, Limits, Publish, Subscription, Unhandled};
    #[cfg(feature = "msgpack")]
    pub use gulo_bus_core::codec::MessagePack;
    pub use gulo_bus_core::codec::{Json, Raw};
    pub use gulo_bus_core::dead_letter::DeadLetter;
    pub use gulo_bus_core::envelope::Envelope;
    pub use gulo_bus_core::event::{Aggregate, EventMeta, IntegrationEvent, Outgoing};
    pub use gulo_bus_core::event_publisher::{EventPublisher, EventPublisherExt as _};
    pub use gulo_bus_core::handler::{Attempt, ClassifyError as _, Event, HandlerError, Meta, Outcome, Payload, State};
    pub use gulo_bus_core::headers::Headers;
    pub use gulo_bus_core::layer::Layer;
    pub use gulo_bus_core::message::{Message, Origin};
    pub use gulo_bus_core::retry::Retry;
    pub use gulo_bus_core::retry_later::RetryLater;
    pub use gulo_bus_core::routing::{PartitionKey, TopicNaming, TopicSelector};
    pub use gulo_bus_core::transport::{CommitPolicy, Position, TopologyMode};
    pub use gulo_bus_macros::IntegrationEvent;

    #[cfg(feature = "amqp")]
    pub use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
    #[cfg(feature = "kafka")]
    pub use gulo_transport_kafka::{KafkaConfig, KafkaTransport};
    #[cfg(feature = "memory")]
    pub use gulo_transport_memory::MemoryTransport;
}

/// Their code is compiled.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../docs/events.md")]
    struct Events;
    #[doc = include_str!("../docs/dead-letters.md")]
    struct DeadLetters;
    #[doc = include_str!("../docs/guide.md")]
    struct Guide;
    #[doc = include_str!("../docs/migration.md")]
    struct Migration;
}
