//! Gulo's transport inside the process: the embedded default, and the double for tests.
//!
//! [`MemoryTransport::new`] makes a broker of its own; clones of the value share it, which is how two "processes"
//! talk to each other in a test. It comes in two shapes: a partitioned log with consumer groups, as Kafka is, and
//! queues that hand out each message once, as RabbitMQ has them ([`Shape`]). Both keep the whole contract of
//! [`gulo_bus_core::transport`], so a program that holds on one of them holds on the broker it resembles.
//!
//! Nothing runs in the background and nothing reads a wall clock to wait: all time is tokio's, so a test with a
//! paused clock runs a day of back-off in a millisecond. [`MemoryTransport::faults`] makes the broker misbehave.
//!
//! ```
//! use gulo_bus_core::message::Message;
//! use gulo_bus_core::transport::{Inbox, SubscribeSpec, TopicSpec, Topology, TopologyMode, Transport};
//! use gulo_transport_memory::MemoryTransport;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = MemoryTransport::new();
//! let topics = vec![TopicSpec::new("users")];
//! transport.ensure(&Topology { mode: TopologyMode::Create, topics, groups: Vec::new() }).await?;
//! transport.publisher().await?.publish(vec![Message::new("users", "hello").key("u-1")]).await?;
//!
//! let mut source = transport.subscribe(SubscribeSpec::group("email", ["users"])).await?;
//! let mut inbox = Inbox::default();
//! while inbox.deliveries.is_empty() {
//!     source.recv(&mut inbox, 100).await?;
//! }
//! assert_eq!(inbox.deliveries[0].message.payload.as_deref(), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(example()).unwrap();
//! ```

mod broker;
mod config;
mod fault;
mod lane;
mod publisher;
mod source;
#[cfg(test)]
mod tests;
mod topology;
mod transport;

pub use config::{MemoryConfig, Shape};
pub use fault::Faults;
pub use transport::MemoryTransport;
