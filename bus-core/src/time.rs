//! Times as people and headers have them. What comes from outside may be any number.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Timelike, Utc};
use tokio::time::Instant;

/// As long as any wait need be: no clock counts to the end of time, and adding what is too long would panic.
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// `wait` after `at`, a year at most.
pub(crate) fn later(at: Instant, wait: Duration) -> Instant {
    at + wait.min(YEAR)
}

/// `None` for what no calendar of ours has: converting it would panic.
pub(crate) fn utc(time: SystemTime) -> Option<DateTime<Utc>> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    DateTime::from_timestamp(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())
}

/// RFC 3339 in UTC with microseconds, as text of [`TIME_BYTES`] bytes: `2026-11-24T10:00:00.123456Z`. Every event has
/// one, and `chrono` takes three times as long to write it. `None` beyond the year 9999, which has no such text.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> Option<[u8; TIME_BYTES]> {
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let year = u32::try_from(time.year()).ok().filter(|year| *year <= 9999)?;
    let parts = [
        (0..4, year),
        (5..7, time.month()),
        (8..10, time.day()),
        (11..13, time.hour()),
        (14..16, time.minute()),
        (17..19, time.second()),
        // A leap second is the second before it, longer.
        (20..26, time.timestamp_subsec_micros().min(999_999)),
    ];
    for (place, mut number) in parts {
        for digit in text.get_mut(place)?.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
    Some(text)
}

pub(crate) const TIME_BYTES: usize = 27;

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_written_as_chrono_writes_it(seconds in -62_167_219_200i64..253_402_300_800, nanos in 0u32..1_000_000_000) {
            let time = DateTime::from_timestamp(seconds, nanos).expect("in range");
            let text = rfc3339(time).expect("a text");
            let expected = time.to_rfc3339_opts(SecondsFormat::Micros, true);
            prop_assert_eq!(std::str::from_utf8(&text).expect("ASCII"), expected);
        }
    }

    #[test]
    fn a_time_out_of_range_is_none() {
        assert!(utc(UNIX_EPOCH + Duration::from_millis(i64::MAX as u64)).is_none());
        assert!(utc(UNIX_EPOCH - Duration::from_secs(1)).is_none());
        assert_eq!(utc(UNIX_EPOCH), DateTime::from_timestamp(0, 0));
    }
}
