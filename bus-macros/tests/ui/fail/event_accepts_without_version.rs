use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 3, accepts = 1..=2)]
struct Older {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", accepts = 2..=3)]
struct Newer {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 2, accepts = 3..=1)]
struct Reversed {
    user_id: u64,
    email: String,
}

fn main() {}
