//! A letter for people to read.

use std::fmt;

use bytes::Bytes;

use super::{Failure, Letter, Reason};
use crate::text::{Shown, rfc3339};

impl fmt::Display for Letter {
    /// Some lines: where it stands and why, where it came from, what failed, and its key. What is not known is left
    /// out. Never the payload, and no value of a header but those that made it a dead letter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.stands, self.reason)?;
        if let Some(attempts) = self.attempts {
            write!(f, ", {attempts} attempt{}", if attempts == 1 { "" } else { "s" })?;
        }
        self.show_origin(f)?;
        if self.failure != Failure::default() {
            write!(f, "\n  error  {}", self.failure)?;
        }
        if let Some(at) = self.failed_at() {
            write!(f, "\n  failed {}", rfc3339(at))?;
        }
        if let Some(first) = self.first_failed_at.filter(|first| Some(*first) != self.last_failed_at) {
            write!(f, ", first {}", rfc3339(first))?;
        }
        if self.replays > 0 {
            write!(f, "\n  sent back before: {}", self.replays)?;
        }
        if let Some(event_type) = self.event_type() {
            write!(f, "\n  event  {}", Shown(event_type))?;
        }
        match self.key_text() {
            Some(key) => write!(f, "\n  key    {}", Shown(&key)),
            None => Ok(()),
        }
    }
}

impl Letter {
    fn show_origin(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin.place() {
            Some(place) => write!(f, "\n  from   {}", Shown(&place.to_string()))?,
            None => f.write_str("\n  from   unknown")?,
        }
        if let Some(group) = &self.origin.group {
            write!(f, ", group {}", Shown(group))?;
        }
        match self.origin.published_at {
            Some(at) => write!(f, ", published {}", rfc3339(at)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("stands", &self.stands.to_string())
            .field("convention", &self.convention)
            .field("origin", &self.origin)
            .field("reason", &self.reason)
            .field("failure", &self.failure.class)
            .field("attempts", &self.attempts)
            .field("replays", &self.replays)
            .field("key_bytes", &self.key.as_ref().map(Bytes::len))
            .field("payload_bytes", &self.payload.as_ref().map(Bytes::len))
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use gulo_bus_core::dead_letter::Reason as Written;
        match self {
            Self::AttemptsExhausted => f.write_str(Written::AttemptsExhausted.name()),
            Self::Permanent => f.write_str(Written::Permanent.name()),
            Self::Undecodable => f.write_str(Written::Undecodable.name()),
            Self::Unknown(Some(text)) => Shown(text).fmt(f),
            Self::Unknown(None) => f.write_str("reason unknown"),
        }
    }
}

impl fmt::Display for Failure {
    /// `class: message`, on one line; the trace is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.class.as_deref().or(self.cause.as_deref()), self.message.as_deref()) {
            (Some(class), Some(message)) => write!(f, "{}: {}", Shown(class), Shown(message)),
            (Some(text), None) | (None, Some(text)) => Shown(text).fmt(f),
            (None, None) => f.write_str("unknown"),
        }
    }
}
