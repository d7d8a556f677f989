//! One opaque error: what happened, where, and what to do about it. Match on its [`kind`](Error::kind); show its text.
//!
//! ```
//! # use gulo_bus_core::{Error, ErrorKind};
//! let error = Error::new(ErrorKind::Missing, "topic `users` does not exist").help("make it").context("group email");
//! assert_eq!(error.kind(), ErrorKind::Missing);
//! assert_eq!(error.to_string(), "group email: topic `users` does not exist (make it)");
//! ```

use std::error::Error as StdError;
use std::fmt;

/// The result of everything in Gulo that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is: match on this, never on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value in the configuration is wrong, or two of them contradict each other.
    Config,
    /// The transport does not offer this; the text names the [`Capability`](crate::transport::Capability).
    Unsupported,
    /// A topic, queue or group does not exist and was not to be created.
    Missing,
    /// The broker cannot be reached, or not now.
    Unavailable,
    /// Something did not finish by its deadline.
    TimedOut,
    /// The broker refuses: rights, limits, or a message it never will take.
    Refused,
    /// The message is larger than a limit; refused before the wire.
    TooLarge,
    /// An event could not be encoded.
    Encode,
    /// A message could not be decoded into the event that was asked for.
    Decode,
    /// The bus, publisher or source is closed.
    Closed,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// A short name in lower case, as an error's `Debug` shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Unsupported => "unsupported",
            Self::Missing => "missing",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed-out",
            Self::Refused => "refused",
            Self::TooLarge => "too-large",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Closed => "closed",
            Self::Other => "other",
        }
    }
}

/// What went wrong, with its [`kind`](Error::kind), the thing it happened to and, where there is one, what to do.
///
/// One pointer wide, so results stay small. It never carries a secret or a payload.
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::ErrorKind;
/// # async fn example() {
/// if let Err(error) = Bus::builder("shop").start().await {
///     match error.kind() {
///         ErrorKind::Unavailable | ErrorKind::TimedOut => println!("not now: {error}"),
///         ErrorKind::Missing => println!("topics are missing: {error}"),
///         _ => println!("this will not mend itself: {error}"), // "the bus has no transport (add `.transport(..)`)"
///     }
/// }
/// # }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    help: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` says what happened and to what.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), help: None, source: None }))
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// [`help`](Self::help), where nothing nearer to the cause has said what to do.
    pub(crate) fn help_at_least(self, help: &str) -> Self {
        if self.0.help.is_some() { self } else { self.help(help) }
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Puts `context` before the message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The same in words, for another one that fails by the same cause.
    pub(crate) fn copy(&self) -> Self {
        let Inner { kind, message, help, .. } = &*self.0;
        Self(Box::new(Inner { kind: *kind, message: message.clone(), help: help.clone(), source: None }))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

// `main` prints its error with Debug: it should read like a sentence there too.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} [{}]", self.0.kind.name())?;
        let mut cause = self.0.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(error) = cause {
            write!(f, "\n  caused by: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Text from outside for logs and errors: at most 256 characters, none of them a control character.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(256).collect()
}
