//! Why a handler failed, and whether it is worth another try.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::retry::Failure;

/// A handler's failure: any error by `?`, worth another try unless said otherwise.
///
/// Like `anyhow::Error` it is not itself a `std::error::Error`, so that `?` converts every one that is; `anyhow::Error`
/// itself, boxed errors and text are converted too. What it says is logged, and stands on dead letters and in
/// [`Health`](crate::bus::Health): let it not quote what is secret.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::handler::{ClassifyError, HandlerError};
/// fn charge(cents: &str) -> Result<u64, HandlerError> {
///     let cents: u64 = cents.parse().permanent()?;         // trying again will not help
///     if cents > 1_000_000 {
///         return Err(HandlerError::new("the bank is busy").retry_after(Duration::from_secs(60)));
///     }
///     Ok(cents)
/// }
/// assert!(charge("a lot").unwrap_err().is_permanent());
/// assert_eq!(charge("2000000").unwrap_err().to_string(), "the bank is busy");
/// ```
// One pointer wide: the result of every handler is moved about, and nearly all of them are `Ok`.
pub struct HandlerError(Box<Failed>);

struct Failed {
    cause: Box<dyn StdError + Send + Sync>,
    permanent: bool,
    retry_after: Option<Duration>,
}

impl HandlerError {
    /// A failure said in words; worth another try.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(message.into().into())
    }

    fn of(cause: Box<dyn StdError + Send + Sync>) -> Self {
        Self(Box::new(Failed { cause, permanent: false, retry_after: None }))
    }

    /// No other try can help: the message becomes a dead letter at once.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.0.permanent = true;
        self
    }

    /// The next try comes after `delay`, whatever the policy says; how often is still the policy's.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Whether another try is of no use.
    pub fn is_permanent(&self) -> bool {
        self.0.permanent
    }

    pub(crate) fn failure(&self, attempt: u32, elapsed: Duration) -> Failure<'_> {
        let error: &(dyn StdError + 'static) = &*self.0.cause;
        let (permanent, retry_after) = (self.0.permanent, self.0.retry_after);
        Failure { attempt, permanent, retry_after, elapsed, error: Some(error), random: random() }
    }
}

/// The lowest 32 bits of a UUIDv7 are random (above them it counts); moved up, for the highest ones count most.
fn random() -> u64 {
    (Uuid::now_v7().as_u128() as u64) << 32
}

impl fmt::Display for HandlerError {
    /// The error with its causes: `cannot send: connection refused`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.cause)?;
        let mut cause = self.0.cause.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Of any error, `anyhow::Error` and a boxed one among them, and of text.
impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::of(error.into())
    }
}

/// Says of any `Result` whether its error is worth another try: `parse(x).permanent()?`.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::handler::{ClassifyError, HandlerError};
/// # fn ask_the_bank() -> std::io::Result<u64> { Ok(7) }
/// fn balance() -> Result<u64, HandlerError> {
///     ask_the_bank().retry_after(Duration::from_secs(60))
/// }
/// ```
pub trait ClassifyError<T> {
    /// No other try can help.
    fn permanent(self) -> Result<T, HandlerError>;
    /// The next try comes after `delay`.
    fn retry_after(self, delay: Duration) -> Result<T, HandlerError>;
}

impl<T, E: Into<HandlerError>> ClassifyError<T> for Result<T, E> {
    fn permanent(self) -> Result<T, HandlerError> {
        self.map_err(|error| error.into().permanent())
    }

    fn retry_after(self, delay: Duration) -> Result<T, HandlerError> {
        self.map_err(|error| error.into().retry_after(delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jitter_draws_from_is_spread_over_the_whole_range() {
        let quarters: std::collections::BTreeSet<u64> = (0..1000).map(|_| random() >> 62).collect();
        assert_eq!(quarters.len(), 4);
    }
}
