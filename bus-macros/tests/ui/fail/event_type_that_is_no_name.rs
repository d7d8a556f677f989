use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "")]
struct Empty {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user\nregistered")]
struct Broken {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event("user.registered")]
struct Unnamed {
    user_id: u64,
    email: String,
}

fn main() {}
