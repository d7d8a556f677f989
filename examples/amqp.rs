//! The quickstart on a real RabbitMQ:
//!
//! ```text
//! scripts/brokers up amqp
//! cargo run --features amqp --example amqp
//! ```
//!
//! Kill it in the middle (`kill -9`) and run it again: what it had not finished is handled too, and marked. A broker elsewhere is
//! named by `AMQP_URL`.
//!
//! The dead letter that it shows is read by a group of its own, `tour-letters`, which settles nothing, as one who only looks. So each
//! run leaves one in the queue `tour-users.tour-email.dlq.tour-letters`; `rabbitmqctl purge_queue` with that name empties it.

mod tour;

use gulo::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tour::log_to_stderr();
    let url = std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@localhost:5672/%2f".into());
    tour::run(AmqpTransport::new(AmqpConfig::new(&url))).await?;
    println!(
        "the dead letter stays in queue tour-users.tour-email.dlq.tour-letters: it was looked at, and not settled"
    );
    Ok(())
}
