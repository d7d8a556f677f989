use gulo::IntegrationEvent;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_idd)]
struct Mistyped {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key(user_id, tenant))]
struct Second {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = 1)]
struct One(u64);

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
struct Unit;

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", aggregate(kind = "user", id = user))]
struct OfAggregate {
    user_id: u64,
    email: String,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", key = user_id)]
enum Either {
    Paid { user_id: u64 },
    Free,
}

fn main() {}
