use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 2, upcast(1 = to_text))]
struct UserRegistered {
    user_id: u64,
    email: String,
}

fn to_text(old: u64) -> String {
    old.to_string()
}

fn main() {}
