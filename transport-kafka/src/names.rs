//! What topics may be called: the broker refuses other names, and librdkafka's wrapper panics over some of them.

use std::sync::Arc;

use gulo_bus_core::{Error, ErrorKind, Result};

use crate::topology::listed;

/// [`Topic.validate`](https://github.com/apache/kafka/blob/4.1.0/clients/src/main/java/org/apache/kafka/common/internals/Topic.java)
const LONGEST: usize = 249;

/// `Ok` where all of `names` may be topics; else one error that shows those which may not.
pub(crate) fn check<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Result<()> {
    let bad: Vec<String> = names.filter(|name| !is_legal(name)).map(|name| shown(name)).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let help = format!("a name is 1 to {LONGEST} of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`");
    Err(Error::new(ErrorKind::Config, format!("Kafka has no topics called {}", listed(&bad))).help(help))
}

fn is_legal(name: &str) -> bool {
    let chars = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (1..=LONGEST).contains(&name.len()) && name != "." && name != ".." && name.chars().all(chars)
}

/// So much of it that one knows it: the end says whose dead letters it was to take.
fn shown(name: &str) -> String {
    let chars: Vec<char> = name.chars().filter(|c| !c.is_control()).collect();
    match (chars.get(..60), chars.get(chars.len().saturating_sub(20)..)) {
        (Some(start), Some(end)) if chars.len() > 80 => start.iter().chain(&['.', '.']).chain(end).collect(),
        _ => chars.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> Option<String> {
        let name: Arc<str> = name.into();
        check(std::iter::once(&name)).err().map(|error| error.to_string())
    }

    #[test]
    fn names_that_the_broker_takes_are_taken() {
        for name in ["users", "a", "integration-events.user_registered", &"x".repeat(249)] {
            assert_eq!(text(name), None);
        }
    }

    #[test]
    fn other_names_are_refused_with_the_rule() {
        for name in ["", ".", "..", "two words", "a/b", "grüezi", "a\0b", &"x".repeat(250)] {
            let text = text(name).expect("refused");
            assert!(
                text.ends_with("(a name is 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`)"),
                "{text}"
            );
        }
        let two = text("two words").expect("refused");
        assert!(two.starts_with("Kafka has no topics called `two words` ("), "{two}");
        let long = text(&format!("{}tail", "x".repeat(996))).expect("refused");
        let shown = format!("`{}..{}tail`", "x".repeat(60), "x".repeat(16));
        assert!(long.starts_with(&format!("Kafka has no topics called {shown} (")), "{long}");
    }
}
