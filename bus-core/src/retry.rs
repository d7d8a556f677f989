//! When a failed message is tried again: a policy is a value, deciding is a pure function.

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
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    max_attempts: u32,
    delay: Duration,
    factor: u32,
    max_delay: Duration,
}

impl Retry {
    /// Again at once. Five attempts.
    pub const fn immediate() -> Self {
        Self::fixed(Duration::ZERO)
    }

    /// Again after `delay`, always the same. Five attempts.
    pub const fn fixed(delay: Duration) -> Self {
        Self { max_attempts: 5, delay, factor: 1, max_delay: delay }
    }

    /// Again after `first`, then twice that, and so on, up to a minute. Five attempts.
    pub const fn exponential(first: Duration) -> Self {
        Self { max_attempts: 5, delay: first, factor: 2, max_delay: Duration::from_secs(60) }
    }

    /// One attempt only.
    pub const fn never() -> Self {
        Self::immediate().max_attempts(1)
    }

    /// How often a message is handled at most, the first time included. 0 means 1.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// No wait is longer than this.
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// What to do after `failure`.
    pub fn decide(&self, failure: &Failure) -> Decision {
        if failure.permanent || failure.attempt >= self.max_attempts {
            return Decision::DeadLetter;
        }
        Decision::RetryAfter(failure.retry_after.unwrap_or_else(|| self.delay_after(failure.attempt)))
    }

    fn delay_after(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1);
        let factor = self.factor.checked_pow(doublings).unwrap_or(u32::MAX);
        self.delay.checked_mul(factor).unwrap_or(self.max_delay).min(self.max_delay)
    }
}

impl Default for Retry {
    /// Five attempts, after 100 ms, 200 ms, 400 ms and 800 ms.
    fn default() -> Self {
        Self::exponential(Duration::from_millis(100))
    }
}

/// An attempt that failed, as a policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// Trying again is of no use.
    pub permanent: bool,
    /// The handler said how long to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// Attempt `attempt` failed; it may succeed next time.
    pub const fn transient(attempt: u32) -> Self {
        Self { attempt, permanent: false, retry_after: None }
    }

    /// Attempt `attempt` failed, and so would every other.
    pub const fn permanent(attempt: u32) -> Self {
        Self { attempt, permanent: true, retry_after: None }
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
    fn what_the_handler_asks_for_goes_before_the_policy() {
        let failure = Failure { retry_after: Some(ms(7)), ..Failure::transient(1) };
        assert_eq!(Retry::fixed(ms(100)).decide(&failure), Decision::RetryAfter(ms(7)));
    }
}
