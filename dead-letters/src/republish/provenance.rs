//! What is written on a message that is sent back, as headers. Values are UTF-8 text. A handler may look at them:
//!
//! ```
//! # use gulo_bus_core::handler::Payload;
//! # use gulo_bus_core::headers::Headers;
//! # use gulo_dead_letters::provenance;
//! async fn repair(_: Payload, headers: Headers) {
//!     if let Some(letter) = headers.get_str(provenance::FROM) {
//!         println!("{letter}, sent back {} times", headers.get_str(provenance::REPLAYS).unwrap_or("1"));
//!     }
//! }
//! ```

use chrono::{DateTime, Utc};
use gulo_bus_core::dead_letter;
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::Origin;

use crate::text::rfc3339;

/// Where the letter stood that it was made of: `topic[partition]@offset`.
pub const FROM: &str = "dead-letter-replayed-from";
/// When it was sent back, [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) in UTC.
pub const AT: &str = "dead-letter-replayed-at";
/// The only group that is to handle it. Without this header it is for every group.
pub const FOR: &str = dead_letter::REPLAYED_FOR;
/// How often it has been sent back, this time included. Kept on the letters that it becomes again.
pub const REPLAYS: &str = dead_letter::REPLAYS;

pub(crate) fn is(name: &str) -> bool {
    [FROM, AT, FOR, REPLAYS].contains(&name)
}

/// Writes it behind the others.
pub(super) fn write(headers: &mut Headers, stands: &Origin, at: DateTime<Utc>, group: Option<&str>, replays: u32) {
    headers.append(FROM, stands.to_string());
    headers.append(AT, rfc3339(at));
    if let Some(group) = group {
        headers.append(FOR, group.to_owned());
    }
    headers.append(REPLAYS, replays.to_string());
}
