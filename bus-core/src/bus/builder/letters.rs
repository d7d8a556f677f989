//! Where dead letters go, and that they do not come back from there by themselves.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::config;
use super::groups::Group;
use crate::bus::subscription::Subscription;
use crate::error::{ErrorKind, Result};
use crate::panic::caught;

/// A topic, and where a group's dead letters of it go.
pub(super) struct Letters {
    pub(super) of: Arc<str>,
    pub(super) to: Arc<str>,
}

/// Asked once: a naming of the user's own is called no more often than it must be, and may panic.
pub(super) fn named(subscription: &Subscription, names: &[Arc<str>]) -> Result<Vec<Letters>> {
    let Subscription { group, dead_letter, place, .. } = subscription;
    let letters = |topic: &Arc<str>| {
        let what = format_args!("group {group}, at {place}: naming the topic for dead letters of `{topic}`");
        let named = caught(ErrorKind::Config, what, || dead_letter.topic_for(topic, group)).transpose()?;
        Some(named.map(|to| Letters { of: Arc::clone(topic), to }))
    };
    names.iter().filter_map(letters).collect()
}

/// A group, and where its letters of one topic go.
type Step<'a> = (&'a str, &'a Letters);

/// A letter that comes back to where it began would do so for ever: in one group, or from group to group.
pub(super) fn check(groups: &[Group]) -> Result<()> {
    let steps: Vec<Step<'_>> = groups
        .iter()
        .flat_map(|group| group.letters.iter().map(|letters| (&*group.subscription.group, letters)))
        .collect();
    let Some(circle) = steps.iter().find_map(|first| circle(&steps, *first)) else { return Ok(()) };
    let problem = match &circle[..] {
        [(group, letters)] => {
            let topic = &letters.of;
            format!("group {group} has its dead letters of `{topic}` in a topic that it reads, `{topic}`")
        }
        several => {
            let each = several.iter().map(|(group, letters)| {
                let Letters { of, to } = letters;
                format!("those that group {group} has of `{of}` go to `{to}`")
            });
            format!("dead letters go in a circle: {}", each.collect::<Vec<_>>().join(", "))
        }
    };
    Err(config(format!("{problem}: each would come again")).help("give them another name"))
}

/// The shortest way from `first` on that leads back to where it began.
fn circle<'a>(steps: &[Step<'a>], first: Step<'a>) -> Option<Vec<Step<'a>>> {
    let (mut ways, mut met) = (VecDeque::from([vec![first]]), BTreeSet::new());
    while let Some(way) = ways.pop_front() {
        let (_, last) = way.last()?;
        if last.to == first.1.of {
            return Some(way);
        }
        if met.insert(&last.to) {
            let onward = steps.iter().filter(|(_, step)| step.of == last.to);
            ways.extend(onward.map(|step| [&way[..], &[*step]].concat()));
        }
    }
    None
}
