//! Text from outside, as it may be shown.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

/// How much of a text is shown.
const SHOWN: usize = 256;

/// At most 256 characters of it on one line, control characters as spaces: a header may hold anything.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(SHOWN) {
            let character = if character.is_control() { ' ' } else { character };
            fmt::Write::write_char(f, character)?;
        }
        if characters.next().is_some() { f.write_str("..") } else { Ok(()) }
    }
}

/// RFC 3339 in UTC, milliseconds: as the bus writes times into headers.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_short_line() {
        assert_eq!(Shown("a\r\n\u{1b}[31mb").to_string(), "a   [31mb");
        assert_eq!(Shown(&"ä".repeat(300)).to_string(), "ä".repeat(256) + "..");
    }
}
