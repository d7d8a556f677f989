//! A bug makes a dead letter; it is found, looked at, and sent back when the bug is fixed. Needs no broker:
//!
//! ```text
//! cargo run --example dead_letters
//! ```
//!
//! `docs/dead-letters.md` walks through it.

use std::error::Error;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use gulo::dead_letters::{DeadLetters, Filter, Letter, Republish};
use gulo::prelude::*;
use gulo::transport::Transport;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// The price as people write it.
#[derive(Debug, Clone, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "order.placed", topic = "orders", key = order)]
struct OrderPlaced {
    order: u32,
    price: String,
}

/// The bug: in half of the world a price has a comma.
async fn charge(Event(order): Event<OrderPlaced>) -> Result<(), HandlerError> {
    let price: f64 = order.price.parse().map_err(|_| {
        println!("billing  order {}  FAILED", order.order);
        HandlerError::new("the price is no number").permanent()
    })?;
    println!("billing  order {}  charged {price:.2}", order.order);
    Ok(())
}

async fn charge_fixed(Event(order): Event<OrderPlaced>) -> Result<(), HandlerError> {
    let price: f64 = order.price.replace(',', ".").parse()?;
    println!("billing  order {}  charged {price:.2}", order.order);
    Ok(())
}

/// Another group, which has no trouble with it.
async fn confirm(Event(order): Event<OrderPlaced>) {
    println!("mail     order {}  confirmed to the customer", order.order);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    log_to_stderr();
    let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new());

    let bus = start(&transport, Subscription::group("billing").on(charge)).await?;
    let orders = [(1, "9.90"), (2, "12,50"), (3, "7.00")];
    bus.publish_all(orders.map(|(order, price)| OrderPlaced { order, price: price.into() })).await?;
    until(&bus, "every order came to its end", |counts| counts.handled + counts.dead_lettered == 6).await?;
    println!("\n{}\n", bus.shutdown(Duration::from_secs(10)).await?);

    let letters = look(&transport).await?;

    // Without a word to `only_to` it would believe each letter where it came from.
    let republish = Republish::new(Arc::clone(&transport)).only_to(["orders"]).per_second(100);
    println!("{}\n", republish.dry_run(&letters).await?);

    println!("the bug is fixed, a new version runs\n");
    let bus = start(&transport, Subscription::group("billing").on(charge_fixed)).await?;
    println!("{}", republish.send(letters).await?);
    until(&bus, "one handled, one passed over", |counts| counts.handled == 1 && counts.skipped == 1).await?;
    println!("mail     had confirmed it, and passes it over\n");
    println!("{}", bus.shutdown(Duration::from_secs(10)).await?);
    Ok(())
}

async fn start(transport: &Arc<dyn Transport>, billing: Subscription) -> gulo::Result<Bus> {
    let bus = Bus::builder("shop").shared_transport(Arc::clone(transport));
    bus.subscribe(billing).subscribe(Subscription::group("mail").on(confirm)).start().await
}

/// Reads the dead-letter topic of the group, to its end.
async fn look(transport: &Arc<dyn Transport>) -> gulo::Result<Vec<Letter>> {
    let mut letters = DeadLetters::new(Arc::clone(transport)).open("orders.billing.dlq").await?;
    letters.filter(Filter::new().error("no number"));
    let chosen = letters.read_all(1000).await?;
    for letter in &chosen {
        let order: OrderPlaced = letter.json()?;
        println!("{letter}\n  order  {}, price {:?}\n", order.order, order.price);
    }
    letters.close().await?;
    Ok(chosen)
}

/// What has become of messages, all groups together.
#[derive(Default)]
struct Counts {
    handled: u64,
    skipped: u64,
    dead_lettered: u64,
}

async fn until(bus: &Bus, what: &str, holds: impl Fn(Counts) -> bool) -> Result<(), String> {
    let sum = || {
        bus.health().subscriptions.iter().fold(Counts::default(), |sum, group| Counts {
            handled: sum.handled + group.counts.handled,
            skipped: sum.skipped + group.counts.skipped,
            dead_lettered: sum.dead_lettered + group.counts.dead_lettered,
        })
    };
    let waiting = async {
        while !holds(sum()) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waiting).await.map_err(|_| format!("not in time: {what}"))
}

/// `RUST_LOG=gulo=debug` shows what the bus does; the default shows errors only.
fn log_to_stderr() {
    let unless_said = tracing_subscriber::filter::LevelFilter::ERROR.into();
    let filter = tracing_subscriber::EnvFilter::builder().with_default_directive(unless_said).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
