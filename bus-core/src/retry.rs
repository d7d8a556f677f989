//! When a failed message is tried again: a policy is a value, deciding is a pure function.
//!
//! ```
//! # use std::time::Duration;
//! # use gulo_bus_core::bus::Subscription;
//! # use gulo_bus_core::retry::Retry;
//! let policy = Retry::exponential(Duration::from_millis(200))     // 0.2 s, 0.4 s, 0.8 s, ..
//!     .max_delay(Duration::from_secs(10))
//!     .max_attempts(8)
//!     .max_elapsed(Duration::from_secs(60))                       // whichever comes first
//!     .jitter()
//!     .on_error::<std::io::Error>(Retry::fixed(Duration::from_secs(5)).max_attempts(100));
//! let email = Subscription::group("email").retry(policy);
//! let cache = Subscription::group("cache").retry(Retry::immediate().max_attempts(3));
//! ```
//!
//! While a message waits for its next attempt the later ones of its key wait behind it, and the others go on.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// How often, and after how long, a failed message is handled again before it becomes a dead letter.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::retry::{Decision, Failure, Retry};
/// let policy = Retry::exponential(Duration::from_millis(100)).max_attempts(3);
/// assert_eq!(policy.decide(&Failure::transient(2)), Decision::RetryAfter(Duration::from_millis(200)));
/// assert_eq!(policy.decide(&Failure::transient(3)), Decision::DeadLetter);
/// assert_eq!(policy.decide(&Failure::permanent(1)), Decision::DeadLetter);
/// ```
#[derive(Debug, Clone)]
pub struct Retry {
    max_attempts: u32,
    max_elapsed: Option<Duration>,
    delay: Duration,
    factor: u32,
    max_delay: Duration,
    jitter: bool,
    by_error: Vec<ByError>,
}

/// A policy of its own for one type of error.
#[derive(Clone)]
struct ByError {
    name: &'static str,
    matches: fn(&(dyn StdError + 'static)) -> bool,
    policy: Retry,
}

impl fmt::Debug for ByError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name, self.policy)
    }
}

impl Retry {
    /// Again at once. Five attempts.
    pub const fn immediate() -> Self {
        Self::fixed(Duration::ZERO)
    }

    /// Again after `delay`, always the same. Five attempts.
    pub const fn fixed(delay: Duration) -> Self {
        Self {
            max_attempts: 5,
            max_elapsed: None,
            delay,
            factor: 1,
            max_delay: delay,
            jitter: false,
            by_error: Vec::new(),
        }
    }

    /// Again after `first`, then twice that, and so on, up to a minute. Five attempts.
    pub const fn exponential(first: Duration) -> Self {
        let mut policy = Self::fixed(first);
        policy.factor = 2;
        policy.max_delay = Duration::from_secs(60);
        policy
    }

    /// One attempt only.
    pub const fn never() -> Self {
        Self::immediate().max_attempts(1)
    }

    /// How often a message is handled at most, the first time included. A bus does not start with 0: it handles each once.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// No attempt begins later than this after the first failure, in this process.
    #[must_use]
    pub const fn max_elapsed(mut self, time: Duration) -> Self {
        self.max_elapsed = Some(time);
        self
    }

    /// No wait is longer than this.
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Each wait is a random part of what it would be, so that what failed together does not come back together: [full
    /// jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). What a handler asks for
    /// itself is waited as it is.
    #[must_use]
    pub const fn jitter(mut self) -> Self {
        self.jitter = true;
        self
    }

    /// Another policy where the handler's error is an `E`. The first that fits counts; its own rules by error do not.
    ///
    /// ```
    /// # use gulo_bus_core::retry::{Decision, Failure, Retry};
    /// # use std::time::Duration;
    /// let policy = Retry::default().on_error::<std::num::ParseIntError>(Retry::never());
    /// let error = "x".parse::<u8>().unwrap_err();
    /// assert_eq!(policy.decide(&Failure::transient(1).error(&error)), Decision::DeadLetter);
    /// ```
    #[must_use]
    pub fn on_error<E: StdError + 'static>(mut self, policy: Self) -> Self {
        let name = std::any::type_name::<E>();
        self.by_error.push(ByError { name, matches: |error| error.is::<E>(), policy });
        self
    }

    /// Whether it, or a policy of an error in it, allows no attempt at all.
    pub(crate) fn never_attempts(&self) -> bool {
        self.max_attempts == 0 || self.by_error.iter().any(|rule| rule.policy.never_attempts())
    }

    /// What to do after `failure`.
    pub fn decide(&self, failure: &Failure<'_>) -> Decision {
        let fits = |rule: &&ByError| failure.error.is_some_and(rule.matches);
        let policy = self.by_error.iter().find(fits).map_or(self, |rule| &rule.policy);
        policy.decide_for_all(failure)
    }

    fn decide_for_all(&self, failure: &Failure<'_>) -> Decision {
        if failure.permanent || failure.attempt >= self.max_attempts {
            return Decision::DeadLetter;
        }
        let delay = failure.retry_after.unwrap_or_else(|| self.delay_after(failure));
        let begins = failure.elapsed.saturating_add(delay);
        if self.max_elapsed.is_some_and(|longest| begins > longest) {
            return Decision::DeadLetter;
        }
        Decision::RetryAfter(delay)
    }

    fn delay_after(&self, failure: &Failure<'_>) -> Duration {
        let doublings = failure.attempt.saturating_sub(1);
        let factor = self.factor.checked_pow(doublings).unwrap_or(u32::MAX);
        let delay = self.delay.checked_mul(factor).unwrap_or(self.max_delay).min(self.max_delay);
        if self.jitter { part_of(delay, failure.random) } else { delay }
    }
}

/// The part of `delay` that `random` says: 0 for 0, nearly all of it for the largest number.
fn part_of(delay: Duration, random: u64) -> Duration {
    let nanos = delay.as_nanos().saturating_mul(u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Default for Retry {
    /// Five attempts, after 100 ms, 200 ms, 400 ms and 800 ms.
    fn default() -> Self {
        Self::exponential(Duration::from_millis(100))
    }
}

/// An attempt that failed, as a policy sees it.
#[derive(Debug, Clone)]
pub struct Failure<'a> {
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// Trying again is of no use.
    pub permanent: bool,
    /// The handler said how long to wait.
    pub retry_after: Option<Duration>,
    /// Since the first failure.
    pub elapsed: Duration,
    /// What the handler returned, where it was an error of a type of its own.
    pub error: Option<&'a (dyn StdError + 'static)>,
    /// Any number: what a policy with jitter draws from, so that deciding stays a pure function.
    pub random: u64,
}

impl<'a> Failure<'a> {
    /// Attempt `attempt` failed; it may succeed next time.
    pub const fn transient(attempt: u32) -> Self {
        Self { attempt, permanent: false, retry_after: None, elapsed: Duration::ZERO, error: None, random: 0 }
    }

    /// Attempt `attempt` failed, and so would every other.
    pub const fn permanent(attempt: u32) -> Self {
        Self { permanent: true, ..Self::transient(attempt) }
    }

    /// With this error.
    #[must_use]
    pub fn error(mut self, error: &'a (dyn StdError + 'static)) -> Self {
        self.error = Some(error);
        self
    }
}

/// What becomes of a failed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is handled again after this long; its key waits.
    RetryAfter(Duration),
    /// It is copied to the dead-letter topic.
    DeadLetter,
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn exponential_doubles_up_to_its_longest_wait() {
        let policy = Retry::exponential(ms(100)).max_attempts(100).max_delay(ms(350));
        let waits: Vec<_> = [1, 2, 3, 99].map(|attempt| policy.decide(&Failure::transient(attempt))).into();
        assert_eq!(waits, [ms(100), ms(200), ms(350), ms(350)].map(Decision::RetryAfter));
    }

    #[test]
    fn the_last_attempt_becomes_a_dead_letter() {
        assert_eq!(Retry::immediate().max_attempts(2).decide(&Failure::transient(1)), Decision::RetryAfter(ms(0)));
        assert_eq!(Retry::immediate().max_attempts(2).decide(&Failure::transient(2)), Decision::DeadLetter);
        assert_eq!(Retry::never().decide(&Failure::transient(1)), Decision::DeadLetter);
    }

    #[test]
    fn no_attempt_begins_after_the_longest_time() {
        let policy = Retry::fixed(ms(100)).max_attempts(100).max_elapsed(ms(250));
        let after = |elapsed| policy.decide(&Failure { elapsed, ..Failure::transient(1) });
        assert_eq!(after(ms(150)), Decision::RetryAfter(ms(100)));
        assert_eq!(after(ms(151)), Decision::DeadLetter);
        assert_eq!(after(Duration::MAX), Decision::DeadLetter);
    }

    #[test]
    fn jitter_takes_a_part_of_each_wait() {
        let policy = Retry::exponential(ms(100)).jitter();
        let wait = |random| policy.decide(&Failure { random, ..Failure::transient(2) });
        assert_eq!(wait(0), Decision::RetryAfter(ms(0)));
        assert_eq!(wait(1 << 63), Decision::RetryAfter(ms(100)));
        assert!(matches!(wait(u64::MAX), Decision::RetryAfter(wait) if wait > ms(199) && wait < ms(200)));
        let longest = Retry::fixed(Duration::MAX).jitter();
        assert!(matches!(longest.decide(&Failure::transient(1)), Decision::RetryAfter(_)), "no overflow");
    }

    #[test]
    fn an_error_of_a_type_may_have_a_policy_of_its_own() {
        let policy = Retry::fixed(ms(1)).on_error::<fmt::Error>(Retry::fixed(ms(2)).max_attempts(2));
        let (ours, other) = (fmt::Error, std::io::Error::other("x"));
        assert_eq!(policy.decide(&Failure::transient(1).error(&ours)), Decision::RetryAfter(ms(2)));
        assert_eq!(policy.decide(&Failure::transient(2).error(&ours)), Decision::DeadLetter);
        assert_eq!(policy.decide(&Failure::transient(2).error(&other)), Decision::RetryAfter(ms(1)));
    }

    #[test]
    fn what_the_handler_asks_for_goes_before_the_policy() {
        let failure = Failure { retry_after: Some(ms(7)), ..Failure::transient(1) };
        assert_eq!(Retry::fixed(ms(100)).decide(&failure), Decision::RetryAfter(ms(7)));
    }
}
