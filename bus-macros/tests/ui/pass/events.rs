#![deny(warnings, missing_docs, unused_qualifications, missing_debug_implementations)]
//! Events that nothing is to be said of.

use gulo::prelude::*;
use serde::{Deserialize, Serialize};

/// In a crate that wants all documented.
#[derive(Debug, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 2, upcast(1 = of_old), key = user_id, aggregate(kind = "user", id = user_id))]
pub(crate) struct UserRegistered {
    /// Whose.
    pub(crate) user_id: u64,
}

fn of_old(user_id: u64) -> UserRegistered {
    UserRegistered { user_id }
}
