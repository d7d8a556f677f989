use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(topic = "users")]
struct UserRegistered {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event()]
struct UserLeft {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event]
struct UserMoved {
    user_id: u64,
    email: String,
}

fn main() {}
