use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
async fn on_user(meta: Meta, Event(user): Event<UserRegistered>) {
    let _ = (meta, user);
}

#[gulo::handler]
async fn on_both(Event(one): Event<UserRegistered>, Event(other): Event<UserRegistered>) {
    let _ = (one, other);
}

fn main() {}
