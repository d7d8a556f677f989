//! How an event's metadata lies on the wire. Each topic has one envelope that is written; several are read.
//!
//! - [`CloudEvents`](Envelope::CloudEvents), the default: [CloudEvents 1.0] in [binary mode]. Headers `ce_*` and
//!   `content-type`; the payload is the event. Always read.
//! - [`CloudEventsStructured`](Envelope::CloudEventsStructured): CloudEvents as [one JSON object], the event in `data`
//!   or `data_base64`. Always read, by its content type; on topics of this envelope also without, as Python's SDK wrote
//!   it until 2.0.
//! - [`BuildingBlocks`](Envelope::BuildingBlocks): the JSON envelope of Python's `building_blocks`, metadata beside
//!   `payload` and repeated in headers. Read on topics that write it or say that they read it.
//! - [`Raw`](Envelope::Raw): the event and nothing else. Always read: a message without a type is taken for
//!   what the group handles from its topic, where that is one type.
//!
//! Extensions of ours to CloudEvents: `dataversion`, `correlationid`, `causationid`. An aggregate is the `subject`, as
//! `kind/id`.
//!
//! ```
//! # use gulo_bus_core::event::IntegrationEvent;
//! # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
//! # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
//! # use gulo_bus_core::envelope;
//! # use gulo_bus_core::event::EventMeta;
//! # use gulo_bus_core::message::{Message, Origin};
//! let meta = EventMeta::of(&UserRegistered { email: "ann@example.org".into() }, "user-service");
//! let headers = envelope::write(&meta, "application/json");
//! assert_eq!(headers.get_str("ce_type"), Some("user.registered"));
//! assert_eq!(headers.get_str(envelope::CONTENT_TYPE), Some("application/json"));
//!
//! let message = Message { headers, ..Message::new("users", r#"{"email":"ann@example.org"}"#) };
//! let origin = Origin { topic: "users".into(), partition: Some(3), offset: Some(42) };
//! assert_eq!(envelope::read(&message, &origin, "").id, meta.id);
//! ```
//!
//! [CloudEvents 1.0]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
//! [binary mode]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
//! [one JSON object]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md

mod building_blocks;
mod cloud_events;
#[cfg(test)]
mod fixtures;
mod json;
mod structured;

use bytes::{Bytes, BytesMut};

use crate::error::Result;
use crate::event::EventMeta;
use crate::headers::Headers;
use crate::message::{Message, Origin};

pub use cloud_events::{CONTENT_TYPE, DATA_VERSION, TYPE, event_type, read};
pub(crate) use cloud_events::{Form, version};

/// How a topic's events are wrapped.
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::envelope::Envelope;
/// let bus = Bus::builder("user-service")
///     .topic("partners", |t| t.envelope(Envelope::CloudEventsStructured))     // written, and read
///     .topic("legacy", |t| t.reads_envelope(Envelope::BuildingBlocks));       // read beside CloudEvents
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Envelope {
    /// CloudEvents 1.0, binary mode.
    #[default]
    CloudEvents,
    /// CloudEvents 1.0, structured mode, as JSON.
    CloudEventsStructured,
    /// The JSON envelope of Python's `building_blocks`.
    BuildingBlocks,
    /// None: what is known of an event apart from its content is not written, and those who read it take it for what
    /// they expect.
    Raw,
}

/// Envelopes in the body that a topic reads though no header says that they are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Unsaid {
    structured: bool,
    building_blocks: bool,
}

impl Unsaid {
    pub(crate) const fn and(mut self, envelope: Envelope) -> Self {
        match envelope {
            Envelope::CloudEventsStructured => self.structured = true,
            Envelope::BuildingBlocks => self.building_blocks = true,
            Envelope::CloudEvents | Envelope::Raw => {}
        }
        self
    }
}

/// What a message carries, where that lies in an envelope in its body.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) meta: EventMeta,
    /// The version that it says.
    pub(crate) version_given: Option<u32>,
    /// The media type of `data`.
    pub(crate) content_type: Option<String>,
    /// The event, as its codec wrote it.
    pub(crate) data: Option<Bytes>,
}

/// The headers of [`CloudEvents`](Envelope::CloudEvents) that say `meta`, for a payload of `content_type`. For who
/// sends messages as they are; [the module](self) has an example.
pub fn write(meta: &EventMeta, content_type: &str) -> Headers {
    cloud_events::write(&mut BytesMut::new(), meta, content_type, &Headers::new(), &mut Form::of_one())
}

impl Envelope {
    /// Whether only the envelope itself may write a header of this name: any that is read as an attribute of CloudEvents,
    /// which every topic takes, though this event may have no value for it; and the content type, by which envelopes in the
    /// body are told from each other.
    pub(crate) fn reserves(self, name: &str) -> bool {
        self != Self::Raw && (name == CONTENT_TYPE || cloud_events::is_own(name))
    }

    /// The body and the headers of an event, `more` headers behind its own. `buffer` is the memory that they share, `form` what
    /// is remembered of those before it.
    pub(crate) fn seal(
        self,
        meta: &EventMeta,
        content_type: &str,
        payload: Bytes,
        more: &Headers,
        buffer: &mut BytesMut,
        form: &mut Form,
    ) -> Result<(Bytes, Headers)> {
        let (body, own) = match self {
            Self::CloudEvents => return Ok((payload, cloud_events::write(buffer, meta, content_type, more, form))),
            Self::Raw => return Ok((payload, more.clone())),
            Self::CloudEventsStructured => structured::seal(meta, content_type, &payload, buffer)?,
            Self::BuildingBlocks => building_blocks::seal(meta, content_type, &payload, buffer)?,
        };
        let headers = if more.is_empty() { own } else { own.into_iter().chain(more.clone()).collect() };
        Ok((body, headers))
    }

    /// What lies in the body of `message`, where it is an envelope; `None` where the body is the event itself. `unsaid`
    /// is what the topic reads beside what says what it is.
    pub(crate) fn open(message: &Message, origin: impl FnOnce() -> Origin, unsaid: Unsaid) -> Result<Option<Opened>> {
        let [content_type, event_type] = message.headers.get_each([CONTENT_TYPE, TYPE]);
        Self::open_said(message, (content_type, event_type.is_some()), origin, unsaid)
    }

    /// [`open`](Self::open), for who knows the content type already, and whether headers say a type.
    pub(crate) fn open_said(
        message: &Message,
        (content_type, headed): (Option<&[u8]>, bool),
        origin: impl FnOnce() -> Origin,
        unsaid: Unsaid,
    ) -> Result<Option<Opened>> {
        if content_type.is_some_and(structured::is) {
            return structured::open(message, &origin()).map(Some);
        }
        if unsaid.structured && !headed && structured::is_unsaid(message) {
            return structured::open(message, &origin()).map(Some);
        }
        if unsaid.building_blocks && !headed && json::may_be(content_type) {
            return building_blocks::open(message, &origin());
        }
        Ok(None)
    }
}
