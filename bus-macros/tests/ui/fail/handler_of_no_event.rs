use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[derive(Serialize, Deserialize)]
struct Plain {
    id: u64,
}

#[gulo::handler]
async fn on_plain(Event(plain): Event<Plain>) {
    let _ = plain.id;
}

#[gulo::handler]
async fn on_text(Event(text): Event<String>) {
    let _ = text;
}

fn main() {}
