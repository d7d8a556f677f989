//! What can be known to be wrong before anything connects.

use std::collections::HashSet;
use std::sync::Arc;

use super::config;
use crate::bus::subscription::Subscription;
use crate::error::Result;
use crate::handler::StateMap;
use crate::transport::{Capability, Position, Transport};

pub(super) fn transport(transport: Option<&Arc<dyn Transport>>) -> Result<Arc<dyn Transport>> {
    let missing =
        || config("the bus has no transport".into()).help("add `.transport(MemoryTransport::new())` or another");
    transport.cloned().ok_or_else(missing)
}

pub(super) fn subscriptions(subscriptions: &[Subscription], states: &StateMap) -> Result<()> {
    let mut groups = HashSet::new();
    for subscription in subscriptions {
        let group = &subscription.group;
        if group.is_empty() {
            return Err(config("a subscription has an empty group name".into()));
        }
        if !groups.insert(group) {
            return Err(config(format!("group {group} is subscribed twice")).help("put all its handlers into one"));
        }
        handlers(subscription, states)?;
    }
    Ok(())
}

fn handlers(subscription: &Subscription, states: &StateMap) -> Result<()> {
    let group = &subscription.group;
    if subscription.handlers.is_empty() {
        return Err(config(format!("group {group} has no handler")).help("add one with `.on(handler)`"));
    }
    for (index, handler) in subscription.handlers.iter().enumerate() {
        let same = |other: &&Arc<_>| {
            let other: &dyn crate::handler::ErasedHandler = &***other;
            (other.event_type(), other.topic()) == (handler.event_type(), handler.topic())
        };
        if let Some(first) = subscription.handlers[..index].iter().find(same) {
            let (first, second, topic) = (first.name(), handler.name(), handler.topic());
            let what = handler.event_type().map_or_else(|| format!("all of {topic}"), |named| format!("`{named}`"));
            return Err(config(format!("group {group} has two handlers for {what}: {first} and {second}")));
        }
        if let Some(missing) = handler.requirements().into_iter().find(|requirement| !states.has(*requirement)) {
            let (name, state) = (handler.name(), missing.name);
            let problem = format!("{name} in group {group} takes State<{state}>, and there is no such state");
            return Err(config(problem).help("give it to the bus with `.state(..)`"));
        }
    }
    Ok(())
}

pub(super) fn capabilities(
    transport: &dyn Transport,
    required: &[Capability],
    subscriptions: &[Subscription],
) -> Result<()> {
    let (name, capabilities) = (transport.name(), transport.capabilities());
    for capability in required {
        capabilities.require(name, *capability)?;
    }
    for subscription in subscriptions {
        if matches!(subscription.start, Position::At(_) | Position::Offset(_)) {
            let refused = capabilities.require(name, Capability::History);
            refused.map_err(|error| error.context(format_args!("start of group {}", subscription.group)))?;
        }
    }
    Ok(())
}
