//! How fast messages are sent. Pure.

use std::time::Duration;

use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

/// With a rate, a batch is at most a tenth of a second of it: it comes evenly, and not in one heap a second.
const SLICES: usize = 10;

#[derive(Debug)]
pub(super) struct Pace {
    each: Duration,
    batch: usize,
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(per_second: Option<u32>, batch: usize) -> Result<Self> {
        let (each, batch) = match per_second {
            None => (Duration::ZERO, batch),
            Some(0) => {
                let error = Error::new(ErrorKind::Config, "a rate of 0 messages a second sends nothing");
                return Err(error.help("give `per_second` at least 1"));
            }
            Some(rate) => (Duration::from_secs(1) / rate, batch.min((rate as usize / SLICES).max(1))),
        };
        Ok(Self { each, batch, next: None })
    }

    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// When the next `count` may go. Time that was not used is not made up for.
    pub(super) fn next(&mut self, now: Instant, count: usize) -> Instant {
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(at + self.each * u32::try_from(count).unwrap_or(u32::MAX));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_evenly_and_time_lost_is_not_made_up_for() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(100), 50).unwrap();
        assert_eq!(pace.batch(), 10);
        assert_eq!(pace.next(start, 10), start);
        assert_eq!(pace.next(start, 10), start + Duration::from_millis(100));
        let late = start + Duration::from_secs(9);
        assert_eq!(pace.next(late, 1), late);
        assert_eq!(pace.next(late, 1), late + Duration::from_millis(10));
    }

    #[test]
    fn without_a_rate_nothing_waits_and_a_rate_of_0_is_an_error() {
        let start = Instant::now();
        let mut pace = Pace::new(None, 50).unwrap();
        assert_eq!((pace.batch(), pace.next(start, 50), pace.next(start, 50)), (50, start, start));
        assert_eq!(Pace::new(Some(0), 50).unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(Pace::new(Some(1), 50).unwrap().batch(), 1);
    }
}
