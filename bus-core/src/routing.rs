//! Where events go: strategies for the names of topics and for the keys of partitions, and which topics a handler
//! reads. [The guide to events] says more.
//!
//! ```
//! # use gulo_bus_core::bus::{Bus, Subscription};
//! # use gulo_bus_core::handler::Payload;
//! # use gulo_bus_core::routing::{PartitionKey, TopicNaming, TopicSelector};
//! let orders = TopicSelector::pattern(r"staging\.orders\.[a-z]+");
//! let archive = Subscription::group("archive").on_raw(orders, async |Payload(bytes): Payload| println!("{bytes:?}"));
//! let bus = Bus::builder("order-service")
//!     .topic_naming(TopicNaming::new().environment("staging"))    // `users` is `staging.users` on the broker
//!     .partition_key(PartitionKey::aggregate())                   // what is about one thing keeps its order
//!     .subscribe(archive);
//! ```
//!
//! [The guide to events]: https://github.com/gulo-rs/gulo/blob/main/docs/events.md#routing

mod naming;
mod partition_key;
mod selector;

pub(crate) use naming::OF_EVENTS;
pub use naming::TopicNaming;
pub use partition_key::PartitionKey;
pub use selector::TopicSelector;
pub(crate) use selector::{Pattern, Selected, all_of};
