use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered")]
struct UserRegistered<'a> {
    email: &'a str,
}

fn main() {}
