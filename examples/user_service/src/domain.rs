//! Users, as this service knows them, and what happens to them.

use std::fmt;

use gulo::Aggregate;
use gulo::domain::{AnyDomainEvent, DomainEvent};
use serde::Serialize;
use uuid::Uuid;

/// A user. What happens to it, it remembers until somebody takes it.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    /// Which one.
    pub id: Uuid,
    /// What they are called.
    pub name: String,
    /// Where they are reached.
    pub email: String,
    #[serde(skip)]
    happened: Vec<AnyDomainEvent>,
}

impl User {
    /// Somebody new.
    pub fn create(name: String, email: String) -> Self {
        let id = Uuid::new_v4();
        let created = UserCreated { user_id: id, name: name.clone(), email: email.clone() };
        Self { id, name, email, happened: vec![created.into()] }
    }

    /// Another address; the same one changes nothing.
    pub fn change_email(&mut self, email: String) {
        if self.email != email {
            self.email.clone_from(&email);
            self.happened.push(EmailChanged { user_id: self.id, email }.into());
        }
    }

    /// What happened since it was asked last.
    pub fn take_happened(&mut self) -> Vec<AnyDomainEvent> {
        std::mem::take(&mut self.happened)
    }
}

/// A user was created.
pub struct UserCreated {
    /// Which one.
    pub user_id: Uuid,
    /// What they are called.
    pub name: String,
    /// Where they are reached.
    pub email: String,
}

impl DomainEvent for UserCreated {
    fn aggregate(&self) -> Option<Aggregate> {
        Some(Aggregate::new("user", self.user_id.to_string()))
    }
}

/// A user has another address.
pub struct EmailChanged {
    /// Which one.
    pub user_id: Uuid,
    /// Where they are reached now.
    pub email: String,
}

impl DomainEvent for EmailChanged {
    fn aggregate(&self) -> Option<Aggregate> {
        Some(Aggregate::new("user", self.user_id.to_string()))
    }
}

// Names and addresses are nothing for logs.
impl fmt::Debug for UserCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCreated").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for EmailChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailChanged").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}
