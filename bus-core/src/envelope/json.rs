//! What the envelopes that are JSON share.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::codec::{Codec, Json, essence, json_problem};
use crate::error::{Error, ErrorKind, Result};

/// JSON is what data is where its content type is not given.
pub(super) fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_none_or(|content_type| Json.reads(essence(content_type)))
}

/// Whether a header says that a message is JSON, or nothing.
pub(super) fn may_be(content_type: Option<&[u8]>) -> bool {
    content_type.is_none_or(|said| std::str::from_utf8(said).is_ok_and(|said| is_json(Some(said))))
}

/// `payload` as a part of JSON to be written. A codec may be anybody's: what is not JSON would break the whole.
pub(super) fn raw_json(payload: &[u8]) -> Result<&RawValue> {
    let foreign = |cause| {
        let problem = format!("what the codec wrote is not JSON for the envelope: {}", json_problem(&cause));
        Error::new(ErrorKind::Encode, problem).help("let the codec say another content type, or write JSON")
    };
    serde_json::from_slice(payload).map_err(foreign)
}

/// `value` as JSON, written to the end of `buffer`, whose memory it shares.
pub(super) fn encode<T: Serialize>(value: &T, buffer: &mut BytesMut) -> Result<Bytes> {
    serde_json::to_writer((&mut *buffer).writer(), value).map_err(|cause| {
        // Half of an event must not stand before the next one.
        buffer.clear();
        Error::new(ErrorKind::Encode, format!("the envelope does not encode as JSON: {cause}"))
            .help("give the topic another envelope")
    })?;
    Ok(buffer.split().freeze())
}

/// `body` as a JSON object.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T> {
    // serde would take an array for the fields in their order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(decode(format!("{what}: payload is not a JSON object")));
    }
    serde_json::from_slice(body).map_err(|cause| json_problem(&cause).context(what).help(WHO_SENDS))
}

/// A message that is not what it says, or not what its topic is described to have.
const WHO_SENDS: &str = "who sends it has to mend it, or the topic is described with another envelope";

pub(super) fn decode(problem: impl Into<String>) -> Error {
    Error::new(ErrorKind::Decode, problem).help(WHO_SENDS)
}
