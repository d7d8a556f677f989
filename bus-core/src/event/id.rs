//! Ids of events, and the moment in them.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Ids made by one process rise.
static LAST: Mutex<Last> = Mutex::new(Last { millis: 0, random: 0 });

/// A new id, a UUIDv7, and the time in it: one look at the clock for both, for each event has both.
pub(super) fn new() -> (String, DateTime<Utc>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, nanos) = (now.as_secs(), now.subsec_nanos());
    let millis = seconds * 1000 + u64::from(nanos / 1_000_000);
    let id = LAST.lock().unwrap_or_else(PoisonError::into_inner).next(millis);
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, nanos));
    (text(id), time.unwrap_or_else(Utc::now))
}

/// What the last id was made of: the milliseconds since 1970 and the 74 bits that are left for chance.
struct Last {
    millis: u64,
    random: u128,
}

/// Room to count in: chance leaves the highest bit alone.
const CHANCE: u128 = (1 << 73) - 1;

impl Last {
    /// Anew by chance in each millisecond, and by a step of chance within one, or while a clock that was set back catches up:
    /// [monotonic random](https://www.rfc-editor.org/rfc/rfc9562#section-6.2), method 2. A step costs a tenth of what
    /// `uuid`'s own contexts do.
    fn next(&mut self, millis: u64) -> u128 {
        if millis > self.millis {
            *self = Self { millis, random: Uuid::new_v4().as_u128() & CHANCE };
        } else {
            self.random += 1 + u128::from(mixed(self.random as u64) >> 32);
            if self.random >> 74 != 0 {
                *self = Self { millis: self.millis + 1, random: self.random & CHANCE };
            }
        }
        let (high, low) = (self.random >> 62, self.random & ((1 << 62) - 1));
        u128::from(self.millis) << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low
    }
}

/// The last step of [SplitMix64](https://doi.org/10.1145/2714064.2660195).
const fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// Two digits for each byte.
static DIGITS: [[u8; 2]; 256] = {
    let (mut all, mut byte) = ([[0; 2]; 256], 0);
    while byte < 256 {
        all[byte] = [b"0123456789abcdef"[byte >> 4], b"0123456789abcdef"[byte & 15]];
        byte += 1;
    }
    all
};

/// As `uuid` writes it, in a third of its time.
fn text(id: u128) -> String {
    let mut text = [b'-'; 36];
    let places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    for (byte, place) in id.to_be_bytes().into_iter().zip(places) {
        text[place..place + 2].copy_from_slice(&DIGITS[usize::from(byte)]);
    }
    std::str::from_utf8(&text).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_of_version_7_and_rise_and_say_their_time() {
        let mut last = String::new();
        for _ in 0..1000 {
            let (id, time) = new();
            let uuid = Uuid::parse_str(&id).expect("a UUID");
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
            assert!(id > last, "{id} after {last}");
            let (seconds, nanos) = uuid.get_timestamp().expect("has a time").to_unix();
            let within = DateTime::from_timestamp(seconds as i64, nanos).expect("in range");
            // Ids of one millisecond are told apart by counting, and what of a clock that is set back does not count.
            assert!((time - within).num_milliseconds().abs() < 1000, "{time} and {within}");
            last = id;
        }
    }

    #[test]
    fn ids_rise_within_a_millisecond_and_over_its_end_and_while_the_clock_is_behind() {
        let mut last = Last { millis: 1000, random: (1 << 74) - 2 };
        let mut before = 0;
        for millis in [1000, 1000, 1000, 900, 1001, 1002, 1002] {
            let id = last.next(millis);
            assert!(id > before);
            assert_eq!(Uuid::from_u128(id).get_version_num(), 7);
            before = id;
        }
        assert_eq!(before >> 80, 1002);
    }

    #[test]
    fn two_processes_do_not_make_the_same_ids() {
        let many = |mut last: Last| (0..1000).map(move |_| last.next(5)).collect::<Vec<_>>();
        let one = many(Last { millis: 0, random: 0 });
        let other = many(Last { millis: 0, random: 0 });
        assert!(one.iter().all(|id| !other.contains(id)));
    }

    proptest! {
        #[test]
        fn an_id_is_written_as_uuid_writes_it(id: u128) {
            prop_assert_eq!(text(id), Uuid::from_u128(id).to_string());
        }
    }
}
