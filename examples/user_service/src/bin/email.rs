//! The email service on Kafka.

use gulo::Bus;
use user_service::{Outcome, email, kafka, log};

#[tokio::main]
async fn main() -> Outcome {
    log();
    kafka::consume(Bus::builder("email-service").subscribe(email::subscription(&kafka::group(email::GROUP)))).await
}
