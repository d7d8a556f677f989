use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
async fn number(Event(user): Event<UserRegistered>) -> u64 {
    user.user_id
}

#[gulo::handler]
async fn result_of_a_number(Event(user): Event<UserRegistered>) -> Result<u64, HandlerError> {
    Ok(user.user_id)
}

struct Refused;

#[gulo::handler]
async fn error_of_its_own(Event(_): Event<UserRegistered>) -> Result<(), Refused> {
    Err(Refused)
}

type Answer = Result<(), Box<dyn std::error::Error>>;

#[gulo::handler]
async fn error_that_is_not_send(Event(_): Event<UserRegistered>) -> Answer {
    Ok(())
}

fn main() {}
