//! Events to bytes and back.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// The media type of JSON, as written into `content-type`.
pub const JSON: &str = "application/json";

/// `value` as JSON, written to the end of `buffer`, whose memory it shares.
pub fn encode_json<T: Serialize>(value: &T, buffer: &mut BytesMut) -> Result<Bytes> {
    serde_json::to_writer(buffer.writer(), value).map_err(|cause| {
        // Half of an event must not stand before the next one.
        buffer.clear();
        Error::new(ErrorKind::Encode, format!("{} does not encode as JSON: {cause}", std::any::type_name::<T>()))
    })?;
    Ok(buffer.split().freeze())
}

/// A `T` out of JSON. Depth is capped by `serde_json` (128); bytes behind the value are an error.
pub fn decode_json<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    serde_json::from_slice(payload).map_err(|cause| {
        // `cause` gives line, column and field, but for a wrong type it quotes the value: that is payload, and payload
        // stays out of errors.
        let (line, column) = (cause.line(), cause.column());
        let problem = match cause.classify() {
            serde_json::error::Category::Eof => "ends too early".to_owned(),
            serde_json::error::Category::Syntax => "is not JSON".to_owned(),
            _ => without_values(&cause.to_string()),
        };
        Error::new(ErrorKind::Decode, format!("payload {problem}, at line {line} column {column}"))
    })
}

/// serde's text without what it quotes of the input: ``invalid type: string "secret", expected u64`` becomes
/// ``invalid type: string, expected u64``; ``missing field `email` `` stays.
fn without_values(text: &str) -> String {
    // What serde quotes of the input may contain anything, so everything is looked for from the end, where it is serde's.
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    if text.starts_with("missing field") || text.starts_with("duplicate field") {
        return text.to_owned();
    }
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return "does not fit the event".to_owned() };
    let problem = match found.split_once(": ") {
        Some((problem @ ("invalid type" | "invalid value" | "invalid length"), rest)) => {
            format!("{problem}: {}", rest.split([' ', ',']).next().unwrap_or_default())
        }
        _ if found.starts_with("unknown variant") => "unknown variant".to_owned(),
        _ if found.starts_with("unknown field") => "unknown field".to_owned(),
        _ => return "does not fit the event".to_owned(),
    };
    format!("{problem}, expected {expected}")
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
        decode_json::<Card>(json.as_bytes()).expect_err("does not decode").to_string()
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
}
