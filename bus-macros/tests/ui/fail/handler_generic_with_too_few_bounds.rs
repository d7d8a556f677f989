use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
async fn on_user<S: Clone + Send>(Event(_): Event<UserRegistered>, State(state): State<S>) {
    let _ = state;
}

fn main() {}
