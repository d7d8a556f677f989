//! Limits on what is published, checked before it costs anything.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use chrono::Datelike;

use crate::envelope;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::event::EventMeta;
use crate::message::Message;

/// How large an event may be. What is larger is refused before the wire, naming size and limit.
///
/// ```
/// # use gulo_bus_core::bus::{Bus, Limits};
/// let mut limits = Limits::default();
/// limits.payload_bytes = 64 << 10;
/// let bus = Bus::builder("user-service").limits(limits);
/// ```
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

/// The longest that a type may be at all: what a bus may be told to publish, others need not read.
const TYPE_BYTES: usize = 256;

pub(crate) const TYPE_RULE: &str = "a type is 1 to 256 bytes without control characters";

pub(crate) fn is_event_type(event_type: &str) -> bool {
    (1..=TYPE_BYTES).contains(&event_type.len()) && !event_type.contains(char::is_control)
}

fn has_control(text: &str) -> bool {
    !is_plain(text.as_bytes()) && text.contains(char::is_control)
}

/// Whether all bytes are from space to tilde, as nearly all are: eight at a time, for this is done for each event.
fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<8>() else { return text.iter().all(|byte| (b' '..=b'~').contains(byte)) };
    let (words, _) = text.as_chunks::<8>();
    words.iter().fold(odd(*last), |all, word| all | odd(*word)) == 0
}

/// Not 0 where a byte is below space or above tilde.
const fn odd(word: [u8; 8]) -> u64 {
    const EACH: u64 = u64::MAX / 255;
    let word = u64::from_ne_bytes(word);
    // The high bit of each byte: below space borrows, above tilde carries.
    (word | word.wrapping_sub(EACH * 0x20) | word.wrapping_add(EACH)) & (EACH * 0x80)
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload_bytes: 1 << 20, key_bytes: 4 << 10, headers: 64, header_bytes: 16 << 10, id_bytes: 256 }
    }
}

impl Limits {
    pub(crate) fn check(&self, message: &Message) -> Result<()> {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let small = length(&message.payload) <= self.payload_bytes && length(&message.key) <= self.key_bytes;
        let (headers, header_bytes) = message.headers.len_and_size();
        if small && headers <= self.headers && header_bytes <= self.header_bytes {
            return Ok(());
        }
        let sizes = [
            ("payload", length(&message.payload), self.payload_bytes, " bytes"),
            ("key", length(&message.key), self.key_bytes, " bytes"),
            ("number of headers, the bus's own included,", headers, self.headers, ""),
            ("size of all headers", header_bytes, self.header_bytes, " bytes"),
        ];
        let name = || envelope::event_type(message).unwrap_or(&message.topic);
        sizes.into_iter().try_for_each(|size| within(size, name))
    }

    /// `checked` is what the events before were found to have.
    pub(crate) fn check_meta(&self, meta: &EventMeta, checked: &mut Checked) -> Result<()> {
        let known = checked.is_of(meta);
        if !known && (meta.event_type.is_empty() || has_control(&meta.event_type)) {
            let problem = format!("events cannot be of type `{}`", shown(&meta.event_type));
            return Err(Error::new(ErrorKind::Refused, problem).help(TYPE_RULE));
        }
        let refused = |what: &str, problem: &str, help: &str| {
            let problem = format!("{what} of `{}` {problem}", shown(&meta.event_type));
            Err(Error::new(ErrorKind::Refused, problem).help(help))
        };
        if meta.id.is_empty() {
            return refused("event id", "is empty", "leave it out, and it gets one");
        }
        // As CloudEvents has it. What other events said, a correlation for one, is handed on as it came.
        if has_control(&meta.id) {
            return refused("event id", "has control characters", "give it plain text, or leave it out");
        }
        if !known && (meta.source.is_empty() || has_control(&meta.source)) {
            return refused("source", "is empty or has control characters", "it is a URI reference, as `user-service`");
        }
        if !(0..=9999).contains(&meta.time.year()) {
            return refused("time", "cannot be written as RFC 3339", "give it one of the years 0 to 9999");
        }
        within(("event id", meta.id.len(), self.id_bytes, " bytes"), || &meta.event_type)?;
        within(("event type", meta.event_type.len(), self.id_bytes, " bytes"), || &meta.event_type)?;
        if !known {
            checked.learn(meta);
        }
        Ok(())
    }
}

/// Type and source of an event that were found right: of a batch most have the very same.
#[derive(Debug, Default)]
pub(crate) struct Checked(Option<(&'static str, Arc<str>)>);

impl Checked {
    fn is_of(&self, meta: &EventMeta) -> bool {
        let (Some((event_type, source)), Cow::Borrowed(its)) = (&self.0, &meta.event_type) else { return false };
        std::ptr::eq(*event_type, *its) && Arc::ptr_eq(source, &meta.source)
    }

    fn learn(&mut self, meta: &EventMeta) {
        if let Cow::Borrowed(event_type) = meta.event_type {
            self.0 = Some((event_type, Arc::clone(&meta.source)));
        }
    }
}

#[inline]
fn within<'a>((what, size, limit, unit): (&str, usize, usize, &str), name: impl FnOnce() -> &'a str) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    let problem = format!("{what} of `{}` is {size}{unit}, the limit is {limit}", shown(name()));
    let instead = if what == "payload" { ", or send a reference instead of the content" } else { "" };
    Err(Error::new(ErrorKind::TooLarge, problem).help(format!("raise it with `Bus::builder(..).limits(..)`{instead}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_right_of_one_event_says_nothing_of_another_one() {
        let (limits, mut checked) = (Limits::default(), Checked::default());
        let mut check = |meta: &EventMeta| limits.check_meta(meta, &mut checked).is_ok();
        let good = EventMeta {
            id: "1".into(),
            time: chrono::DateTime::UNIX_EPOCH,
            event_type: "a.b".into(),
            version: 1,
            source: "users".into(),
            aggregate: None,
            correlation_id: None,
            causation_id: None,
        };
        for bad in [
            EventMeta { event_type: "a\nb".into(), ..good.clone() },
            EventMeta { event_type: "a\nb".to_owned().into(), ..good.clone() },
            EventMeta { event_type: "".into(), ..good.clone() },
            EventMeta { source: "a\nb".into(), ..good.clone() },
            EventMeta { source: "".into(), ..good.clone() },
            EventMeta { id: "a\nb".into(), ..good.clone() },
            EventMeta { id: "x".repeat(257), ..good.clone() },
        ] {
            assert!(!check(&bad), "{bad:?}");
            assert!(check(&good));
            assert!(check(&good) && !check(&bad) && !check(&bad), "{bad:?} behind one that is right");
        }
    }

    #[test]
    fn plain_text_is_told_from_text_with_anything_else_in_it_wherever_that_stands() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'~'; length];
                    text[at] = byte;
                    assert_eq!(is_plain(&text), (b' '..=b'~').contains(&byte), "{byte} at {at} of {length}");
                }
            }
        }
        assert!(is_plain(b"") && !has_control("M\u{fc}nchen") && has_control("M\u{85}nchen"));
    }
}
