use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
async fn on_user(Event(user): Event<UserRegistered>, name: String, meta: &Meta) {
    let _ = (user, name, meta);
}

fn main() {}
