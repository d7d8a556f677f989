//! Analytics on a broker.

use gulo::Bus;
use user_service::{Outcome, analytics, broker, log};

#[tokio::main]
async fn main() -> Outcome {
    log();
    let bus = Bus::builder("analytics")
        .subscribe(analytics::subscription(&broker::group(analytics::GROUP)))
        .state(analytics::Figures::default());
    broker::consume(bus).await
}
