//! The record in words, a line for each thing that happened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::envelope;
use gulo_bus_core::layer::Invocation;
use gulo_bus_core::message::{Message, Origin};

use super::{Entry, Record, What};

/// Lines at most: what is wrong is seldom further back.
const LINES: usize = 200;

/// What happened, in order and readable, as [`TestBus::log`](crate::TestBus::log) gives it. Keys and what errors say stand
/// in it; payloads never do.
#[derive(Debug, Clone)]
pub struct Log(Vec<Entry>);

impl Record {
    pub(crate) fn log(&self) -> Log {
        Log(self.entries())
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.0.iter().filter(|entry| !matches!(entry.what, What::Retried { .. })).collect();
        let left_out = shown.len().saturating_sub(LINES);
        if left_out > 0 {
            writeln!(f, "  .. {left_out} before these")?;
        }
        shown.iter().skip(left_out).try_for_each(|entry| writeln!(f, "  {entry}"))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}  ", seconds(self.at))?;
        match &self.what {
            What::Published { message } => {
                write!(f, "published {} to {}{}", kind(message), message.topic, key(message))
            }
            What::NotConfirmed { message, outcome, error } => {
                let (kind, topic, key) = (kind(message), &message.topic, key(message));
                write!(f, "{} {kind} to {topic}{key}: {}", outcome.name(), line(error))
            }
            What::Handled { call } => write!(f, "{} handled", Called(call)),
            What::Failed { call, error } => write!(f, "{} failed: {}", Called(call), line(error)),
            What::Dropped { call } => write!(f, "{} was dropped before its end", Called(call)),
            What::Retried { call, error } => write!(f, "{} begins, after: {}", Called(call), line(error)),
            What::Skipped { group, message, origin } => write!(f, "{} skipped", At(group, message, origin)),
            What::DeadLettered { group, message, origin, letter } => {
                let (reason, error) = (letter.reason.name(), line(&letter.error));
                write!(f, "{} dead-lettered, {reason}: {error}", At(group, message, origin))
            }
            What::Restarted { crashed: true } => f.write_str("-- the bus crashed and is started again --"),
            What::Restarted { crashed: false } => f.write_str("-- the bus was shut down and is started again --"),
        }
    }
}

struct At<'a>(&'a Arc<str>, &'a Message, &'a Origin);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(group, message, origin) = self;
        write!(f, "group {group}: {} {origin}{}", kind(message), key(message))
    }
}

struct Called<'a>(&'a Invocation);

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Invocation { group, message, origin, meta, attempt, .. } = self.0;
        write!(f, "group {group}: {} {origin}{}, attempt {attempt}", meta.event_type, key(message))
    }
}

/// The type it says, or what it is.
pub(crate) fn kind(message: &Message) -> String {
    match (envelope::event_type(message), &message.payload) {
        (Some(event_type), _) => line(event_type),
        (None, Some(_)) => "a message without a type".into(),
        (None, None) => "a tombstone".into(),
    }
}

/// ` of key 7`: text, or `0x` and hexadecimal digits; nothing where there is none.
fn key(message: &Message) -> String {
    match &message.key {
        Some(key) => format!(" of key {}", key_text(key)),
        None => String::new(),
    }
}

/// As health shows keys.
pub(crate) fn key_text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => line(text),
        Err(_) => key.iter().take(32).fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}

/// Text from outside, on one line.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(256).collect()
}

fn seconds(time: Duration) -> String {
    format!("{:.3}s", time.as_secs_f64())
}
