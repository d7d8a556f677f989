//! JSON.

use std::io;

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::without_values;
use super::{Codec, CodecError, ReadEvent};
use crate::error::{Error, ErrorKind, Result};

/// [JSON](https://www.rfc-editor.org/rfc/rfc8259), 128 levels deep at most. Bytes behind the value are an error. The
/// codec of every topic that says no other; [the module](crate::codec) has an example.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json;

impl Json {
    pub(super) fn write<T: Serialize + ?Sized>(event: &T, buffer: &mut BytesMut) -> Result<(), CodecError> {
        Ok(serde_json::to_writer(ToEnd(buffer), event)?)
    }

    pub(super) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
        serde_json::from_slice(payload).map_err(|cause| problem(&cause))
    }
}

/// [`BufMut::writer`](bytes::BufMut::writer) with less to be asked: JSON is written in many small pieces.
struct ToEnd<'b>(&'b mut BytesMut);

impl io::Write for ToEnd<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.write_all(piece).map(|()| piece.len())
    }

    #[inline]
    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(piece);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `cause` gives line, column and field, but for a wrong type it quotes the value: that is payload, and payload stays
/// out of errors.
pub(crate) fn problem(cause: &serde_json::Error) -> Error {
    let (line, column) = (cause.line(), cause.column());
    let problem = match cause.classify() {
        serde_json::error::Category::Eof => "ends too early".to_owned(),
        serde_json::error::Category::Syntax => "is not JSON".to_owned(),
        _ => without_values(&cause.to_string()),
    };
    Error::new(ErrorKind::Decode, format!("payload {problem}, at line {line} column {column}"))
}

impl Codec for Json {
    fn content_type(&self) -> &str {
        "application/json"
    }

    fn reads(&self, content_type: &str) -> bool {
        let is = |name: &str| content_type.eq_ignore_ascii_case(name);
        let suffix = content_type.len().saturating_sub("+json".len());
        let has_suffix = content_type.get(suffix..).is_some_and(|end| end.eq_ignore_ascii_case("+json"));
        is("application/json") || is("text/json") || has_suffix
    }

    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
        Self::write(event, buffer)
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        let mut json = serde_json::Deserializer::from_slice(payload);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))?;
        Ok(json.end()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Card {
        #[serde(rename = "number")]
        _number: u64,
    }

    fn problem(json: &str) -> String {
        Json::read::<Card>(json.as_bytes()).expect_err("does not decode").to_string()
    }

    #[test]
    fn an_error_names_the_problem_and_never_the_value() {
        let text = problem(r#"{"number":"4111, expected 1111"}"#);
        assert!(text.contains("expected u64") && !text.contains("4111") && !text.contains("1111"), "{text}");
        let text = problem(r#"{"number":"x, expected 4111 at line 1"}"#);
        assert!(text.contains("expected u64") && !text.contains("4111"), "{text}");
        assert!(problem("{}").contains("missing field `number`"));
        assert!(problem(r#"{"number":1"#).contains("ends too early"));
        assert!(problem("hunter2").contains("is not JSON"));
        assert!(!problem("-4111").contains("4111"));
    }

    #[test]
    fn what_calls_itself_json_is_read() {
        for json in ["application/json", "Application/JSON", "text/json", "application/vnd.example+json"] {
            assert!(Json.reads(json), "{json}");
        }
        for other in ["application/msgpack", "+jso", "json", ""] {
            assert!(!Json.reads(other), "{other}");
        }
    }
}
