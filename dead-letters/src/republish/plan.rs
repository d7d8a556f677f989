//! What goes where, and what does not go.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gulo_bus_core::message::{Message, Wishes};
use gulo_bus_core::transport::Transport;
use gulo_bus_core::{ErrorKind, Result};

use super::{Refusal, provenance};
use crate::letter::Letter;
use crate::reader::check_exists;

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
        let group = match &self.groups {
            Groups::All => None,
            Groups::This(group) => Some(Arc::clone(group)),
            Groups::Failed => Some(letter.origin.group.clone().ok_or(Refusal::NoGroup)?),
        };
        Ok(Course { topic: Arc::clone(topic), group })
    }
}

/// The course of each letter, in their order. Each topic is asked for once.
pub(super) async fn make(
    transport: &dyn Transport,
    rules: &Rules,
    letters: &[Letter],
) -> Result<Vec<Result<Course, Refusal>>> {
    let (mut exists, mut courses) = (HashMap::<Arc<str>, bool>::new(), Vec::with_capacity(letters.len()));
    for letter in letters {
        let course = match rules.course(letter) {
            Ok(course) if !known(transport, &mut exists, &course.topic).await? => {
                Err(Refusal::NoSuchTopic(course.topic))
            }
            course => course,
        };
        courses.push(course);
    }
    Ok(courses)
}

async fn known(transport: &dyn Transport, exists: &mut HashMap<Arc<str>, bool>, topic: &Arc<str>) -> Result<bool> {
    if let Some(exists) = exists.get(topic) {
        return Ok(*exists);
    }
    let found = match check_exists(transport, topic).await {
        Ok(()) => true,
        // A name that no topic can have is one of a topic that does not exist.
        Err(error) if matches!(error.kind(), ErrorKind::Missing | ErrorKind::Config) => false,
        Err(error) => return Err(error),
    };
    exists.insert(Arc::clone(topic), found);
    Ok(found)
}
