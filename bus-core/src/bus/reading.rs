//! Events out of messages that no handler of this bus was given: dead letters, what was published, what a reader of its
//! own got.

use std::sync::Arc;

use crate::bus::{Bus, Publish};
use crate::envelope::{self, Envelope};
use crate::error::{Error, ErrorKind, Result, shown};
use crate::event::{EventMeta, IntegrationEvent};
use crate::handler::{Content, decode};
use crate::message::{Message, Origin};

impl Bus {
    /// The event in `message`, as a handler of this bus would get it from the topic of `origin`, with what is known of
    /// it; `origin` stands in for an id that is not given.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) where it is of another type or cannot be read; never quoting the payload.
    pub fn read<E: IntegrationEvent>(&self, message: &Message, origin: &Origin) -> Result<(E, EventMeta)> {
        self.read_here(message, origin).map_err(|error| error.context(format_args!("message {origin}")))
    }

    fn read_here<E: IntegrationEvent>(&self, message: &Message, origin: &Origin) -> Result<(E, EventMeta)> {
        let format = self.publishing.destinations.format_of(&origin.topic);
        let opened = Envelope::open(message, || origin.clone(), format.unsaid())?;
        let read = || envelope::read(message, origin, E::TYPE);
        let meta = opened.as_ref().map_or_else(read, |opened| opened.meta.clone());
        if meta.event_type != E::TYPE {
            let problem = format!("it is of type `{}`, not `{}`", shown(&meta.event_type), E::TYPE);
            return Err(Error::new(ErrorKind::Decode, problem).help("read it as an event of that type"));
        }
        let event = decode(&Content::of(message, opened.as_ref())?, &format)?;
        Ok((event, meta))
    }

    /// The topic, by its name on the broker, that this bus publishes events of type `E` to.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) where its naming has none for them.
    pub fn topic_of<E: IntegrationEvent>(&self) -> Result<Arc<str>> {
        self.publishing.destinations.of::<E>().map(|destination| destination.topic)
    }
}

impl Publish {
    /// The type that `message` says it has, in the envelope of its topic: for who looks on.
    #[doc(hidden)]
    pub fn event_type_of(&self, message: &Message) -> Option<String> {
        let format = self.0.destinations.format_of(&message.topic);
        let origin = || Origin { topic: Arc::clone(&message.topic), partition: None, offset: None };
        match Envelope::open(message, origin, format.unsaid()) {
            Ok(Some(opened)) => Some(opened.meta.event_type.into_owned()),
            _ => envelope::event_type(message).map(str::to_owned),
        }
    }
}
