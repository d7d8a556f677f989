//! Whether what was handed out is still ours. A process that was stopped for longer than the broker waits for heartbeats
//! wakes up with messages that others have got since, and does not know it yet.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// Notes when this process was last seen to run.
#[derive(Debug)]
pub(crate) struct Alive {
    /// Half of the heartbeat: the broker closes a connection of which it has heard nothing for one, and what it heard last
    /// may be half of one old.
    limit: Duration,
    seen: Cell<Instant>,
    doubt: Cell<bool>,
}

impl Alive {
    pub(crate) fn new(heartbeat: Duration) -> Self {
        Self { limit: heartbeat / 2, seen: Cell::new(Instant::now()), doubt: Cell::new(false) }
    }

    /// How often it must be [`seen`](Self::seen) where all is well.
    pub(crate) fn interval(&self) -> Duration {
        self.limit / 2
    }

    /// It runs.
    pub(crate) fn seen(&self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.seen.replace(now)) > self.limit {
            self.doubt.set(true);
        }
    }

    pub(crate) fn may_begin(&self) -> bool {
        self.seen();
        !self.doubt.get()
    }

    pub(crate) fn in_doubt(&self) -> bool {
        self.doubt.get()
    }

    /// The broker has answered, or has said that all is lost.
    pub(crate) fn is_known(&self) {
        self.doubt.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_away_for_long_is_in_doubt_until_it_is_known() {
        let alive = Alive::new(Duration::from_secs(10));
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(5)).await;
            assert!(alive.may_begin());
        }
        tokio::time::advance(Duration::from_millis(5001)).await;
        assert!(!alive.may_begin() && !alive.may_begin() && alive.in_doubt());
        alive.is_known();
        assert!(alive.may_begin());
    }
}
