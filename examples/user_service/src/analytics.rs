//! Analytics: counts what happens, whatever it is. It takes messages as they are, so a type that is new tomorrow is
//! counted too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use gulo::prelude::*;

use crate::events::TOPIC;

/// Its consumer group.
pub const GROUP: &str = "analytics";

/// How often each type has come.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Mutex<BTreeMap<String, u64>>>);

/// As the group `group`: all that is in the topic of users.
pub fn subscription(group: &str) -> Subscription {
    crate::subscription(GROUP, group).on_raw([TOPIC], count)
}

async fn count(Meta(meta): Meta, State(figures): State<Figures>) {
    let mut figures = figures.0.lock().unwrap_or_else(PoisonError::into_inner);
    let count = figures.entry(meta.event_type.to_string()).or_default();
    *count += 1;
    println!("analytics: {} {} (conversation {})", count, meta.event_type, meta.conversation());
}
