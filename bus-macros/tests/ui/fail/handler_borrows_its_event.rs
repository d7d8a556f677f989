use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

struct View<'a>(&'a str);

#[gulo::handler]
async fn on_reference(Event(user): Event<&UserRegistered>) {
    let _ = user;
}

#[gulo::handler]
async fn on_view(Event(view): Event<View<'_>>) {
    let _ = view.0;
}

#[gulo::handler]
async fn on_borrowed(event: &Event<UserRegistered>) {
    let _ = event;
}

fn main() {}
