//! Gulo on Apache Kafka, by librdkafka.
//!
//! ```no_run
//! # use std::time::Duration;
//! use gulo_bus_core::bus::{Bus, Subscription};
//! use gulo_bus_core::handler::Payload;
//! use gulo_bus_core::message::Message;
//! use gulo_transport_kafka::{KafkaConfig, KafkaTransport};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = KafkaTransport::new(KafkaConfig::from_env()?); // connects to nothing yet
//! let keep = async |Payload(bytes): Payload| println!("{bytes:?}");
//! let archive = Subscription::group("archive").on_raw("photos", keep);
//! let bus = Bus::builder("album").transport(transport).subscribe(archive).start().await?; // it does here
//! bus.send(vec![Message::new("photos", "x").key("7")]).await?;
//! bus.shutdown(Duration::from_secs(30)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What it promises, and how it keeps that on Kafka:
//!
//! - A publish is confirmed by all in-sync replicas (`acks=all`) and by an idempotent producer, which neither repeats
//!   nor reorders what it retries. Keys land where the Java clients put them.
//! - A source commits what is finished and nothing else. It never commits by itself (`enable.auto.commit=false`); the
//!   position of a lane is counted from its arrivals, never computed from offsets.
//! - A thread of its own serves each source's group membership, so no handler, however slow, costs the membership.
//! - Lanes that move to another member drain first, are committed, and only then are given up.
//!
//! [The guide to Kafka] has the settings, security, semantics, tuning and troubleshooting.
//!
//! [The guide to Kafka]: https://github.com/gulo-rs/gulo/blob/main/docs/kafka.md

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
