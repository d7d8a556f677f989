//! The quickstart on a real Kafka:
//!
//! ```text
//! scripts/brokers up kafka
//! cargo run --features kafka --example kafka
//! ```
//!
//! Kill it in the middle (`kill -9`) and run it again: what it had not finished is handled first. A broker elsewhere is
//! named by `KAFKA_BOOTSTRAP_SERVERS`.

mod tour;

use gulo::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tour::log_to_stderr();
    tour::run(KafkaTransport::new(KafkaConfig::from_env()?)).await
}
