//! Shows the dead letters of the email service: what it could not handle, and why.

use std::sync::Arc;

use gulo::dead_letters::DeadLetters;
use user_service::{Outcome, kafka, log};

#[tokio::main]
async fn main() -> Outcome {
    log();
    let topic = format!("{}.email.dlq", kafka::naming().name("users"));
    let mut letters = DeadLetters::new(Arc::new(kafka::transport()?)).open(topic).await?;
    while let Some(letter) = letters.next().await? {
        println!("dead letter: {letter}");
    }
    letters.close().await?;
    Ok(())
}
