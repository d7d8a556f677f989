use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
fn on_user(Event(user): Event<UserRegistered>) -> Result<(), HandlerError> {
    let _ = user;
    Ok(())
}

#[gulo::handler]
async unsafe fn unsafely(Event(_): Event<UserRegistered>) {}

fn main() {}
