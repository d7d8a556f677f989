use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 0)]
struct Zero {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 4294967296)]
struct Large {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = -1)]
struct Negative {
    user_id: u64,
    email: String,
}

fn main() {}
