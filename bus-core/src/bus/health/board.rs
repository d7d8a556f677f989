//! Where a group's runner says how its lanes are, and everyone may look. Times are kept as instants, so that what was
//! said does not go stale: ages are those of the moment of looking.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::bus::health::{InFlight, LaneHealth, LaneState, ParkedKey, Stage};
use crate::message::Origin;
use crate::settle::Lane;
use crate::time::later;

const KEY_CHARACTERS: usize = 64;
/// Parked messages of a lane that are named.
pub(crate) const NAMED: usize = 16;

#[derive(Debug)]
pub(crate) struct Board {
    stall_after: Duration,
    base: Instant,
    /// When the poll began that is under way, in nanoseconds from `base`; 0 for none.
    polling: AtomicU64,
    shot: Mutex<Arc<Shot>>,
}

/// How the lanes were when the runner looked.
#[derive(Debug, Default)]
pub(crate) struct Shot {
    pub(crate) lanes: Vec<LaneShot>,
    /// A runner that goes on looks again within this time, if anything has changed.
    pub(crate) interval: Duration,
}

#[derive(Debug)]
pub(crate) struct LaneShot {
    pub(crate) lane: Lane,
    pub(crate) origin: Origin,
    pub(crate) state: LaneState,
    pub(crate) in_flight: usize,
    pub(crate) oldest: Option<Oldest>,
    pub(crate) waiting: Vec<Parked>,
    pub(crate) waiting_total: usize,
    pub(crate) last_progress: Option<Instant>,
    /// Since when nothing has ended although there was something.
    pub(crate) quiet_since: Instant,
}

#[derive(Debug)]
pub(crate) struct Oldest {
    pub(crate) offset: Option<i64>,
    pub(crate) key: Option<String>,
    pub(crate) stage: Stage,
    pub(crate) since: Instant,
}

/// A message that waits.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    pub(crate) key: Option<String>,
    pub(crate) origin: Origin,
    pub(crate) stage: Stage,
    pub(crate) attempts: u32,
    pub(crate) since: Instant,
    pub(crate) goes_on: Instant,
    /// What of it is not taken, where it waits for that.
    pub(crate) copy: &'static str,
    pub(crate) reason: String,
}

impl Board {
    pub(crate) fn new(stall_after: Duration) -> Self {
        Self { stall_after, base: Instant::now(), polling: AtomicU64::new(0), shot: Mutex::default() }
    }

    pub(crate) fn poll_begins(&self) {
        self.polling.store(self.base.elapsed().as_nanos().max(1) as u64, Relaxed);
    }

    /// Returns for how long it lasted, where that was too long.
    pub(crate) fn poll_ends(&self) -> Option<Duration> {
        let lasted = self.blocked(Instant::now());
        self.polling.store(0, Relaxed);
        lasted
    }

    /// When the poll began that is under way.
    pub(crate) fn polling_since(&self) -> Option<Instant> {
        let nanos = self.polling.load(Relaxed);
        (nanos > 0).then(|| self.base + Duration::from_nanos(nanos))
    }

    pub(crate) fn put(&self, shot: Shot) {
        *self.shot.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(shot);
    }

    pub(crate) fn shot(&self) -> Arc<Shot> {
        Arc::clone(&self.shot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For how long one poll has lasted, where that is too long.
    pub(crate) fn blocked(&self, now: Instant) -> Option<Duration> {
        let lasted = now.saturating_duration_since(self.polling_since()?);
        (lasted >= self.stall_after).then_some(lasted)
    }

    /// When the first of what is not stalled or blocked could be, as far as is known.
    pub(crate) fn next_stall(&self, now: Instant) -> Instant {
        let shot = self.shot();
        let busy = shot.lanes.iter().filter(|lane| lane.in_flight > 0).map(|lane| lane.quiet_since + shot.slack());
        let times = busy.chain(self.polling_since()).map(|since| later(since, self.stall_after));
        times.filter(|at| *at > now).fold(later(now, self.stall_after), Instant::min)
    }

    /// How the lanes are; `letters` are the messages of a lane whose dead letters are not taken.
    pub(crate) fn lanes(&self, now: Instant, letters: impl Fn(Lane) -> Vec<Parked>) -> Vec<LaneHealth> {
        let shot = self.shot();
        let too_long = self.stall_after.saturating_add(shot.slack());
        shot.lanes.iter().map(|lane| lane.health(now, too_long, letters(lane.lane))).collect()
    }
}

impl Shot {
    /// What ended in the meantime may not have been seen yet.
    fn slack(&self) -> Duration {
        self.interval * 2
    }
}

impl LaneShot {
    fn health(&self, now: Instant, too_long: Duration, letters: Vec<Parked>) -> LaneHealth {
        let quiet = now.saturating_duration_since(self.quiet_since);
        let mut parked = self.waiting.clone();
        let parked_total = self.waiting_total + letters.len();
        parked.extend(letters);
        parked.sort_by_key(|parked| parked.since);
        parked.truncate(NAMED);
        LaneHealth {
            origin: self.origin.clone(),
            state: self.state,
            in_flight: self.in_flight,
            oldest: self.oldest.as_ref().map(|oldest| oldest.health(now, &self.origin)),
            parked: parked.into_iter().map(|parked| parked.health(now)).collect(),
            parked_total,
            last_progress: self.last_progress.map(|at| now.saturating_duration_since(at)),
            stalled: (self.in_flight > 0 && quiet >= too_long).then_some(quiet),
        }
    }
}

impl Oldest {
    fn health(&self, now: Instant, lane: &Origin) -> InFlight {
        let age = now.saturating_duration_since(self.since);
        let origin = Origin { offset: self.offset, ..lane.clone() };
        InFlight { age, origin, key: self.key.clone(), stage: self.stage }
    }
}

impl Parked {
    fn health(self, now: Instant) -> ParkedKey {
        let Self { key, origin, stage, attempts, since, goes_on, reason, .. } = self;
        let since = now.saturating_duration_since(since);
        let goes_on_in = goes_on.saturating_duration_since(now);
        ParkedKey { key, origin, stage, attempts, since, goes_on_in, reason }
    }
}

/// A key as people read it: text as it is, bytes as hexadecimal digits; both cut.
pub(crate) fn key_text(key: &Bytes) -> String {
    let text = std::str::from_utf8(key).ok().filter(|text| !text.chars().any(char::is_control));
    let (mut shown, whole) = match text {
        Some(text) => (text.chars().take(KEY_CHARACTERS).collect::<String>(), text.chars().count() <= KEY_CHARACTERS),
        None => {
            let head = key.iter().take(KEY_CHARACTERS / 2);
            (head.fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")), key.len() <= KEY_CHARACTERS / 2)
        }
    };
    if !whole {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_as_text_or_as_digits_and_cut() {
        assert_eq!(key_text(&Bytes::from_static("Grün".as_bytes())), "Grün");
        assert_eq!(key_text(&Bytes::from_static(&[0xff, 0x00])), "0xff00");
        assert_eq!(key_text(&Bytes::from_static(b"a\nb")), "0x610a62");
        assert_eq!(key_text(&Bytes::from(vec![b'k'; 65])), format!("{}…", "k".repeat(64)));
        assert_eq!(key_text(&Bytes::from(vec![0xff; 33])), format!("0x{}…", "ff".repeat(32)));
    }
}
