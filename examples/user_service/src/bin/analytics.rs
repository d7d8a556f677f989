//! Analytics on Kafka.

use gulo::Bus;
use user_service::{Outcome, analytics, kafka, log};

#[tokio::main]
async fn main() -> Outcome {
    log();
    let bus = Bus::builder("analytics")
        .subscribe(analytics::subscription(&kafka::group(analytics::GROUP)))
        .state(analytics::Figures::default());
    kafka::consume(bus).await
}
