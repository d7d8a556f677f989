//! Which topics a member reads.

use std::sync::Arc;

use gulo_bus_core::transport::Topics;
use gulo_bus_core::{Error, ErrorKind, Result};
use regex_lite::Regex;

/// [`Topics`], ready to be asked.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    Named(Vec<Arc<str>>),
    Pattern(Regex),
}

impl Matcher {
    /// A pattern that is none is a [`Config`](ErrorKind::Config) error.
    pub(crate) fn new(topics: &Topics) -> Result<Self> {
        match topics {
            Topics::Named(names) => Ok(Self::Named(names.clone())),
            Topics::Pattern(pattern) => Ok(Self::Pattern(anchored(pattern)?)),
        }
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|name| **name == *topic),
            Self::Pattern(pattern) => pattern.is_match(topic),
        }
    }

    /// The names it was given.
    pub(crate) fn names(&self) -> &[Arc<str>] {
        match self {
            Self::Named(names) => names,
            Self::Pattern(_) => &[],
        }
    }
}

/// The pattern over the whole name. It must stand by itself too: `a)|(b` would break out of the group.
fn anchored(pattern: &str) -> Result<Regex> {
    let bad = |error: regex_lite::Error| {
        Error::new(ErrorKind::Config, format!("topic pattern `{pattern}` is not valid: {error}"))
            .help("a pattern is a regular expression of whole names, as `users[.][a-z]+`")
            .source(error)
    };
    Regex::new(pattern).map_err(bad)?;
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_whole_name() {
        let matcher = Matcher::new(&Topics::Pattern("orders|users".into())).unwrap();
        assert!(matcher.matches("orders") && matcher.matches("users"));
        assert!(!matcher.matches("orders2") && !matcher.matches("xusers"));
    }

    #[test]
    fn a_pattern_that_is_none_is_an_error_that_shows_it() {
        for pattern in ["a)|(b", "["] {
            let error = Matcher::new(&Topics::Pattern(pattern.into())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(pattern));
        }
    }
}
