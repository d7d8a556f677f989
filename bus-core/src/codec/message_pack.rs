//! MessagePack.

use bytes::{BufMut, BytesMut};
use rmp_serde::decode::{Error as DecodeError, ReadRefReader};
use rmp_serde::{Deserializer, Serializer};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::problem::without_values;
use super::{Codec, CodecError, ReadEvent};
use crate::error::{Error, ErrorKind, Result};

/// [MessagePack](https://github.com/msgpack/msgpack/blob/master/spec.md), structs as maps with named fields: a field
/// more or less then breaks nobody, which the shorter form, arrays, does. 128 levels deep at most. Bytes behind the
/// value are an error.
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::codec::MessagePack;
/// let bus = Bus::builder("station").topic("readings", |t| t.codec(MessagePack));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessagePack;

const DEPTH: usize = 128;

impl MessagePack {
    pub(super) fn write<T: Serialize + ?Sized>(event: &T, buffer: &mut BytesMut) -> Result<(), CodecError> {
        Ok(event.serialize(&mut Serializer::new(buffer.writer()).with_struct_map())?)
    }

    pub(super) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
        let mut reader = Deserializer::from_read_ref(payload);
        reader.set_max_depth(DEPTH);
        let event = T::deserialize(&mut reader).map_err(|cause| problem(&cause))?;
        if is_at_end(&mut reader) {
            Ok(event)
        } else {
            Err(Error::new(ErrorKind::Decode, format!("payload {GOES_ON}")))
        }
    }
}

const GOES_ON: &str = "goes on behind its MessagePack value";

/// Whether there is no marker of a next value.
fn is_at_end<'de>(reader: &mut Deserializer<ReadRefReader<'de, [u8]>>) -> bool {
    matches!(IgnoredAny::deserialize(reader), Err(DecodeError::InvalidMarkerRead(_)))
}

fn problem(cause: &DecodeError) -> Error {
    let problem = match cause {
        DecodeError::InvalidMarkerRead(_) | DecodeError::InvalidDataRead(_) => "ends too early".to_owned(),
        // Its marker may hold the value.
        DecodeError::TypeMismatch(_) => "has a value of another type than the event".to_owned(),
        DecodeError::Syntax(text) => without_values(text),
        DecodeError::DepthLimitExceeded => format!("is more than {DEPTH} levels deep"),
        DecodeError::LengthMismatch(expected) => format!("has an array of another length than {expected}"),
        DecodeError::OutOfRange => "has a number out of range".to_owned(),
        DecodeError::Utf8Error(_) => "has a string that is not UTF-8".to_owned(),
        _ => "is not the MessagePack of the event".to_owned(),
    };
    Error::new(ErrorKind::Decode, format!("payload {problem}"))
}

impl Codec for MessagePack {
    fn content_type(&self) -> &str {
        "application/msgpack"
    }

    fn reads(&self, content_type: &str) -> bool {
        let names = ["application/msgpack", "application/vnd.msgpack", "application/x-msgpack"];
        names.iter().any(|name| content_type.eq_ignore_ascii_case(name))
    }

    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
        Self::write(event, buffer)
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        let mut reader = Deserializer::from_read_ref(payload);
        reader.set_max_depth(DEPTH);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut reader))?;
        if is_at_end(&mut reader) { Ok(()) } else { Err(GOES_ON.into()) }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct User {
        name: String,
        age: u32,
    }

    fn bytes<T: Serialize>(value: &T) -> BytesMut {
        let mut buffer = BytesMut::new();
        MessagePack::write(value, &mut buffer).expect("encodes");
        buffer
    }

    fn problem<T: Serialize>(value: &T) -> String {
        MessagePack::read::<User>(&bytes(value)).expect_err("does not decode").to_string()
    }

    #[test]
    fn fields_have_names_so_that_one_more_breaks_nobody() {
        #[derive(Serialize)]
        struct Newer {
            title: &'static str,
            age: u32,
            name: &'static str,
        }
        let newer = bytes(&Newer { title: "Dr", age: 7, name: "Ann" });
        assert_eq!(MessagePack::read::<User>(&newer).expect("decodes"), User { name: "Ann".into(), age: 7 });
    }

    #[test]
    fn an_error_names_the_problem_and_never_the_value() {
        #[derive(Serialize)]
        struct Wrong {
            name: &'static str,
            age: &'static str,
        }
        let text = problem(&Wrong { name: "x", age: "4111" });
        assert_eq!(text, "payload has a value of another type than the event");
        assert!(problem(&std::collections::BTreeMap::from([("name", "x")])).contains("missing field `age`"));
        let whole = bytes(&User { name: "Ann".into(), age: 7 });
        let cut = MessagePack::read::<User>(&whole[..whole.len() - 2]).expect_err("cut").to_string();
        assert_eq!(cut, "payload ends too early");
        let more = [&whole[..], b"\x01"].concat();
        let text = MessagePack::read::<User>(&more).expect_err("more").to_string();
        assert_eq!(text, "payload goes on behind its MessagePack value");
    }

    /// A length is a claim, and no reason to take as much memory.
    #[test]
    fn a_length_that_is_not_there_costs_nothing() {
        for head in [[0xdd, 0xff, 0xff, 0xff, 0xff], [0xdf, 0xff, 0xff, 0xff, 0xff]] {
            assert!(MessagePack::read::<Vec<u64>>(&head).is_err());
            assert!(MessagePack::read::<std::collections::BTreeMap<String, u64>>(&head).is_err());
            assert!(MessagePack::read::<Vec<Vec<Vec<u64>>>>(&head).is_err());
        }
        for head in [[0xdb, 0xff, 0xff, 0xff, 0xff], [0xc6, 0xff, 0xff, 0xff, 0xff]] {
            assert!(MessagePack::read::<String>(&head).is_err());
            assert!(MessagePack::read::<bytes::Bytes>(&head).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = MessagePack::read::<User>(&bytes);
            let _ = MessagePack::read::<Vec<Option<User>>>(&bytes);
            let _ = MessagePack::read::<IgnoredAny>(&bytes);
        }
    }

    #[test]
    fn depth_is_capped() {
        let mut deep = vec![0x91; 100_000];
        deep.push(0xc0);
        let text = MessagePack::read::<IgnoredAny>(&deep).map(drop).expect_err("too deep").to_string();
        assert_eq!(text, "payload is more than 128 levels deep");
        let read = MessagePack.decode(&deep, &mut |reader| erased_serde::deserialize::<IgnoredAny>(reader).map(drop));
        assert_eq!(read.expect_err("too deep").to_string(), "depth limit exceeded");
    }
}
