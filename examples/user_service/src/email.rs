//! The email service: welcomes whoever registers.

use std::time::Duration;

use gulo::prelude::*;

use crate::events::{UserEmailChanged, UserRegistered};

/// Its consumer group.
pub const GROUP: &str = "email";

/// As the group `group`. Three attempts; what fails then, or for good, stands in `users.email.dlq`.
pub fn subscription(group: &str) -> Subscription {
    let retry = Retry::fixed(Duration::from_millis(300)).max_attempts(3);
    crate::subscription(GROUP, group).concurrency(Concurrency::per_key(16)).retry(retry).on(welcome).on(confirm)
}

/// The mail server is busy at the first attempt for addresses that begin with `busy`, and those at `poison` do not exist.
async fn welcome(
    Event(user): Event<UserRegistered>,
    Attempt(attempt): Attempt,
    Meta(meta): Meta,
) -> Result<(), HandlerError> {
    if user.email.ends_with("@poison") {
        return Err(HandlerError::new("the mail server knows no such host").permanent());
    }
    if user.email.starts_with("busy") && attempt == 1 {
        return Err(HandlerError::new("the mail server is busy"));
    }
    println!("email: welcome, {} (attempt {attempt}, conversation {})", user.name, meta.conversation());
    Ok(())
}

async fn confirm(Event(user): Event<UserEmailChanged>, Meta(meta): Meta) {
    println!("email: {} is confirmed (conversation {})", user.email, meta.conversation());
}
