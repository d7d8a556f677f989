//! What topics are called.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::event::{IntegrationEvent, snake_case};

/// What topics are called on the broker. Names in a program, those of events and those given to the bus and to
/// subscriptions, are what this makes of them; messages sent as they are ([`Bus::send`](crate::bus::Bus::send)) and
/// patterns are not changed.
///
/// ```
/// # use gulo_bus_core::routing::TopicNaming;
/// let naming = TopicNaming::new().prefix("acme").environment("staging");
/// assert_eq!(naming.name("users").as_ref(), "staging.acme.users");
///
/// // An event that names no topic goes to `facts.<its type>`, or has to name one.
/// let (facts, named) = (TopicNaming::new().default_prefix("facts"), TopicNaming::new().explicit());
/// let loud = TopicNaming::new().by(str::to_uppercase);
/// assert_eq!(loud.name("users").as_ref(), "USERS");
/// ```
///
/// Dead-letter topics are called after the topic, by
/// [`DeadLetter::topic_named`](crate::dead_letter::DeadLetter::topic_named).
#[derive(Clone)]
pub struct TopicNaming {
    before: String,
    of_events: Option<String>,
    by: Option<Arc<By>>,
}

type By = dyn Fn(&str) -> String + Send + Sync;

/// Before the type of an event that names no topic.
pub(crate) const OF_EVENTS: &str = "integration-events";

impl Default for TopicNaming {
    fn default() -> Self {
        Self { before: String::new(), of_events: Some(OF_EVENTS.to_owned()), by: None }
    }
}

impl TopicNaming {
    /// As said; an event that names no topic goes to `integration-events.<its type in snake case>`.
    pub fn new() -> Self {
        Self::default()
    }

    /// With `prefix` and a dot before each name. Called again, the later one stands first. An empty one
    /// is none.
    #[must_use]
    pub fn prefix(mut self, prefix: impl AsRef<str>) -> Self {
        let prefix = prefix.as_ref().trim_end_matches('.');
        if !prefix.is_empty() {
            self.before = format!("{prefix}.{}", self.before);
        }
        self
    }

    /// [`prefix`](Self::prefix), for several environments on one broker: `staging`, `production`.
    #[must_use]
    pub fn environment(self, name: impl AsRef<str>) -> Self {
        self.prefix(name)
    }

    /// What stands, with a dot, before the type of an event that names no topic, in place of `integration-events`. An empty one
    /// is none.
    #[must_use]
    pub fn default_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.of_events = Some(prefix.into().trim_end_matches('.').to_owned());
        self
    }

    /// Every event has to name its topic: one that does not is an error, at `start()` where a handler takes it, else
    /// when it is published.
    #[must_use]
    pub fn explicit(mut self) -> Self {
        self.of_events = None;
        self
    }

    /// By a function from the name in the program, before prefixes.
    #[must_use]
    pub fn by(mut self, name: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.by = Some(Arc::new(name));
        self
    }

    /// What the topic called `name` in the program is called on the broker.
    pub fn name(&self, name: &str) -> Arc<str> {
        match &self.by {
            Some(by) => format!("{}{}", self.before, by(name)).into(),
            None if self.before.is_empty() => name.into(),
            None => format!("{}{name}", self.before).into(),
        }
    }

    /// What the topic called `on_broker` there is called in the program; `None` where a function names topics.
    pub(crate) fn in_program<'a>(&self, on_broker: &'a str) -> Option<&'a str> {
        if self.by.is_some() { None } else { on_broker.strip_prefix(&*self.before) }
    }

    /// The topic of `E`.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) where it names none and has to, or where the name is empty.
    pub fn of<E: IntegrationEvent>(&self) -> Result<Arc<str>> {
        let name = match (E::topic(), &self.of_events) {
            (Some(topic), _) if topic.is_empty() => return Err(no_topic(E::TYPE)),
            (Some(topic), _) => self.name(&topic),
            (None, Some(prefix)) if prefix.is_empty() => self.name(&snake_case(E::TYPE)),
            (None, Some(prefix)) => self.name(&format!("{prefix}.{}", snake_case(E::TYPE))),
            (None, None) => return Err(no_topic(E::TYPE)),
        };
        if name.is_empty() { Err(no_topic(E::TYPE)) } else { Ok(name) }
    }
}

fn no_topic(event_type: &str) -> Error {
    let help = "name one: `#[event(topic = \"..\")]`, or `const TOPIC` of its `IntegrationEvent`";
    Error::new(ErrorKind::Config, format!("event `{event_type}` has no topic")).help(help)
}

impl fmt::Debug for TopicNaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, of_events, by } = self;
        f.debug_struct("TopicNaming")
            .field("prefix", before)
            .field("default_prefix", of_events)
            .field("by", &by.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Unnamed;
    impl IntegrationEvent for Unnamed {
        const TYPE: &'static str = "user.registered";
    }

    #[derive(Serialize, Deserialize)]
    struct Named;
    impl IntegrationEvent for Named {
        const TYPE: &'static str = "user.registered";
        const TOPIC: Option<&'static str> = Some("users");
    }

    #[test]
    fn a_topic_is_the_events_or_made_of_its_type() {
        let naming = TopicNaming::new();
        assert_eq!(&*naming.of::<Named>().unwrap(), "users");
        assert_eq!(&*naming.of::<Unnamed>().unwrap(), "integration-events.user_registered");
        let naming = naming.default_prefix("facts").prefix("acme").environment("staging");
        assert_eq!(&*naming.of::<Named>().unwrap(), "staging.acme.users");
        assert_eq!(&*naming.of::<Unnamed>().unwrap(), "staging.acme.facts.user_registered");
        let naming = naming.by(|name| name.to_uppercase());
        assert_eq!(&*naming.of::<Named>().unwrap(), "staging.acme.USERS");
    }

    #[test]
    fn a_prefix_of_nothing_leaves_no_dot() {
        for nothing in ["", ".", ".."] {
            let naming = TopicNaming::new().default_prefix(nothing).prefix(nothing);
            assert_eq!(&*naming.of::<Unnamed>().unwrap(), "user_registered");
        }
    }

    #[test]
    fn an_event_has_to_name_its_topic_where_that_is_asked() {
        let naming = TopicNaming::new().explicit();
        assert_eq!(&*naming.of::<Named>().unwrap(), "users");
        let error = naming.of::<Unnamed>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().starts_with("event `user.registered` has no topic (name one"), "{error}");
    }
}
