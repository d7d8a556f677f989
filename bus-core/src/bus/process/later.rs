//! What has failed as often as it may for now: a copy of it waits on the broker, in a topic of the group's own, and comes back from
//! there as if from its own topic.

use std::sync::Arc;
use std::time::SystemTime;

use chrono::Utc;

use super::burial::Burial;
use super::{Processor, Turn, Work};
use crate::dead_letter::Reason;
use crate::error::Error;
use crate::layer::Fate;
use crate::message::Message;
use crate::retry_later::{Past, RetryLater};
use crate::time::YEAR;

/// The group's retry topics.
pub(crate) struct Later {
    policy: RetryLater,
    /// Each with the topics whose messages wait there.
    topics: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

impl Later {
    /// Of each topic, where its messages wait.
    pub(crate) fn new(policy: RetryLater, each: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let mut topics: Vec<(Arc<str>, Vec<Arc<str>>)> = Vec::new();
        for (of, to) in each {
            match topics.iter_mut().find(|(known, _)| *known == to) {
                Some((_, all)) => all.push(of),
                None => topics.push((to, vec![of])),
            }
        }
        Self { policy, topics }
    }

    /// One that comes from a retry topic is from here on what it was: of its own topic, with what has been before.
    pub(super) fn arrives(&self, work: &mut Work) {
        let delivery = &mut work.received.delivery;
        let Some((_, of)) = self.topics.iter().find(|(topic, _)| *topic == delivery.message.topic) else { return };
        let Some((past, origin)) = Past::take_off(&mut delivery.message, of, Utc::now()) else { return };
        (delivery.partition, delivery.offset) = (origin.partition, origin.offset);
        work.attempts = past.attempts;
        let failing = work.failing();
        failing.first = past.first_failed.unwrap_or(failing.first);
        failing.past = Some(past);
    }

    fn topic_for(&self, topic: &Arc<str>) -> Option<&Arc<str>> {
        self.topics.iter().find(|(_, of)| of.contains(topic)).map(|(to, _)| to)
    }
}

impl Processor {
    /// It will not be tried again here. Where it may succeed another time and there is one left, it waits for that; else it is a dead
    /// letter. `handlers` are those to be called then, where there are several.
    pub(super) fn give_up(&self, work: &mut Work, reason: Reason, error: Error, handlers: Vec<String>) -> Turn {
        let copy = if reason == Reason::AttemptsExhausted { self.copy_for_later(work, handlers) } else { None };
        let Some(copy) = copy else { return self.condemn(work, reason, error) };
        work.failing().burial = Some(Burial::for_later(copy, error));
        Turn::Condemned
    }

    fn copy_for_later(&self, work: &mut Work, handlers: Vec<String>) -> Option<Message> {
        let later = self.later.as_ref()?;
        let rounds = work.past().map_or(0, |past| past.rounds);
        let delay = later.policy.delay(rounds)?;
        let (attempts, first_failed) = (work.attempts, Some(work.failing().first));
        let origin = work.origin();
        let topic = Arc::clone(later.topic_for(&origin.topic)?);
        let past = Past { rounds: rounds + 1, attempts, first_failed, handlers };
        // What no clock counts is as far away as it may be.
        let at = SystemTime::now().checked_add(delay).unwrap_or_else(|| SystemTime::now() + YEAR);
        Some(past.copy(&work.received.delivery.message, &origin, (topic, &self.group), at))
    }

    /// Its copy is confirmed: here it is at its end.
    pub(super) fn postponed(&self, work: &Work, copy: &Message, error: &Error) {
        self.gauge.postponed();
        self.tell_layers(&work.received.delivery, Fate::Postponed { error, attempts: work.attempts, copy });
        self.log_postponed(work, copy, error);
    }
}
