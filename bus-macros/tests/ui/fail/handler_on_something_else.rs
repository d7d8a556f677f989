use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
struct Handlers;

trait OnUser {
    #[gulo::handler]
    async fn on_user(Event(_): Event<UserRegistered>);
}

fn main() {}
