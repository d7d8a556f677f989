use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler(ray)]
async fn on_ray(Event(_): Event<UserRegistered>) {}

#[gulo::handler(raw, raw)]
async fn on_raw(_: Payload) {}

fn main() {}
