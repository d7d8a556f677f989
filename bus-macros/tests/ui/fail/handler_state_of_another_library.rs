use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

mod other {
    pub struct State<S>(pub S);
}

#[gulo::handler]
async fn on_user(Event(_): Event<UserRegistered>, other::State(_pool): other::State<u8>) {}

fn main() {}
