//! Publishes, handles in two groups, retries one, dead-letters one and shows it, shuts down. Needs no broker:
//!
//! ```text
//! cargo run --example quickstart
//! ```

mod tour;

use gulo::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tour::log_to_stderr();
    tour::run(MemoryTransport::new()).await
}
