//! Bytes as they are.

mod reader;
mod writer;

use std::fmt;

use bytes::BytesMut;
use serde::de::DeserializeOwned;
use serde::{Serialize, de, ser};

use super::{Codec, CodecError, ReadEvent};
use crate::error::{Error, ErrorKind, Result};

/// The payload is the event, with nothing around it: for events that are bytes or text, a newtype of `Vec<u8>`, `Bytes`
/// or `String`. Any other event is refused when it is published. A topic with this codec takes payloads of whatever
/// content type, but for those of codecs that it names by [`TopicSettings::reads`](crate::bus::TopicSettings::reads).
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::codec::Raw;
/// # use gulo_bus_core::event::IntegrationEvent;
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Photo(bytes::Bytes);
///
/// impl IntegrationEvent for Photo {
///     const TYPE: &'static str = "photo.taken";
///     const TOPIC: Option<&'static str> = Some("photos");
/// }
///
/// let bus = Bus::builder("album").topic("photos", |t| t.codec(Raw));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Raw;

impl Raw {
    pub(super) fn write<T: Serialize + ?Sized>(event: &T, buffer: &mut BytesMut) -> Result<(), CodecError> {
        Ok(event.serialize(writer::Writer(buffer))?)
    }

    pub(super) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
        let problem = |NotRaw(problem)| Error::new(ErrorKind::Decode, format!("payload {problem}"));
        T::deserialize(reader::Reader(payload)).map_err(problem)
    }
}

impl Codec for Raw {
    fn content_type(&self) -> &str {
        "application/octet-stream"
    }

    fn reads(&self, content_type: &str) -> bool {
        ["application/octet-stream", "text/plain"].iter().any(|name| content_type.eq_ignore_ascii_case(name))
    }

    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
        Self::write(event, buffer)
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        Ok(read(&mut <dyn erased_serde::Deserializer<'_>>::erase(reader::Reader(payload)))?)
    }
}

/// What is neither bytes nor text.
#[derive(Debug)]
struct NotRaw(String);

impl NotRaw {
    fn shape() -> Self {
        Self("is bytes or text only: the event must be a newtype of `Vec<u8>`, `Bytes` or `String`".to_owned())
    }
}

impl fmt::Display for NotRaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotRaw {}

impl ser::Error for NotRaw {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self(problem.to_string())
    }
}

impl de::Error for NotRaw {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self(super::problem::without_values(&problem.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Photo(Vec<u8>);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line(String);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Shared {
        bytes: Bytes,
    }

    fn round<T: Serialize + DeserializeOwned>(event: &T) -> (BytesMut, T) {
        let mut buffer = BytesMut::new();
        Raw::write(event, &mut buffer).expect("encodes");
        let read = Raw::read(&buffer).expect("decodes");
        (buffer, read)
    }

    #[test]
    fn bytes_and_text_are_the_payload() {
        let photo = Photo(vec![0, 255, 7]);
        assert_eq!(round(&photo), (BytesMut::from(&[0, 255, 7][..]), photo));
        let line = Line("grüezi".into());
        assert_eq!(round(&line), (BytesMut::from("grüezi"), line));
        let shared = Shared { bytes: Bytes::from_static(&[1, 2]) };
        assert_eq!(round(&shared), (BytesMut::from(&[1, 2][..]), shared));
    }

    #[test]
    fn anything_else_is_refused_and_says_what_would_do() {
        #[derive(Serialize, Deserialize)]
        struct User {
            name: String,
        }
        let text = Raw::write(&User { name: "x".into() }, &mut BytesMut::new()).expect_err("no bytes").to_string();
        assert!(text.contains("newtype of `Vec<u8>`"), "{text}");
        let text = Raw::read::<User>(b"x").map(|user| user.name).expect_err("no bytes").to_string();
        assert!(text.contains("newtype of `Vec<u8>`"), "{text}");
        assert_eq!(Raw::read::<Line>(&[255]).expect_err("not text").to_string(), "payload is not UTF-8");
    }
}
