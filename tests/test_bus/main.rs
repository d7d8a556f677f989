//! The test bus: it waits for everything and for nothing longer, says truthfully what happened, and what did not.

#![allow(clippy::unwrap_used)]

mod answers;
mod later;
mod lives;
mod routes;
mod settling;
mod setup;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::message::Message;
use gulo::prelude::*;
use gulo::testing::TestBus;
use serde::{Deserialize, Serialize};

const BILLING: &str = "billing";
const DLQ: &str = "orders.billing.dlq";
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Placed {
    order: u32,
}

impl IntegrationEvent for Placed {
    const TYPE: &'static str = "order.placed";
    const TOPIC: Option<&'static str> = Some("orders");

    fn key(&self) -> Option<String> {
        Some(self.order.to_string())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Billed {
    order: u32,
}

impl IntegrationEvent for Billed {
    const TYPE: &'static str = "order.billed";
    const TOPIC: Option<&'static str> = Some("bills");

    fn key(&self) -> Option<String> {
        Some(self.order.to_string())
    }
}

/// What outlives a bus, as a database does: the orders in the order they were billed.
#[derive(Debug, Clone, Default)]
struct Ledger(Arc<Mutex<Vec<u32>>>);

impl Ledger {
    fn write(&self, order: u32) {
        self.0.lock().unwrap().push(order);
    }

    fn orders(&self) -> Vec<u32> {
        self.0.lock().unwrap().clone()
    }
}

/// Order 1 goes well at once, 2 at the third attempt, 3 never, 4 is refused for good.
async fn bill(
    Event(placed): Event<Placed>,
    Attempt(attempt): Attempt,
    State(ledger): State<Ledger>,
    bus: Publish,
) -> Result<(), HandlerError> {
    match placed.order {
        2 if attempt < 3 => return Err(HandlerError::new(format!("the ledger is closed ({attempt})"))),
        3 => return Err(HandlerError::new("the ledger is lost")),
        4 => return Err(HandlerError::new("no such customer").permanent()),
        _ => {}
    }
    ledger.write(placed.order);
    bus.publish(Billed { order: placed.order }).await?;
    Ok(())
}

async fn note_bill(Event(_): Event<Billed>) {}

fn billing() -> Subscription {
    let retry = Retry::fixed(60 * SECOND).max_attempts(4);
    Subscription::group(BILLING).concurrency(Concurrency::per_key(8)).retry(retry).on(bill)
}

/// The application as production has it, but for its transport.
fn app(ledger: &Ledger) -> BusBuilder {
    let archive = Subscription::group("archive").on(note_bill);
    Bus::builder("shop").subscribe(billing()).subscribe(archive).state(ledger.clone())
}

/// One group, and a handler of the test's own.
fn one_group<Args: 'static>(handler: impl gulo::handler::Handler<Args>) -> BusBuilder {
    let group = Subscription::group(BILLING).retry(Retry::fixed(60 * SECOND).max_attempts(3));
    Bus::builder("shop").topic("bills", |t| t).subscribe(group.on(handler))
}

async fn start(app: BusBuilder) -> TestBus {
    TestBus::start(app).await.expect("starts")
}

/// What other software would send as an order.
fn garbage() -> Message {
    Message::new("orders", "{half").header("ce_type", "order.placed").key("9")
}
