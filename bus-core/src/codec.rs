//! Events to bytes and back. Each topic has a codec, and reads what others wrote by its content type.
//!
//! ```
//! # use gulo_bus_core::bus::Bus;
//! # use gulo_bus_core::codec::{Json, Raw};
//! let bus = Bus::builder("user-service")
//!     .topic("users", |t| t.codec(Json))    // the default
//!     .topic("photos", |t| t.codec(Raw));
//! ```
//!
//! | codec | content type | read too | for |
//! |---|---|---|---|
//! | [`Json`] | `application/json` | `text/json`, `*+json` | any event |
//! | `MessagePack`, feature `msgpack` | `application/msgpack` | with `vnd.` and `x-` | any event, as named maps |
//! | [`Raw`] | `application/octet-stream` | `text/plain`; on its topics anything | bytes and text |
//! | a [`Codec`] of your own | as it says | as it says | what it can |
//!
//! JSON and MessagePack are read on every topic but those of [`Raw`], and those that
//! [say otherwise](crate::bus::TopicSettings::reads_nothing_else). [The guide to events] says more.
//!
//! [The guide to events]: https://github.com/gulo-rs/gulo/blob/main/docs/events.md#codecs

mod any;
mod json;
#[cfg(feature = "msgpack")]
mod message_pack;
mod problem;
mod raw;

use std::error::Error as StdError;

use bytes::BytesMut;
use serde::de::DeserializeOwned;

use crate::error::Result;

pub use any::AnyCodec;
pub use erased_serde;
pub use json::Json;
pub(crate) use json::problem as json_problem;
#[cfg(feature = "msgpack")]
pub use message_pack::MessagePack;
pub use raw::Raw;

/// A codec of your own, over [`erased_serde`]: what it is given and gives is any event.
///
/// Those of this module are called without that detour, which costs time: decoding through it is about three times
/// slower.
///
/// ```
/// # use bytes::{BufMut, BytesMut};
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::codec::{Codec, CodecError, Json, ReadEvent, erased_serde};
/// /// JSON, its lines indented for people.
/// struct Pretty;
///
/// impl Codec for Pretty {
///     fn content_type(&self) -> &str { "application/vnd.example.pretty" }
///
///     fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
///         Ok(serde_json::to_writer_pretty(buffer.writer(), event)?)
///     }
///
///     fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
///         let mut json = serde_json::Deserializer::from_slice(payload);
///         read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))?;
///         Ok(json.end()?)
///     }
/// }
///
/// let bus = Bus::builder("shop")
///     .topic("prices", |t| t.codec(Pretty))
///     .topic("orders", |t| t.codec(Json).reads(Pretty)); // while those who write change over, say
/// ```
pub trait Codec: Send + Sync + 'static {
    /// The media type it writes, without parameters: `application/json`.
    fn content_type(&self) -> &str;

    /// Whether it reads payloads of `content_type`, which is given without parameters. Case does not count. What it
    /// writes, unless said.
    fn reads(&self, content_type: &str) -> bool {
        content_type.eq_ignore_ascii_case(self.content_type())
    }

    /// Writes `event` to the end of `buffer`.
    ///
    /// # Errors
    ///
    /// Any: the event is refused, and nothing of its batch is sent.
    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError>;

    /// Calls `read` once, with what reads `payload`.
    ///
    /// # Errors
    ///
    /// Any: the message becomes a dead letter, which says the error's text. Let it not quote the payload.
    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError>;
}

/// Why a [`Codec`] could not do it.
pub type CodecError = Box<dyn StdError + Send + Sync>;

/// Reads one event.
pub type ReadEvent<'a> = &'a mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>;

/// An event as it came, not decoded yet: what an
/// [`upcast`](crate::event::IntegrationEvent::upcast) from an older version is given.
///
/// ```
/// # use gulo_bus_core::codec::{AnyCodec, Encoded, Json};
/// let json = AnyCodec::from(Json);
/// let older = Encoded::new(&json, br#"["ann", 7]"#);
/// assert_eq!(older.decode::<(String, u32)>().unwrap(), ("ann".to_owned(), 7));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a> {
    codec: &'a AnyCodec,
    bytes: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// These bytes, as `codec` writes them.
    pub const fn new(codec: &'a AnyCodec, bytes: &'a [u8]) -> Self {
        Self { codec, bytes }
    }

    /// A `T` out of it, such as the event's shape in an older version.
    ///
    /// # Errors
    ///
    /// [`Decode`](crate::ErrorKind::Decode), which never quotes the payload.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.codec.decode(self.bytes)
    }

    /// The bytes, for those who look for themselves.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// A media type without its parameters: `application/json` of `application/json; charset=utf-8`.
pub(crate) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}
