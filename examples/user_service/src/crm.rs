//! The CRM: keeps a card for each user. What comes twice changes nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use gulo::prelude::*;
use uuid::Uuid;

use crate::events::{UserEmailChanged, UserRegistered};

/// Its consumer group.
pub const GROUP: &str = "crm";

/// A database in production: cards and ids in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Cards(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    cards: HashMap<Uuid, (String, String)>,
    /// Events that have had their effect.
    known: HashSet<String>,
}

impl Cards {
    /// `false` where this event has had its effect.
    fn once(&self, event: &EventMeta, change: impl FnOnce(&mut HashMap<Uuid, (String, String)>)) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = inner.known.insert(event.id.clone());
        if is_new {
            change(&mut inner.cards);
        }
        is_new
    }
}

/// As the group `group`. Keeps the order of each user, sixteen users at a time.
pub fn subscription(group: &str) -> Subscription {
    crate::subscription(GROUP, group).concurrency(Concurrency::per_key(16)).on(add).on(change)
}

async fn add(Event(user): Event<UserRegistered>, Meta(meta): Meta, State(cards): State<Cards>) {
    let (name, email) = (user.name.clone(), user.email);
    if cards.once(&meta, |cards| drop(cards.insert(user.user_id, (name, email)))) {
        println!("crm: a card for {} (conversation {})", user.name, meta.conversation());
    }
}

async fn change(Event(user): Event<UserEmailChanged>, Meta(meta): Meta, State(cards): State<Cards>) {
    let change = |cards: &mut HashMap<Uuid, (String, String)>| {
        // The card is there: events of one user come in their order.
        if let Some((name, email)) = cards.get_mut(&user.user_id) {
            println!("crm: {name} is reached at {} (conversation {})", user.email, meta.conversation());
            email.clone_from(&user.email);
        }
    };
    cards.once(&meta, change);
}
