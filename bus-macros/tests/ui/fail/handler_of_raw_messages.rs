use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler(raw)]
async fn on_user(Event(_): Event<UserRegistered>) {}

#[gulo::handler(raw)]
async fn nothing() {}

#[gulo::handler(raw)]
async fn of_bytes(bytes: Vec<u8>) {
    let _ = bytes;
}

#[gulo::handler(raw)]
async fn too_many(_: Payload, _: Meta, _: Attempt, _: Publish, _: State<u8>, _: State<u16>) {}

fn main() {}
