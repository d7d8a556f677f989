use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[derive(Clone)]
struct Counter(std::cell::Cell<u64>);

#[gulo::handler]
async fn on_user(Event(_): Event<UserRegistered>, State(_counter): State<Counter>) {}

fn main() {}
