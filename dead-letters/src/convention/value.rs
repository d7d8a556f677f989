//! Values of headers, which may be anything.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gulo_bus_core::headers::Headers;

/// Text that names something: UTF-8 and not empty.
pub(super) fn name(headers: &Headers, header: &str) -> Option<Arc<str>> {
    headers.get_str(header).filter(|text| !text.is_empty()).map(Arc::from)
}

/// Text for people: what is not UTF-8 is replaced.
pub(super) fn words(headers: &Headers, header: &str) -> Option<String> {
    let value = headers.get(header).filter(|value| !value.is_empty())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// A number in decimal digits.
pub(super) fn number<T: FromStr>(headers: &Headers, header: &str) -> Option<T> {
    headers.get_str(header)?.parse().ok()
}

/// An offset in decimal digits: -1 is how some say that there is none.
pub(super) fn offset(headers: &Headers, header: &str) -> Option<i64> {
    number(headers, header).filter(|offset| *offset >= 0)
}

/// Four bytes, big-endian.
pub(super) fn int(headers: &Headers, header: &str) -> Option<i32> {
    Some(i32::from_be_bytes(headers.get(header)?.try_into().ok()?))
}

/// Eight bytes, big-endian, not negative.
pub(super) fn long(headers: &Headers, header: &str) -> Option<i64> {
    let value = i64::from_be_bytes(headers.get(header)?.try_into().ok()?);
    (value >= 0).then_some(value)
}

/// A time in RFC 3339.
pub(super) fn time(headers: &Headers, header: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(headers.get_str(header)?).ok()?.to_utc())
}

/// A time in milliseconds since 1970. -1 is how some say that there is none.
pub(super) fn millis(millis: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis).filter(|_| millis >= 0)
}
