use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
async fn audit<T, S, X>(Event(event): Event<T>, State(state): State<S>, extracted: X) {
    let _ = (event, state, extracted);
}

fn main() {}
