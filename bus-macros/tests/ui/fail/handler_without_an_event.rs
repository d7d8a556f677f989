use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
async fn nothing() {}

#[gulo::handler]
async fn on_user(user: UserRegistered) {
    let _ = user;
}

#[gulo::handler]
async fn on_any(Payload(bytes): Payload) {
    let _ = bytes;
}

fn main() {}
