use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered")]
struct UserRegistered {
    #[event(key)]
    user_id: u64,
}

fn main() {}
