//! Limits on what is published, checked before it costs anything.

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::event::EventMeta;
use crate::message::Message;

/// How large an event may be. What is larger is refused before the wire, naming size and limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a payload. 1 MiB; the transport's own limit on a whole message may be lower.
    pub payload_bytes: usize,
    /// Bytes of a key. 4 KiB.
    pub key_bytes: usize,
    /// Headers, ours included. 64.
    pub headers: usize,
    /// Bytes of all header names and values. 16 KiB.
    pub header_bytes: usize,
    /// Bytes of an event's id and of its type, each. 256.
    pub id_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload_bytes: 1 << 20, key_bytes: 4 << 10, headers: 64, header_bytes: 16 << 10, id_bytes: 256 }
    }
}

impl Limits {
    pub(crate) fn check(&self, message: &Message, meta: &EventMeta) -> Result<()> {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let sizes = [
            ("payload", length(&message.payload), self.payload_bytes, "bytes"),
            ("key", length(&message.key), self.key_bytes, "bytes"),
            ("number of headers", message.headers.len(), self.headers, "headers"),
            ("size of all headers", message.headers.size(), self.header_bytes, "bytes"),
            ("event id", meta.id.len(), self.id_bytes, "bytes"),
            ("event type", meta.event_type.len(), self.id_bytes, "bytes"),
        ];
        match sizes.into_iter().find(|(_, size, limit, _)| size > limit) {
            None => Ok(()),
            Some((what, size, limit, unit)) => Err(Error::new(
                ErrorKind::TooLarge,
                format!("{what} of `{}` is {size} {unit}, the limit is {limit}", meta.event_type),
            )
            .help("raise it with `Bus::builder(..).limits(..)`, or send a reference instead of the content")),
        }
    }
}
