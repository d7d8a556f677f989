use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
async fn on_user(
    Event(user): Event<UserRegistered>,
    meta: Meta,
    attempt: Attempt,
    publish: Publish,
    payload: Payload,
    State(first): State<u8>,
    State(second): State<u16>,
) {
    let _ = (user, meta, attempt, publish, payload, first, second);
}

fn main() {}
