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
    async fn on_user(&self, Event(user): Event<UserRegistered>) {
        let _ = user;
    }
}

fn main() {}
