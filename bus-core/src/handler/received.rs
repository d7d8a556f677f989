//! A message as a handler gets it.

use std::sync::{Arc, OnceLock};

use crate::envelope::{self, Envelope, Opened, Unsaid};
use crate::error::Result;
use crate::event::EventMeta;
use crate::message::Message;
use crate::transport::Delivery;

/// A message as it came, and what it says of itself: read when somebody asks, for most handlers do not.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) delivery: Delivery,
    body: Body,
    /// What its topic reads beside CloudEvents, where nobody has looked yet whether the body is an envelope.
    unopened: Option<Unsaid>,
    meta: OnceLock<Arc<EventMeta>>,
}

/// What the body of a message is.
#[derive(Debug)]
enum Body {
    /// The event itself; of the type that its handler takes it for, where headers do not say.
    Event(&'static str),
    /// An envelope, and what lies in it.
    Envelope(Box<Opened>),
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
    #[inline(always)]
    pub(crate) const fn new(delivery: Delivery) -> Self {
        Self { delivery, body: Body::Event(""), unopened: None, meta: OnceLock::new() }
    }

    /// Its handler takes it for an event of this type.
    pub(crate) const fn is_taken_for(&mut self, event_type: &'static str) {
        if let Body::Event(taken) = &mut self.body {
            *taken = event_type;
        }
    }

    /// Its handlers take it as it is: its body is opened only for who asks what is known of it.
    pub(crate) const fn is_taken_unopened(&mut self, unsaid: Unsaid) {
        self.unopened = Some(unsaid);
    }

    /// Its body is an envelope, and this is in it.
    pub(crate) fn open(&mut self, opened: Opened) {
        self.meta = OnceLock::from(Arc::new(opened.meta.clone()));
        self.body = Body::Envelope(Box::new(opened));
    }

    /// What lies in its body, where that is an envelope.
    pub(crate) fn opened(&self) -> Option<&Opened> {
        match &self.body {
            Body::Event(_) => None,
            Body::Envelope(opened) => Some(opened),
        }
    }

    pub(crate) fn meta(&self) -> &Arc<EventMeta> {
        self.meta.get_or_init(|| Arc::new(self.read_meta()))
    }

    fn read_meta(&self) -> EventMeta {
        let (message, origin) = (&self.delivery.message, self.delivery.origin());
        let taken = if let Body::Event(taken) = self.body { taken } else { "" };
        let open = |unsaid| Envelope::open(message, || origin.clone(), unsaid).ok().flatten();
        let opened = self.unopened.and_then(open);
        opened.map_or_else(|| envelope::read(message, &origin, taken), |opened| opened.meta)
    }

    pub(crate) fn content(&self) -> Result<Content<'_>> {
        Content::of(&self.delivery.message, self.opened())
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

/// What is known of the event whose handler calls this, from its own task: what is published there is a consequence of
/// it. `None` outside of a handler, and in a task that a handler has spawned.
///
/// ```
/// assert!(gulo_bus_core::handler::handled().is_none(), "nothing is handled here");
/// ```
pub fn handled() -> Option<Arc<EventMeta>> {
    HANDLED.is_set().then(|| HANDLED.with(|received| Arc::clone(received.meta())))
}
