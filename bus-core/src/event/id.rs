//! Ids of events, and the moment in them.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// Ids made by one process rise.
static LAST: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// A new id, a UUIDv7, and the time in it: one look at the clock for both, for each event has both.
pub(super) fn new() -> (String, DateTime<Utc>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, nanos) = (now.as_secs(), now.subsec_nanos());
    let at = Timestamp::from_unix(&*LAST.lock().unwrap_or_else(PoisonError::into_inner), seconds, nanos);
    let mut text = [0; 36];
    let id = Uuid::new_v7(at).hyphenated().encode_lower(&mut text).to_owned();
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, nanos));
    (id, time.unwrap_or_else(Utc::now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_version_7_and_rise_and_say_their_time() {
        let mut last = String::new();
        for _ in 0..1000 {
            let (id, time) = new();
            let uuid = Uuid::parse_str(&id).expect("a UUID");
            assert_eq!(uuid.get_version_num(), 7);
            assert!(id > last, "{id} after {last}");
            let (seconds, nanos) = uuid.get_timestamp().expect("has a time").to_unix();
            let within = DateTime::from_timestamp(seconds as i64, nanos).expect("in range");
            // Ids of one millisecond are told apart by counting, and what of a clock that is set back does not count.
            assert!((time - within).num_milliseconds().abs() < 1000, "{time} and {within}");
            last = id;
        }
    }
}
