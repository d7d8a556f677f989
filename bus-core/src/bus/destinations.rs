//! Where the events of each type go, and how they lie there.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::bus::format::{Formats, TopicFormat};
use crate::error::{ErrorKind, Result};
use crate::event::{EventMeta, IntegrationEvent};
use crate::panic::caught;
use crate::routing::{PartitionKey, TopicNaming};

/// A topic by its name on the broker, and the format of what lies in it.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) topic: Arc<str>,
    pub(crate) format: Arc<TopicFormat>,
}

/// The strategies of a bus, and what they came to for the types that were published.
#[derive(Debug)]
pub(crate) struct Destinations {
    naming: TopicNaming,
    keys: PartitionKey,
    formats: Arc<Formats>,
    known: RwLock<HashMap<TypeId, Destination, foldhash::fast::RandomState>>,
}

impl Destinations {
    pub(crate) fn new(naming: TopicNaming, keys: PartitionKey, formats: Arc<Formats>) -> Self {
        Self { naming, keys, formats, known: RwLock::default() }
    }

    /// Where events of type `E` go. Names are made once for each type.
    pub(crate) fn of<E: IntegrationEvent>(&self) -> Result<Destination> {
        let id = TypeId::of::<E>();
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(known.clone());
        }
        let name = named(E::TYPE, || self.naming.of::<E>())??;
        let new = self.on_broker(name);
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(id, new.clone());
        Ok(new)
    }

    /// The topic that is called `name` in the program, for an event of type `E`.
    pub(crate) fn called<E: IntegrationEvent>(&self, name: &str) -> Result<Destination> {
        named(E::TYPE, || self.naming.name(name)).map(|topic| self.on_broker(topic))
    }

    /// Whether the program has named the topic that the broker calls `topic`.
    pub(crate) fn is_named(&self, topic: &str) -> bool {
        self.formats.is_named(topic)
    }

    /// What to say in the program for a topic that the broker calls `topic`.
    pub(crate) fn way_to_name(&self, topic: &str) -> String {
        match self.naming.in_program(topic) {
            Some(name) => format!("name it with `Bus::builder(..).topic(\"{name}\", |t| t)`"),
            None => "name it with `Bus::builder(..).topic(..)`, as it is called in the program".to_owned(),
        }
    }

    /// The format of the topic that the broker calls `topic`.
    pub(crate) fn format_of(&self, topic: &str) -> Arc<TopicFormat> {
        self.formats.of(topic)
    }

    fn on_broker(&self, topic: Arc<str>) -> Destination {
        let format = self.formats.of(&topic);
        Destination { topic, format }
    }

    pub(crate) fn key(&self, meta: &EventMeta, own: Option<String>) -> Option<String> {
        self.keys.of(meta, own)
    }
}

/// A naming may be a function of the user's own, and so may an event's topic.
fn named<T>(event_type: &str, name: impl FnOnce() -> T) -> Result<T> {
    caught(ErrorKind::Encode, format_args!("naming the topic of `{event_type}`"), name)
}
