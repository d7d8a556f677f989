//! Which topics a handler reads.

use std::sync::Arc;

use regex_lite::Regex;

use crate::error::{Error, ErrorKind, Result};
use crate::transport::Topics;

/// Which topics a handler reads: one by its name, several, or all that match a pattern.
///
/// ```
/// # use gulo_bus_core::routing::TopicSelector;
/// let one = TopicSelector::from("users");
/// let several = TopicSelector::from(["users.eu", "users.us"]);
/// let all = TopicSelector::pattern(r"users\.[a-z]+");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSelector(pub(crate) Selected);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selected {
    Named(Vec<Arc<str>>),
    Pattern(String),
}

impl Selected {
    pub(crate) fn names(&self) -> &[Arc<str>] {
        match self {
            Self::Named(names) => names,
            Self::Pattern(_) => &[],
        }
    }

    pub(crate) fn pattern(&self) -> Option<&str> {
        match self {
            Self::Named(_) => None,
            Self::Pattern(pattern) => Some(pattern),
        }
    }

    /// Whether both may mean the same topic: of two patterns nobody can say.
    pub(crate) fn may_meet(&self, other: &Self) -> bool {
        let matches = |pattern: &str, names: &[Arc<str>]| {
            Pattern::new(pattern).is_ok_and(|pattern| names.iter().any(|name| pattern.matches(name)))
        };
        match (self, other) {
            (Self::Named(some), Self::Named(others)) => some.iter().any(|name| others.contains(name)),
            (Self::Pattern(pattern), Self::Named(names)) | (Self::Named(names), Self::Pattern(pattern)) => {
                matches(pattern, names)
            }
            (Self::Pattern(_), Self::Pattern(_)) => true,
        }
    }
}

impl TopicSelector {
    /// All topics whose whole name matches this regular expression, those made later included. Keep to what [POSIX
    /// extended expressions] have: brokers match it too. One that is not valid is an error at `start()`. Needs the
    /// capability `patterns`.
    ///
    /// Dead letters that lie in a matching topic are passed over: a group must not eat its own. Better, let the pattern
    /// not match them.
    ///
    /// [POSIX extended expressions]: https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap09.html#tag_09_04
    pub fn pattern(pattern: impl Into<String>) -> Self {
        Self(Selected::Pattern(pattern.into()))
    }
}

impl From<&str> for TopicSelector {
    fn from(name: &str) -> Self {
        [name].into()
    }
}

impl From<String> for TopicSelector {
    fn from(name: String) -> Self {
        [name].into()
    }
}

impl From<Arc<str>> for TopicSelector {
    fn from(name: Arc<str>) -> Self {
        [name].into()
    }
}

impl<T: Into<Arc<str>>, const N: usize> From<[T; N]> for TopicSelector {
    fn from(names: [T; N]) -> Self {
        Self(Selected::Named(names.into_iter().map(Into::into).collect()))
    }
}

impl<T: Into<Arc<str>>> From<Vec<T>> for TopicSelector {
    fn from(names: Vec<T>) -> Self {
        Self(Selected::Named(names.into_iter().map(Into::into).collect()))
    }
}

const PATTERN_RULE: &str = "a pattern is a regular expression of whole names, as `users[.][a-z]+`";

/// A pattern over whole names.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Result<Self> {
        let bad = |error: regex_lite::Error| {
            let problem = format!("topic pattern `{pattern}` is not valid: {error}");
            Error::new(ErrorKind::Config, problem).help(PATTERN_RULE).source(error)
        };
        // By itself too: `a)|(b` would break out of the group.
        Regex::new(pattern).map_err(bad)?;
        Regex::new(&format!(r"\A(?:{pattern})\z")).map(Self).map_err(bad)
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

/// One subscription for all of `names` and `patterns`.
pub(crate) fn all_of(names: Vec<Arc<str>>, patterns: &[&str]) -> Topics {
    if patterns.is_empty() {
        return Topics::Named(names);
    }
    let named = names.iter().map(|name| escaped(name));
    let all: Vec<_> = patterns.iter().map(|pattern| format!("({pattern})")).chain(named).collect();
    Topics::Pattern(all.join("|"))
}

/// A class is understood by every dialect; a backslash is not.
fn escaped(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_alphanumeric() || "-_".contains(c) { c.to_string() } else { format!("[{c}]") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_patterns_mean_themselves() {
        let Topics::Pattern(pattern) = all_of(vec!["a.b".into()], &["x+", "y|z"]) else { panic!("a pattern") };
        let pattern = Pattern::new(&pattern).unwrap();
        let matching = ["a.b", "xx", "y", "z"].map(|name| pattern.matches(name));
        let other = ["a-b", "a.bc", "x1", "yz"].map(|name| pattern.matches(name));
        assert_eq!((matching, other), ([true; 4], [false; 4]));
    }

    #[test]
    fn a_pattern_that_is_none_is_an_error_that_shows_it() {
        for pattern in ["a)|(b", "["] {
            let error = Pattern::new(pattern).unwrap_err();
            assert!(error.kind() == ErrorKind::Config && error.to_string().contains(pattern), "{error}");
        }
    }
}
