use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

struct Mailer;

impl Mailer {
    #[gulo::handler]
    async fn on_user(Event(user): Event<UserRegistered>, name: String) -> Self {
        let _ = (user, name);
        Self
    }

    #[gulo::handler]
    async fn on_other(Event(user): Event<UserRegistered>) {
        let shared = std::rc::Rc::new(user);
        tokio::task::yield_now().await;
        let _ = shared.user_id;
    }
}

fn main() {}
