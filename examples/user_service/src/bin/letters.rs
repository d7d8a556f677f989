//! Shows the dead letters of the email service: what it could not handle, and why.

use gulo::dead_letters::DeadLetters;
use user_service::{Outcome, broker, log};

#[tokio::main]
async fn main() -> Outcome {
    log();
    let topic = format!("{}.email.dlq", broker::naming().name("users"));
    let mut letters = DeadLetters::new(broker::transport()?).open(topic).await?;
    while let Some(letter) = letters.next().await? {
        println!("dead letter: {letter}");
    }
    letters.close().await?;
    Ok(())
}
