//! Gulo's transport on Apache Kafka, by librdkafka.
//!
//! [`KafkaConfig`] says where the brokers are; [`KafkaTransport`] is given to the bus. How Kafka is used, and why so, is in
//! `docs/kafka.md`; no type of the client library shows in this crate's API.

mod commit;
mod config;
mod context;
mod convert;
mod driver;
mod error;
mod lane;
mod probe;
mod publisher;
mod shared;
mod source;
mod topology;
mod transport;

pub use config::KafkaConfig;
pub use transport::KafkaTransport;
