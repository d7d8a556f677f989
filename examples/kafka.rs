//! The quickstart on a real Kafka:
//!
//! ```text
//! scripts/brokers up kafka
//! cargo run --features kafka --example kafka
//! ```
//!
//! Kill it in the middle (`kill -9`) and run it again: what it had not finished is handled too, and marked. A broker elsewhere is
//! named by `KAFKA_BOOTSTRAP_SERVERS`.

mod tour;

use std::time::Duration;

use gulo::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tour::log_to_stderr();
    // A killed member keeps its partitions until its session ends; 30 s unless said, which is long to look at.
    let config = KafkaConfig::from_env()?.session_timeout(Duration::from_secs(6));
    tour::run(KafkaTransport::new(config)).await
}
