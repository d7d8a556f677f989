//! Any codec, those of this crate by static calls.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "msgpack")]
use super::MessagePack;
use super::problem::{capped, without_values};
use super::{Codec, CodecError, Json, Raw};
use crate::error::{Error, ErrorKind, Result, shown};

/// A codec of whatever kind, cheap to clone. Made `from` any of them.
///
/// ```
/// # use bytes::BytesMut;
/// # use gulo_bus_core::codec::{AnyCodec, Json};
/// let codec = AnyCodec::from(Json);
/// let bytes = codec.encode(&[1, 2, 3], &mut BytesMut::new())?;
/// assert_eq!((&bytes[..], codec.content_type()), (&b"[1,2,3]"[..], "application/json"));
/// assert_eq!(codec.decode::<Vec<u8>>(&bytes)?, [1, 2, 3]);
/// # Ok::<_, gulo_bus_core::Error>(())
/// ```
#[derive(Clone)]
pub struct AnyCodec(Kind);

#[derive(Clone)]
enum Kind {
    Json,
    #[cfg(feature = "msgpack")]
    MessagePack,
    Raw,
    Other(Arc<dyn Codec>),
}

impl<C: Codec> From<C> for AnyCodec {
    fn from(codec: C) -> Self {
        let id = codec.type_id();
        if id == TypeId::of::<Json>() {
            return Self(Kind::Json);
        }
        #[cfg(feature = "msgpack")]
        if id == TypeId::of::<MessagePack>() {
            return Self(Kind::MessagePack);
        }
        Self(if id == TypeId::of::<Raw>() { Kind::Raw } else { Kind::Other(Arc::new(codec)) })
    }
}

impl AnyCodec {
    /// JSON.
    pub(crate) const JSON: Self = Self(Kind::Json);

    /// Those that read any event and say by themselves what is what.
    pub(crate) const SELF_DESCRIBING: &[Self] = &[
        Self::JSON,
        #[cfg(feature = "msgpack")]
        Self(Kind::MessagePack),
    ];

    fn as_codec(&self) -> &dyn Codec {
        match &self.0 {
            Kind::Json => &Json,
            #[cfg(feature = "msgpack")]
            Kind::MessagePack => &MessagePack,
            Kind::Raw => &Raw,
            Kind::Other(codec) => &**codec,
        }
    }

    /// The media type it writes.
    pub fn content_type(&self) -> &str {
        self.as_codec().content_type()
    }

    /// Whether it reads payloads of `content_type`, given without parameters.
    pub fn reads(&self, content_type: &str) -> bool {
        self.as_codec().reads(content_type)
    }

    pub(crate) const fn is_raw(&self) -> bool {
        matches!(self.0, Kind::Raw)
    }

    /// `event`, written to the end of `buffer`, whose memory it shares.
    ///
    /// # Errors
    ///
    /// [`Encode`](ErrorKind::Encode); the buffer is empty then.
    pub fn encode<T: Serialize>(&self, event: &T, buffer: &mut BytesMut) -> Result<Bytes> {
        let written = match &self.0 {
            Kind::Json => Json::write(event, buffer),
            #[cfg(feature = "msgpack")]
            Kind::MessagePack => MessagePack::write(event, buffer),
            Kind::Raw => Raw::write(event, buffer),
            Kind::Other(codec) => codec.encode(event, buffer),
        };
        written.map_err(|cause| {
            // Half of an event must not stand before the next one.
            buffer.clear();
            let (event, content_type) = (type_name::<T>(), self.content_type());
            let problem = format!("{event} does not encode as {content_type}: {}", shown(&cause.to_string()));
            Error::new(ErrorKind::Encode, problem)
                .help("give it a value that its codec can write, or its topic another codec")
        })?;
        Ok(buffer.split().freeze())
    }

    /// A `T` out of `payload`.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode), which never quotes the payload.
    pub fn decode<T: DeserializeOwned>(&self, payload: &[u8]) -> Result<T> {
        let read = match &self.0 {
            Kind::Json => Json::read(payload),
            #[cfg(feature = "msgpack")]
            Kind::MessagePack => MessagePack::read(payload),
            Kind::Raw => Raw::read(payload),
            Kind::Other(codec) => decode_by(&**codec, payload),
        };
        read.map_err(|error| error.help_at_least("let the event read it, or mend what wrote it"))
    }
}

fn decode_by<T: DeserializeOwned>(codec: &dyn Codec, payload: &[u8]) -> Result<T> {
    let (mut event, mut said) = (None, None);
    let decoded = codec.decode(payload, &mut |reader| {
        let read = erased_serde::deserialize(reader);
        // An event's own words for what is wrong name the value mostly: what reading says is told without, whatever the codec
        // makes of it.
        event = Some(read.inspect_err(|error| said = Some(without_values(&error.to_string())))?);
        Ok(())
    });
    let problem = |cause: CodecError| {
        let said = said.unwrap_or_else(|| capped(&cause.to_string()));
        Error::new(ErrorKind::Decode, format!("payload is not {}: {said}", codec.content_type()))
    };
    decoded.map_err(problem)?;
    let unread = || {
        Error::new(ErrorKind::Decode, format!("the codec of {} read nothing", codec.content_type()))
            .help("`Codec::decode` has to call `read`")
    };
    event.ok_or_else(unread)
}

impl fmt::Debug for AnyCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyCodec({})", self.content_type())
    }
}

impl PartialEq for AnyCodec {
    /// Whether both write the same media type.
    fn eq(&self, other: &Self) -> bool {
        self.content_type() == other.content_type()
    }
}

impl Eq for AnyCodec {}
