//! What can be asked of the user service: commands and queries, each with its handler.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gulo::State;
use gulo::mediator::{Handled, Problems, Request, RequestKind};
use uuid::Uuid;

use crate::domain::User;

/// All users. A service in production has a database.
#[derive(Debug, Clone, Default)]
pub struct Users(Arc<Mutex<HashMap<Uuid, User>>>);

impl Users {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<Uuid, User>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Registers somebody; answers their id.
#[derive(Debug)]
pub struct Register {
    /// What they are called.
    pub name: String,
    /// Where they are reached.
    pub email: String,
}

impl Request for Register {
    type Response = Uuid;

    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.name.trim().is_empty(), "name", "is empty");
        problems.require(is_address(&self.email), "email", "is no address");
    }
}

/// Gives somebody another address.
#[derive(Debug)]
pub struct ChangeEmail {
    /// Whom.
    pub user_id: Uuid,
    /// The new one.
    pub email: String,
}

impl Request for ChangeEmail {
    type Response = ();

    fn validate(&self, problems: &mut Problems) {
        problems.require(is_address(&self.email), "email", "is no address");
    }
}

/// Looks somebody up.
#[derive(Debug)]
pub struct Find {
    /// Whom.
    pub user_id: Uuid,
}

impl Request for Find {
    type Response = Option<User>;
    const KIND: RequestKind = RequestKind::Query;
}

fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

/// Somebody else has this address.
#[derive(Debug)]
pub struct EmailTaken;

impl fmt::Display for EmailTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is taken")
    }
}

impl std::error::Error for EmailTaken {}

/// There is no such user.
#[derive(Debug)]
pub struct NoSuchUser;

impl fmt::Display for NoSuchUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such user")
    }
}

impl std::error::Error for NoSuchUser {}

/// Gives back what happened to the user: it is published when the request has succeeded.
///
/// # Errors
///
/// [`EmailTaken`].
pub async fn register(command: Register, State(users): State<Users>) -> Result<Handled<Uuid>, EmailTaken> {
    users.with(|users| {
        if users.values().any(|user| user.email == command.email) {
            return Err(EmailTaken);
        }
        let mut user = User::create(command.name, command.email);
        let answer = Handled::new(user.id).raise_all(user.take_happened());
        users.insert(user.id, user);
        Ok(answer)
    })
}

/// As [`register`].
///
/// # Errors
///
/// [`NoSuchUser`], [`EmailTaken`].
pub async fn change_email(
    command: ChangeEmail,
    State(users): State<Users>,
) -> Result<Handled<()>, Box<dyn std::error::Error + Send + Sync>> {
    users.with(|users| {
        let taken = users.values().any(|user| user.id != command.user_id && user.email == command.email);
        let user = users.get_mut(&command.user_id).ok_or(NoSuchUser)?;
        if taken {
            return Err(EmailTaken.into());
        }
        user.change_email(command.email);
        Ok(Handled::new(()).raise_all(user.take_happened()))
    })
}

/// Whom it finds.
pub async fn find(query: Find, State(users): State<Users>) -> Option<User> {
    users.with(|users| users.get(&query.user_id).cloned())
}
