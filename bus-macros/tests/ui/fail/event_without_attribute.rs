use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
struct UserRegistered {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
struct OrderLineAddedEvent {
    user_id: u64,
    email: String,
}

fn main() {}
