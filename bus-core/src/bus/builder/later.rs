//! Topics in which messages wait for a later attempt, and that nobody else has to do with them.

use std::sync::Arc;

use super::config;
use super::groups::Group;
use super::letters::Letters;
use crate::bus::subscription::Subscription;
use crate::error::{ErrorKind, Result};
use crate::panic::caught;

/// Of each topic of the group, where its messages wait.
pub(super) fn named(subscription: &Subscription, names: &[Arc<str>]) -> Result<Vec<Letters>> {
    let Subscription { group, later, place, .. } = subscription;
    let Some(policy) = later else { return Ok(Vec::new()) };
    let topic = |of: &Arc<str>| {
        let what = format_args!("group {group}, at {place}: naming the topic in which messages of `{of}` wait");
        let to = caught(ErrorKind::Config, what, || policy.topic_for(of, group))?;
        Ok(Letters { of: Arc::clone(of), to })
    };
    names.iter().map(topic).collect()
}

/// Whoever else reads a retry topic gets a message that was not for him, and whoever writes there has it handled as another one.
pub(super) fn check(groups: &[Group]) -> Result<()> {
    for group in groups.iter().filter(|group| group.subscription.later.is_some()) {
        let name = &group.subscription.group;
        if let Some(pattern) = group.patterns().first() {
            let problem = format!("group {name} retries later and reads topics by the pattern `{pattern}`");
            return Err(
                config(problem).help("name its topics: each has a retry topic, which must be there at the start")
            );
        }
        for Letters { of, to } in &group.later {
            if let Some(other) = groups.iter().find_map(|other| use_of(to, group, other)) {
                let problem = format!("group {name} has messages of `{of}` wait in `{to}`, {other}");
                return Err(config(problem).help("give its retry topics names of their own: `RetryLater::topic_named`"));
            }
        }
    }
    Ok(())
}

/// What `other`, which may be the same, has the topic for besides.
fn use_of(topic: &Arc<str>, group: &Group, other: &Group) -> Option<String> {
    let name = &other.subscription.group;
    if other.names.contains(topic) {
        return Some(format!("which group {name} reads"));
    }
    if other.letters.iter().any(|letters| letters.to == *topic) {
        return Some(format!("where the dead letters of group {name} go"));
    }
    let waits_too = !std::ptr::eq(group, other) && other.retry_topics().any(|to| to == topic);
    waits_too.then(|| format!("as group {name} does"))
}
