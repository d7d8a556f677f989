//! Subscriptions with their topics as the broker has them.

use std::sync::Arc;

use super::later;
use super::letters::{self, Letters};
use crate::bus::registered::{Registered, Routed};
use crate::bus::subscription::Subscription;
use crate::error::{Error, ErrorKind, Result};
use crate::panic::caught;
use crate::routing::{TopicNaming, all_of};
use crate::transport::{SubscribeSpec, Topics};

/// A subscription, and what it reads.
pub(super) struct Group {
    pub(super) subscription: Subscription,
    pub(super) routed: Vec<Routed>,
    /// Topics that are known by name, each once.
    pub(super) names: Vec<Arc<str>>,
    /// The topic of the dead letters of each of them, where letters go to topics.
    pub(super) letters: Vec<Letters>,
    /// The topic in which messages of each of them wait for a later attempt, where they do.
    pub(super) later: Vec<Letters>,
}

impl Group {
    pub(super) fn resolve(subscription: Subscription, naming: &TopicNaming) -> Result<Self> {
        let resolve = |registered: &Registered| {
            let place =
                |error: Error| error.context(format_args!("group {}, at {}", subscription.group, registered.place));
            let resolved = caught(ErrorKind::Config, "naming its topic", || registered.resolve(naming));
            resolved.flatten().map_err(place)
        };
        let routed = subscription.handlers.iter().map(resolve).collect::<Result<Vec<_>>>()?;
        let mut names: Vec<Arc<str>> = routed.iter().flat_map(|routed| routed.topics.names()).cloned().collect();
        names.sort();
        names.dedup();
        let letters = letters::named(&subscription, &names)?;
        let later = later::named(&subscription, &names)?;
        Ok(Self { subscription, routed, names, letters, later })
    }

    /// All that it reads.
    pub(super) fn topics(&self) -> Topics {
        let mut names = self.names.clone();
        names.extend(self.retry_topics().cloned());
        all_of(names, &self.patterns())
    }

    /// Each once.
    pub(super) fn retry_topics(&self) -> impl Iterator<Item = &Arc<str>> {
        let all = self.later.iter().map(|later| &later.to).enumerate();
        all.filter(|(index, to)| self.later[..*index].iter().all(|earlier| earlier.to != **to)).map(|(_, to)| to)
    }

    pub(super) fn patterns(&self) -> Vec<&str> {
        self.routed.iter().filter_map(|routed| routed.topics.pattern()).collect()
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
