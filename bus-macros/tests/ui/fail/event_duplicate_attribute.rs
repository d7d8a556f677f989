use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", topic = "users", topic = "people")]
struct Twice {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
#[event(key = email)]
struct InTwo {
    user_id: u64,
    email: String,
}

fn main() {}
