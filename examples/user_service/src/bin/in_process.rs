//! All of it in one process, over memory: no broker, and the same program otherwise.
//!
//! ```text
//! cargo run -p user-service --bin in_process
//! ```

use std::sync::Arc;
use std::time::Duration;

use gulo::dead_letters::DeadLetters;
use gulo::prelude::*;
use tokio::net::TcpListener;
use user_service::{Outcome, analytics, crm, email, http, log, users};

#[tokio::main]
async fn main() -> Outcome {
    log();
    let broker = MemoryTransport::new();
    let bus = users::bus()
        .transport(broker.clone())
        .subscribe(email::subscription(email::GROUP))
        .subscribe(crm::subscription(crm::GROUP))
        .subscribe(analytics::subscription(analytics::GROUP))
        .state(crm::Cards::default())
        .state(analytics::Figures::default())
        .start()
        .await?;
    let application = Arc::new(users::application(Arc::new(bus.publisher()))?);

    let listener = TcpListener::bind(address()).await?;
    println!("listening on {}", listener.local_addr()?);
    http::serve(listener, http::router(Arc::clone(&application), bus.monitor())).await?;

    println!("{}", bus.shutdown(Duration::from_secs(20)).await?);
    let mut letters = DeadLetters::new(Arc::new(broker)).open("users.email.dlq").await?;
    while let Some(letter) = letters.next().await? {
        println!("dead letter: {letter}");
    }
    letters.close().await?;
    Ok(())
}

fn address() -> String {
    std::env::var("HTTP_ADDRESS").unwrap_or_else(|_| "127.0.0.1:8000".into())
}
