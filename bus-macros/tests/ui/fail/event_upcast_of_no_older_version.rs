use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 2, upcast(2 = from_v2))]
struct Own {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", upcast(1 = from_v1))]
struct Unsaid {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 3, upcast(1 = from_v1, 1 = from_v2))]
struct Twice {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 3, accepts = 2..=3, upcast(1 = from_v1))]
struct LeftOut {
    user_id: u64,
    email: String,
}

fn main() {}
