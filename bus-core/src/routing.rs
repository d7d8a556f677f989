//! Where events go: strategies for the names of topics and for the keys of partitions, and which topics a handler reads.

mod naming;
mod partition_key;
mod selector;

pub(crate) use naming::OF_EVENTS;
pub use naming::TopicNaming;
pub use partition_key::PartitionKey;
pub use selector::TopicSelector;
pub(crate) use selector::{Pattern, Selected, all_of};
