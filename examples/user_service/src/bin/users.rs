//! The user service on a broker: commands over HTTP, events to whom they concern.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use user_service::{Outcome, broker, http, log, users};

#[tokio::main]
async fn main() -> Outcome {
    log();
    let bus = users::bus().shared_transport(broker::transport()?).topic_naming(broker::naming()).start().await?;
    let application = Arc::new(users::application(Arc::new(bus.publisher()))?);

    let address = std::env::var("HTTP_ADDRESS").unwrap_or_else(|_| "127.0.0.1:8000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    http::serve(listener, http::router(Arc::clone(&application), bus.monitor())).await?;

    // What could not be published while the broker was away has one more chance.
    let told = match application.kept().filter(|kept| !kept.is_empty()) {
        Some(kept) => kept.retry().await,
        None => Ok(()),
    };
    println!("{}", bus.shutdown(Duration::from_secs(20)).await?);
    // Whoever looks after it should know that not all were told.
    Ok(told?)
}
