use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = id, aggregate(kind = "user", id = other))]
struct UserRegistered {
    id: Vec<u8>,
    other: Option<Vec<u8>>,
}

fn main() {}
