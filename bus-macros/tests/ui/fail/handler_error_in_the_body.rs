use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
async fn on_user(Event(user): Event<UserRegistered>) {
    let name: &str = user.user_id;
    let unused = 1;
}

fn mistyped() -> u8 {
    "told once"
}

fn main() {}
