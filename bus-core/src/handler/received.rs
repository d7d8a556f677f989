//! A message as a handler gets it.

use std::sync::{Arc, OnceLock};

use crate::envelope::{self, Opened};
use crate::error::Result;
use crate::event::EventMeta;
use crate::message::Message;
use crate::transport::Delivery;

/// A message as it came, and what it says of itself: read when somebody asks, for most handlers do not.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) delivery: Delivery,
    /// What lies in its body, where that is an envelope.
    pub(crate) opened: Option<Box<Opened>>,
    /// What its handler takes it for, where it does not say.
    event_type: &'static str,
    meta: OnceLock<Arc<EventMeta>>,
}

/// The event in a message, not decoded.
pub(crate) struct Content<'a> {
    /// The version that it says.
    pub(crate) version: Option<u32>,
    /// The media type that it says.
    pub(crate) content_type: Option<&'a str>,
    pub(crate) data: &'a [u8],
}

impl Received {
    pub(crate) const fn new(delivery: Delivery) -> Self {
        Self { delivery, opened: None, event_type: "", meta: OnceLock::new() }
    }

    /// Its handler takes it for an event of this type.
    pub(crate) const fn is_taken_for(&mut self, event_type: &'static str) {
        self.event_type = event_type;
    }

    /// Its body is an envelope, and this is in it.
    pub(crate) fn open(&mut self, opened: Opened) {
        self.meta = OnceLock::from(Arc::new(opened.meta.clone()));
        self.opened = Some(Box::new(opened));
    }

    pub(crate) fn meta(&self) -> &Arc<EventMeta> {
        let read = || envelope::read(&self.delivery.message, &self.delivery.origin(), self.event_type);
        self.meta.get_or_init(|| Arc::new(read()))
    }

    pub(crate) fn content(&self) -> Result<Content<'_>> {
        Content::of(&self.delivery.message, self.opened.as_deref())
    }
}

impl<'a> Content<'a> {
    /// What `message` carries: `opened`, where its body is an envelope.
    pub(crate) fn of(message: &'a Message, opened: Option<&'a Opened>) -> Result<Self> {
        Ok(match opened {
            None => {
                let names = [envelope::DATA_VERSION, envelope::CONTENT_TYPE];
                let [version, content_type] = message.headers.get_each(names);
                Content {
                    version: version.map(envelope::version).transpose()?,
                    // What is not UTF-8 is none that anybody reads.
                    content_type: content_type.map(|value| std::str::from_utf8(value).unwrap_or("not UTF-8")),
                    data: message.payload.as_deref().unwrap_or_default(),
                }
            }
            Some(opened) => Content {
                version: opened.version_given,
                content_type: opened.content_type.as_deref(),
                data: opened.data.as_deref().unwrap_or_default(),
            },
        })
    }
}

scoped_tls::scoped_thread_local! {
    /// The message that is being handled on this thread: what its handler publishes is a consequence of it.
    static HANDLED: Received
}

/// Polls a handler's future, or whatever it is that `poll` does, as the handling of `received`.
pub(crate) fn handling<T>(received: &Received, poll: impl FnOnce() -> T) -> T {
    HANDLED.set(received, poll)
}

/// The event that is being handled on this thread.
pub(crate) fn handled() -> Option<Arc<EventMeta>> {
    HANDLED.is_set().then(|| HANDLED.with(|received| Arc::clone(received.meta())))
}
