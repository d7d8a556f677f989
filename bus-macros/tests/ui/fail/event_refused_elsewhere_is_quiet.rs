use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(topic = "users")]
struct UserRegistered {
    user_id: u64,
    email: String,
}

#[gulo::handler]
async fn handled(user: gulo::Event<UserRegistered>) {
    let _ = user;
}

fn subscribed() -> gulo::Subscription {
    gulo::Subscription::group("mail").on(handled)
}

fn main() {}
