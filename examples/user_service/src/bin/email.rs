//! The email service on a broker.

use gulo::Bus;
use user_service::{Outcome, broker, email, log};

#[tokio::main]
async fn main() -> Outcome {
    log();
    broker::consume(Bus::builder("email-service").subscribe(email::subscription(&broker::group(email::GROUP)))).await
}
