use gulo::IntegrationEvent;
use serde::Serialize;

#[derive(Serialize, IntegrationEvent)]
#[event(type = "user.registered")]
struct UserRegistered {
    user_id: u64,
}

async fn handled(user: gulo::Event<UserRegistered>) {
    let _ = user;
}

fn subscribed() -> gulo::Subscription {
    gulo::Subscription::group("mail").on(handled)
}

fn main() {}
