//! Which topics may be published to, at once and with a delay. To publish to an exchange that is not there, or that the user
//! may not write to, ends the channel and with it the confirms of everything on its way: so it is asked for once before, and
//! what the broker refused is not tried again at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gulo_bus_core::message::Message;
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::config::AmqpConfig;
use crate::connection::Link;
use crate::delay;
use crate::error::again;
use crate::names;
use crate::topology::{Declaring, no_such_topics};

/// For how long a refusal is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// For how long it is believed that a topic is there to which nothing is published directly: nobody would hear of it that it
/// was deleted.
const UNSEEN: Duration = Duration::from_secs(10);

/// How a message goes to its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Straight,
    /// It waits before.
    Delayed,
}

impl Course {
    pub(super) fn of(message: &Message) -> Self {
        let is_later = |at: SystemTime| at > SystemTime::now();
        if message.send.deliver_at.is_some_and(is_later) { Self::Delayed } else { Self::Straight }
    }
}

/// A topic, how it is published to, and why nothing may be.
pub(super) type Answer = (Arc<str>, Course, Option<Error>);

/// What is known for one course.
#[derive(Debug, Default)]
struct Known {
    /// Until when that is believed, where nobody else would say that it is so no more.
    there: HashMap<Arc<str>, Option<Instant>>,
    refused: HashMap<Arc<str>, (Instant, Error)>,
}

#[derive(Debug, Default)]
pub(super) struct KnownTopics {
    straight: Known,
    /// One of those to which messages go straight: they come behind each other.
    latest: Option<Arc<str>>,
    delayed: Known,
    /// That in which delayed messages wait, whatever their topic.
    levels: bool,
}

impl KnownTopics {
    /// `None` where nothing is known of it.
    pub(super) fn get(&mut self, topic: &Arc<str>, course: Course) -> Option<Result<()>> {
        let straight = course == Course::Straight;
        if straight && self.latest.as_ref().is_some_and(|latest| Arc::ptr_eq(latest, topic)) {
            return Some(Ok(()));
        }
        let known = if straight { &self.straight } else { &self.delayed };
        let is_believed = |until: &Option<Instant>| until.is_none_or(|until| Instant::now() < until);
        if let Some(until) = known.there.get(topic).filter(|until| is_believed(until)) {
            if straight && until.is_none() {
                self.latest = Some(topic.clone());
            }
            return Some(Ok(()));
        }
        let (until, error) = known.refused.get(topic)?;
        (Instant::now() < *until).then(|| Err(again(error)))
    }

    /// What the broker says of a topic.
    pub(super) fn note(&mut self, (topic, course, refusal): Answer) {
        match (course, refusal) {
            (Course::Straight, Some(error)) => self.straight.refuse(topic, error),
            (Course::Delayed, Some(error)) => self.delayed.refuse(topic, error),
            (Course::Straight, None) => self.straight.is_there(topic, None),
            (Course::Delayed, None) => {
                self.levels = true;
                self.delayed.is_there(topic, Some(Instant::now() + UNSEEN));
            }
        }
    }

    /// Nothing more is published to the topic for a while.
    pub(super) fn refuse(&mut self, topic: Arc<str>, error: Error) {
        self.latest = None;
        self.straight.refuse(topic, error);
    }

    /// Something of what messages wait in is gone: all of it is looked at again.
    pub(super) fn doubt_delays(&mut self) {
        (self.levels, self.delayed) = (false, Known::default());
    }

    /// Asks the broker why nothing may be published to `topic`. The error is that of a broker that did not answer.
    pub(super) fn ask(
        &self,
        link: &Arc<Link>,
        config: &Arc<AmqpConfig>,
        topic: &Arc<str>,
        course: Course,
    ) -> impl Future<Output = Result<Answer>> + Send + 'static {
        let (declaring, topic, levels) = (Declaring::new(link, config), topic.clone(), self.levels);
        async move {
            let refusal = match course {
                Course::Straight => straight(declaring, &topic).await?,
                Course::Delayed => delayed(declaring, &topic, levels).await?,
            };
            Ok((topic, course, refusal))
        }
    }
}

impl Known {
    fn is_there(&mut self, topic: Arc<str>, until: Option<Instant>) {
        self.refused.remove(&topic);
        self.there.insert(topic, until);
    }

    fn refuse(&mut self, topic: Arc<str>, error: Error) {
        self.there.remove(&topic);
        let now = Instant::now();
        self.refused.retain(|_, (until, _)| now < *until);
        self.refused.insert(topic, (now + BELIEVED, error));
    }
}

async fn straight(mut declaring: Declaring, topic: &Arc<str>) -> Result<Option<Error>> {
    if names::check_topics([topic]).is_err() || !declaring.exchange(topic).await? {
        return Ok(Some(no_such_topics(std::slice::from_ref(topic))));
    }
    declaring.refusal(topic).await
}

/// Nothing goes to the topic itself now, but it must be there.
async fn delayed(mut declaring: Declaring, topic: &Arc<str>, levels: bool) -> Result<Option<Error>> {
    if let Err(refusal) = delay::check_topic(topic) {
        return Ok(Some(refusal));
    }
    if names::check_topics([topic]).is_err() || !declaring.exchange(topic).await? {
        return Ok(Some(no_such_topics(std::slice::from_ref(topic))));
    }
    match declaring.delays(topic, levels).await {
        // It has answered, and will say the same again.
        Err(refusal) if matches!(refusal.kind(), ErrorKind::Missing | ErrorKind::Refused) => Ok(Some(refusal)),
        made => made.map(|()| None),
    }
}
