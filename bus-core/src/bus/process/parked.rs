//! A message that waits, as health shows it.

use tokio::time::Instant;

use crate::bus::health::{Parked, Stage, key_text};
use crate::bus::process::Work;
use crate::error::shown;

impl Work {
    /// It goes on then. `refusal` says which copy of it was not taken, and why, if it waits for that.
    pub(crate) fn parked(&self, goes_on: Instant, refusal: Option<(&'static str, String)>) -> Parked {
        let kept = self.failing.as_ref().map(|failing| &*failing.reason);
        let stage = if refusal.is_some() { Stage::Parked } else { Stage::Waiting };
        let (copy, refusal) = refusal.map_or(("", None), |(copy, refusal)| (copy, Some(refusal)));
        Parked {
            key: self.received.delivery.message.key.as_ref().map(key_text),
            origin: self.origin(),
            stage,
            attempts: self.attempts,
            since: self.failing_since(),
            goes_on,
            copy,
            reason: shown(refusal.as_deref().or(kept).unwrap_or_default()),
        }
    }

    /// Now, where it never got to a handler.
    pub(crate) fn failing_since(&self) -> Instant {
        self.failing.as_ref().map_or_else(Instant::now, |failing| failing.since)
    }
}
