//! The quickstart on a real RabbitMQ:
//!
//! ```text
//! scripts/brokers up amqp
//! cargo run --features amqp --example amqp
//! ```
//!
//! Kill it in the middle (`kill -9`) and run it again: what it had not finished is handled too, and marked. A broker elsewhere is
//! named by `AMQP_URL`.

mod tour;

use gulo::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tour::log_to_stderr();
    let url = std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@localhost:5672/%2f".into());
    tour::run(AmqpTransport::new(AmqpConfig::new(&url))).await
}
