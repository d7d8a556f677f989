//! The CRM on Kafka.

use gulo::Bus;
use user_service::{Outcome, crm, kafka, log};

#[tokio::main]
async fn main() -> Outcome {
    log();
    kafka::consume(
        Bus::builder("crm").subscribe(crm::subscription(&kafka::group(crm::GROUP))).state(crm::Cards::default()),
    )
    .await
}
