use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

trait Mailer: Clone + Send + Sync + 'static {}

#[gulo::handler]
async fn on_user(Event(user): Event<UserRegistered>, State(mailer): State<impl Mailer>) {
    let _ = (user, mailer);
}

fn main() {}
