//! Gulo on Apache Kafka, by librdkafka.
//!
//! ```no_run
//! use gulo_transport_kafka::{KafkaConfig, KafkaTransport};
//!
//! # fn main() -> Result<(), gulo_bus_core::Error> {
//! let transport = KafkaTransport::new(KafkaConfig::from_env()?); // connects to nothing yet
//! # Ok(())
//! # }
//! ```
//!
//! What it promises, and how it keeps that on Kafka:
//!
//! - A publish is confirmed by all in-sync replicas (`acks=all`) and by an idempotent producer, which neither repeats nor
//!   reorders what it retries. Keys land where the Java clients put them.
//! - A source commits what is finished and nothing else. It never commits by itself (`enable.auto.commit=false`); the
//!   position of a lane is counted from its arrivals, never computed from offsets.
//! - A thread of its own serves each source's group membership, so no handler, however slow, costs the membership.
//! - Lanes that move to another member drain first, are committed, and only then are given up.

mod background;
mod certificate;
mod config;
mod context;
mod convert;
mod diagnosis;
mod driver;
mod error;
mod lane;
mod listener;
mod names;
mod native;
mod progress;
mod publisher;
mod rebalance;
mod shared;
mod source;
mod token;
mod topology;
mod transaction;
mod transport;

pub use config::{Compression, GroupProtocol, KafkaConfig, SaslMechanism, SecurityProtocol};
pub use token::OauthToken;
pub use transport::KafkaTransport;

/// The name of the transport, as OpenTelemetry has it.
pub(crate) const NAME: &str = "kafka";
