//! The CRM on a broker.

use gulo::Bus;
use user_service::{Outcome, broker, crm, log};

#[tokio::main]
async fn main() -> Outcome {
    log();
    broker::consume(
        Bus::builder("crm").subscribe(crm::subscription(&broker::group(crm::GROUP))).state(crm::Cards::default()),
    )
    .await
}
