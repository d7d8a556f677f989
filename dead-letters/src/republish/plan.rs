//! What goes where, and what does not go.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gulo_bus_core::message::{Message, Wishes};
use gulo_bus_core::transport::Transport;
use gulo_bus_core::{Error, ErrorKind, Result};

use super::{Refusal, provenance};
use crate::letter::Letter;
use crate::reader::check_exist;

/// No broker that we know has names of more bytes, and clients need not bear to be asked for one.
const LONGEST_NAME: usize = 255;

/// What the caller wants.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) to: Option<Arc<str>>,
    pub(super) only_to: Option<Vec<Arc<str>>>,
    pub(super) groups: Groups,
}

#[derive(Debug, Clone, Default)]
pub(super) enum Groups {
    #[default]
    Failed,
    This(Arc<str>),
    All,
}

/// Where a letter goes, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub(super) topic: Arc<str>,
    /// `None` is every group.
    pub(super) group: Option<Arc<str>>,
}

impl Course {
    pub(super) fn message(self, letter: Letter, now: DateTime<Utc>) -> Message {
        let mut headers = letter.headers;
        let replays = letter.replays.saturating_add(1);
        provenance::write(&mut headers, &letter.stands, now, self.group.as_deref(), replays);
        Message {
            topic: self.topic,
            key: letter.key,
            payload: letter.payload,
            headers,
            timestamp: None,
            send: Wishes::default(),
        }
    }
}

impl Rules {
    fn course(&self, letter: &Letter) -> Result<Course, Refusal> {
        let topic = self.to.as_ref().or(letter.origin.topic.as_ref()).ok_or(Refusal::NoOrigin)?;
        if self.only_to.as_ref().is_some_and(|allowed| !allowed.contains(topic)) {
            return Err(Refusal::NotAllowed(Arc::clone(topic)));
        }
        if *topic == letter.stands.topic {
            return Err(Refusal::Itself);
        }
        if topic.is_empty() || topic.len() > LONGEST_NAME || topic.contains(char::is_control) {
            return Err(Refusal::Unusable(
                Arc::clone(topic),
                "no topic has such a name (name one with `to_topic`)".to_owned(),
            ));
        }
        let group = match &self.groups {
            Groups::All => None,
            Groups::This(group) => Some(Arc::clone(group)),
            Groups::Failed => Some(letter.origin.group.clone().ok_or(Refusal::NoGroup)?),
        };
        Ok(Course { topic: Arc::clone(topic), group })
    }
}

/// The course of each letter, in their order.
pub(super) async fn make(
    transport: &dyn Transport,
    rules: &Rules,
    letters: &[Letter],
) -> Result<Vec<Result<Course, Refusal>>> {
    let mut courses: Vec<_> = letters.iter().map(|letter| rules.course(letter)).collect();
    let topics: BTreeSet<_> = courses.iter().flatten().map(|course| Arc::clone(&course.topic)).collect();
    let unusable = unusable(transport, topics).await?;
    for course in &mut courses {
        let refusal = course.as_ref().ok().and_then(|course| unusable.get(&course.topic));
        if let Some(refusal) = refusal {
            *course = Err(refusal.clone());
        }
    }
    Ok(courses)
}

/// Those topics that cannot be sent to. All are asked for at once, and one by one only where one of them is missing.
async fn unusable(transport: &dyn Transport, topics: BTreeSet<Arc<str>>) -> Result<HashMap<Arc<str>, Refusal>> {
    let mut unusable = HashMap::new();
    if topics.is_empty() || why_not(check_exist(transport, topics.iter().cloned()).await)?.is_none() {
        return Ok(unusable);
    }
    for topic in topics {
        let refusal = match why_not(check_exist(transport, [Arc::clone(&topic)]).await)? {
            None => continue,
            Some(error) if error.kind() == ErrorKind::Missing => Refusal::NoSuchTopic(Arc::clone(&topic)),
            Some(error) => Refusal::Unusable(Arc::clone(&topic), error.to_string()),
        };
        unusable.insert(topic, refusal);
    }
    Ok(unusable)
}

/// What is wrong with topics, where that is about them: any letter may name one that we have no right to, and shall
/// not hold up the others by it.
fn why_not(checked: Result<()>) -> Result<Option<Error>> {
    match checked {
        Ok(()) => Ok(None),
        Err(error) => match error.kind() {
            ErrorKind::Missing | ErrorKind::Config | ErrorKind::Refused => Ok(Some(error)),
            _ => Err(error),
        },
    }
}
