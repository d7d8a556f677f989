use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 2, upcast = from_v1)]
struct Equals {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 2, upcast())]
struct Empty {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 2, upcast(from_v1))]
struct Unnumbered {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 2, upcast(1 = |old: u8| old))]
struct Closure {
    user_id: u64,
    email: String,
}

fn main() {}
