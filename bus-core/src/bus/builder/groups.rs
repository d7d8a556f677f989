//! Subscriptions with their topics as the broker has them.

use std::sync::Arc;

use crate::bus::registered::{Registered, Routed};
use crate::bus::subscription::Subscription;
use crate::error::{Error, Result};
use crate::routing::{TopicNaming, all_of};
use crate::transport::{SubscribeSpec, Topics};

/// A subscription, and what it reads.
pub(super) struct Group {
    pub(super) subscription: Subscription,
    pub(super) routed: Vec<Routed>,
    /// Topics that are known by name, each once.
    pub(super) names: Vec<Arc<str>>,
}

impl Group {
    pub(super) fn resolve(subscription: Subscription, naming: &TopicNaming) -> Result<Self> {
        let resolve = |registered: &Registered| {
            let place =
                |error: Error| error.context(format_args!("group {}, at {}", subscription.group, registered.place));
            registered.resolve(naming).map_err(place)
        };
        let routed = subscription.handlers.iter().map(resolve).collect::<Result<Vec<_>>>()?;
        let mut names: Vec<Arc<str>> = routed.iter().flat_map(|routed| routed.topics.names()).cloned().collect();
        names.sort();
        names.dedup();
        Ok(Self { subscription, routed, names })
    }

    pub(super) fn topics(&self) -> Topics {
        all_of(self.names.clone(), &self.patterns())
    }

    pub(super) fn patterns(&self) -> Vec<&str> {
        self.routed.iter().filter_map(|routed| routed.topics.pattern()).collect()
    }

    /// The topics of its dead letters, as far as the topics that it reads are known by name.
    pub(super) fn dead_letter_topics(&self) -> impl Iterator<Item = Arc<str>> {
        let Subscription { group, dead_letter, .. } = &self.subscription;
        self.names.iter().filter_map(|topic| dead_letter.topic_for(topic, group))
    }

    pub(super) fn spec(&self) -> SubscribeSpec {
        let Subscription { group, start, commit, window, .. } = &self.subscription;
        let usual = SubscribeSpec::group(Arc::clone(group), [] as [&str; 0]);
        SubscribeSpec {
            topics: self.topics(),
            start: *start,
            commit: *commit,
            window: window.unwrap_or(usual.window),
            ..usual
        }
    }
}
