use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[gulo::handler]
async fn on_user(Event(user): Event<UserRegistered>) {
    let shared = std::rc::Rc::new(user);
    tokio::task::yield_now().await;
    let _ = shared.user_id;
}

fn main() {}
