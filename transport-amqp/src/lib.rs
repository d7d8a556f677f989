//! Gulo on RabbitMQ, by AMQP 0-9-1.
//!
//! ```no_run
//! # use std::time::Duration;
//! use gulo_bus_core::bus::{Bus, Subscription};
//! use gulo_bus_core::handler::Payload;
//! use gulo_bus_core::message::Message;
//! use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = AmqpTransport::new(AmqpConfig::new("amqp://guest:guest@localhost:5672/%2f")); // connects to nothing yet
//! let keep = async |Payload(bytes): Payload| println!("{bytes:?}");
//! let archive = Subscription::group("archive").on_raw("photos", keep);
//! let bus = Bus::builder("album").transport(transport).subscribe(archive).start().await?; // it does here
//! bus.send(vec![Message::new("photos", "x").key("7")]).await?;
//! bus.shutdown(Duration::from_secs(30)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What it promises, and how it keeps that on RabbitMQ:
//!
//! - A publish is confirmed by the broker, always. What no queue takes comes back as refused: exactly those messages,
//!   known by their ids.
//! - Topics are exchanges, groups have queues bound to them. Nothing is acknowledged but what is finished, and nothing is
//!   requeued to be tried again: attempts are counted by the bus.
//! - Publishing and consuming have connections of their own, so that a broker which lets nothing in still gets its
//!   acknowledgements.
//! - A message for later waits in queues, without a plugin, and is as safe there as in any other.
//! - A connection or channel that is lost is replaced under a new epoch: verdicts on what came before reach nothing.
//!
//! What is published to a topic on which no group has ever started is refused: start consumers before publishers, or make
//! their queues by [`ensure`](gulo_bus_core::transport::Transport::ensure).
//!
//! [The guide to RabbitMQ] has the topology, semantics, the wire, settings, security, and what to do when something is wrong.
//!
//! [The guide to RabbitMQ]: https://github.com/gulo-rs/gulo/blob/main/docs/amqp.md

mod config;
mod connection;
mod convert;
mod delay;
mod error;
mod lane;
mod names;
mod publisher;
mod settling;
mod source;
mod topology;
mod transport;

pub use config::{AmqpConfig, ExchangeType, QueueArgument, QueueType};
pub use transport::AmqpTransport;

/// The name of the transport, as OpenTelemetry has it.
pub(crate) const NAME: &str = "rabbitmq";
