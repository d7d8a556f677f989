//! What other services hear of users: the contract between them.

use gulo::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The topic of users.
pub const TOPIC: &str = "users";

/// The topic is made where it is not there yet, by whichever service starts first. How is left to the broker: of partitions, say,
/// Kafka makes as many as it does by default, and RabbitMQ has none.
pub fn topics(bus: BusBuilder) -> BusBuilder {
    bus.topic(TOPIC, |topic| topic)
}

/// A user has registered.
#[derive(Debug, Clone, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", topic = "users", key = user_id)]
pub struct UserRegistered {
    /// Which one.
    pub user_id: Uuid,
    /// What they are called.
    pub name: String,
    /// Where they are reached.
    pub email: String,
}

/// A user has another address.
#[derive(Debug, Clone, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.email-changed", topic = "users", key = user_id)]
pub struct UserEmailChanged {
    /// Which one.
    pub user_id: Uuid,
    /// Where they are reached now.
    pub email: String,
}
