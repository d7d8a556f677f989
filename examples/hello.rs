//! The service of `docs/quickstart.md`. Needs no broker; ctrl-c ends it:
//!
//! ```text
//! cargo run --example hello
//! ```

use std::time::Duration;

use gulo::prelude::*;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What happened, as other services hear of it. Events of one user keep their order.
#[derive(Debug, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", topic = "registrations", key = user_id)]
struct UserRegistered {
    user_id: u64,
    email: String,
}

/// A handler. An error is tried again by the policy of the group; a permanent one is a dead letter at once.
async fn send_welcome(Event(user): Event<UserRegistered>, Attempt(attempt): Attempt) -> Result<(), HandlerError> {
    if !user.email.contains('@') {
        return Err(HandlerError::new("that is no address").permanent());
    }
    if attempt == 1 {
        return Err(HandlerError::new("the mail server is busy"));
    }
    println!("welcome, {} (attempt {attempt})", user.email);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Why a handler failed is said here; RUST_LOG=gulo=debug says more.
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let bus = Bus::builder("hello")
        .transport(MemoryTransport::new())
        .subscribe(
            Subscription::group("welcome")
                .concurrency(Concurrency::per_key(64))
                .retry(Retry::fixed(Duration::from_millis(200)).max_attempts(5))
                .on(send_welcome),
        )
        .start()
        .await?;
    let users = [(1, "ann@example.org"), (2, "nowhere"), (3, "bob@example.org")];
    bus.publish_all(users.map(|(user_id, email)| UserRegistered { user_id, email: email.into() })).await?;

    println!("ctrl-c ends it");
    println!("{}", bus.run_until(tokio::signal::ctrl_c, Duration::from_secs(10)).await?);
    Ok(())
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use gulo::testing::TestBus;

    #[tokio::test]
    async fn who_registers_is_welcomed() -> Result<(), Box<dyn std::error::Error>> {
        let app = Bus::builder("hello").subscribe(Subscription::group("welcome").on(send_welcome));
        let bus = TestBus::start(app).await?;
        bus.publish(UserRegistered { user_id: 1, email: "ann@example.org".into() }).await?;
        bus.settle().await?; // until all is handled, retries included, without waiting
        assert_eq!(bus.handled::<UserRegistered>("welcome")[0].attempt, 2);
        bus.shutdown().await?;
        Ok(())
    }
}
