//! Times as people and headers have them. What comes from outside may be any number.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// `None` for what no calendar of ours has: converting it would panic.
pub(crate) fn utc(time: SystemTime) -> Option<DateTime<Utc>> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    DateTime::from_timestamp(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_out_of_range_is_none() {
        assert!(utc(UNIX_EPOCH + Duration::from_millis(i64::MAX as u64)).is_none());
        assert!(utc(UNIX_EPOCH - Duration::from_secs(1)).is_none());
        assert_eq!(utc(UNIX_EPOCH), DateTime::from_timestamp(0, 0));
    }
}
