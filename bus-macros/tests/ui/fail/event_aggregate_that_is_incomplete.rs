use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", aggregate(kind = "user"))]
struct WithoutId {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", aggregate = "user")]
struct Equals {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", aggregate(kind = "user/admin", id = user_id))]
struct Slash {
    user_id: u64,
    email: String,
}

fn main() {}
