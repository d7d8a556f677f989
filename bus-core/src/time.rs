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
    let time = time.naive_utc();
    let year = u32::try_from(time.year()).ok().filter(|year| *year <= 9999)?;
    let ([y1, y2], [y3, y4], [m1, m2]) = (two(year / 100), two(year % 100), two(time.month()));
    let ([d1, d2], [h1, h2]) = (two(time.day()), two(time.hour()));
    let ([n1, n2], [s1, s2]) = (two(time.minute()), two(time.second()));
    // A leap second is the second before it, longer.
    let micros = (time.nanosecond() / 1000).min(999_999);
    let ([u1, u2], [u3, u4], [u5, u6]) = (two(micros / 10_000), two(micros / 100 % 100), two(micros % 100));
    Some([
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.', u1, u2, u3, u4, u5,
        u6, b'Z',
    ])
}

/// The same for many events: the second of one is that of the next mostly.
#[derive(Debug)]
pub(crate) struct Rfc3339 {
    second: i64,
    text: [u8; TIME_BYTES],
}

impl Rfc3339 {
    pub(crate) const fn new() -> Self {
        Self { second: i64::MIN, text: [0; TIME_BYTES] }
    }

    pub(crate) fn of(&mut self, time: DateTime<Utc>) -> Option<[u8; TIME_BYTES]> {
        let (second, micros) = (time.timestamp(), time.timestamp_subsec_micros());
        if second != self.second || micros > 999_999 {
            self.text = rfc3339(time)?;
            self.second = second;
        } else {
            let digits = [micros / 10_000, micros / 100 % 100, micros % 100].map(two);
            self.text[TIME_BYTES - 7..TIME_BYTES - 1].copy_from_slice(digits.as_flattened());
        }
        Some(self.text)
    }
}

/// The digits of a number below 100.
const fn two(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
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

        #[test]
        fn times_of_a_second_are_written_as_each_alone(
            times in proptest::collection::vec((0i64..3, prop_oneof![0u32..2_000_000_000, 999_999_000..1_000_001_000u32]), 1..20)
        ) {
            let mut writer = Rfc3339::new();
            for time in times.into_iter().filter_map(|(seconds, nanos)| DateTime::from_timestamp(59 + seconds, nanos)) {
                prop_assert_eq!(writer.of(time), rfc3339(time));
            }
        }
    }

    #[test]
    fn a_time_out_of_range_is_none() {
        assert!(utc(UNIX_EPOCH + Duration::from_millis(i64::MAX as u64)).is_none());
        assert!(utc(UNIX_EPOCH - Duration::from_secs(1)).is_none());
        assert_eq!(utc(UNIX_EPOCH), DateTime::from_timestamp(0, 0));
    }
}
