//! Headers that events of one batch have in common: written once, then copied, with another id and time in their places.

use std::borrow::Cow;
use std::sync::Arc;

use crate::event::EventMeta;
use crate::headers::{Copied, Packing};
use crate::time::Rfc3339;

/// What is remembered of the first of them.
#[derive(Debug)]
pub(crate) struct Form {
    /// Whether others are to come, so that it is worth remembering.
    many: bool,
    pub(super) time: Rfc3339,
    filled: Option<Filled>,
}

/// The headers of an event, and what must be the same in another one to have these.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) headers: Copied,
    /// Where the id ends, and how long it is; and the time.
    pub(super) id: (usize, usize),
    pub(super) time: (usize, usize),
    pub(super) event_type: Cow<'static, str>,
    pub(super) source: Arc<str>,
    pub(super) version: u32,
    pub(super) content_type: Box<str>,
}

impl Form {
    /// For an event that stands alone.
    pub(crate) const fn of_one() -> Self {
        Self { many: false, time: Rfc3339::new(), filled: None }
    }

    pub(crate) const fn of_many() -> Self {
        Self { many: true, time: Rfc3339::new(), filled: None }
    }

    /// Only once: where events differ from each other, to remember each would cost more than it brings.
    pub(super) fn learn(&mut self, filled: impl FnOnce() -> Filled) {
        if self.many && self.filled.is_none() {
            self.filled = Some(filled());
        }
    }

    /// What differs from such an event in nothing but its id and its time.
    pub(super) fn filled_in_before(&self, meta: &EventMeta, content_type: &str, time: &[u8]) -> Option<&Filled> {
        self.filled.as_ref().filter(|filled| {
            (filled.id.1, filled.time.1, filled.version) == (meta.id.len(), time.len(), meta.version)
                && (Arc::ptr_eq(&filled.source, &meta.source) || filled.source == meta.source)
                && filled.event_type == meta.event_type
                && *filled.content_type == *content_type
        })
    }
}

impl Filled {
    pub(super) fn fill_in(&self, packing: &mut Packing<'_>, meta: &EventMeta, time: &[u8]) {
        packing.put_copy(&self.headers);
        packing.replace(self.id.0, meta.id.as_bytes());
        packing.replace(self.time.0, time);
    }
}
