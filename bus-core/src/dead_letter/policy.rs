//! Where a group's dead letters go, and when there are too many of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::topic_name;
use crate::error::Error;
use crate::message::Message;

type Name = dyn Fn(&str, &str) -> String + Send + Sync;
type Taker = dyn Fn(Message) -> BoxFuture<'static, Result<(), Error>> + Send + Sync;

/// What becomes of messages that a group cannot handle. Whatever it is, the original is settled only after it
/// succeeded.
///
/// ```
/// # use gulo_bus_core::dead_letter::{DeadLetter, Guard};
/// # use gulo_bus_core::message::Message;
/// # async fn store(_: Message) -> Result<(), gulo_bus_core::Error> { Ok(()) }
/// let usual = DeadLetter::topic(); // `users.email.dlq`
/// let named = DeadLetter::topic_named(|topic, group| format!("dead.{group}.{topic}"));
/// let elsewhere = DeadLetter::custom(|letter| async move { store(letter).await });
/// let strict = DeadLetter::topic().guard(Guard::in_a_row(20));
/// let gone = DeadLetter::discard(); // logged and counted
/// ```
#[derive(Clone)]
pub struct DeadLetter {
    pub(crate) to: To,
    pub(crate) guard: Guard,
}

#[derive(Clone)]
pub(crate) enum To {
    Topic(Arc<Name>),
    Discard,
    Custom(Arc<Taker>),
}

impl DeadLetter {
    /// Copied to `<topic>.<group>.dlq`, with its exact bytes and the headers of [this module](super). The default.
    pub fn topic() -> Self {
        Self::topic_named(|topic, group| topic_name(topic, group).to_string())
    }

    /// Copied to the topic that `name` makes of the message's topic and the group, both in this order.
    pub fn topic_named(name: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Self {
        Self { to: To::Topic(Arc::new(name)), guard: Guard::default() }
    }

    /// Dropped: logged and counted, and gone. Never the default.
    pub fn discard() -> Self {
        Self { to: To::Discard, guard: Guard::default() }
    }

    /// Given to `taker`, as the copy that would have gone to the topic, its own topic empty (a database, a file,
    /// another bus). While it fails the message is parked and it is asked again, with back-off.
    pub fn custom<F, Fut>(taker: F) -> Self
    where
        F: Fn(Message) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Error>> + Send + 'static,
    {
        Self { to: To::Custom(Arc::new(move |letter| Box::pin(taker(letter)))), guard: Guard::default() }
    }

    /// When a lane stands still instead of emptying its topic into the dead letters. [`Guard::default`] unless said.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// The topic for letters of `topic`, where they go to one.
    pub(crate) fn topic_for(&self, topic: &str, group: &str) -> Option<Arc<str>> {
        match &self.to {
            To::Topic(name) => Some(name(topic, group).into()),
            To::Discard | To::Custom(_) => None,
        }
    }
}

impl Default for DeadLetter {
    fn default() -> Self {
        Self::topic()
    }
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = match &self.to {
            To::Topic(_) => "topic",
            To::Discard => "discard",
            To::Custom(_) => "custom",
        };
        f.debug_struct("DeadLetter").field("to", &to).field("guard", &self.guard).finish()
    }
}

/// When there are too many dead letters on a lane: a broken deployment, say, that fails with everything. The lane then
/// stands still for a while, health says so, and the next message is a trial: one more dead letter and it stands still
/// again.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::dead_letter::Guard;
/// // 20 in a row, or 30 of 100 of the last 500; then the lane stands still for ten seconds.
/// let guard = Guard::in_a_row(20).or_share(30, 500).pause(Duration::from_secs(10));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    in_a_row: u32,
    share: Option<(u32, u32)>,
    pause: Duration,
}

impl Guard {
    /// Trips after this many dead letters in a row on one lane; stands still for a minute. 0 means 1.
    pub const fn in_a_row(letters: u32) -> Self {
        let in_a_row = if letters == 0 { 1 } else { letters };
        Self { in_a_row, share: None, pause: Duration::from_secs(60) }
    }

    /// Never trips.
    pub const fn never() -> Self {
        Self::in_a_row(u32::MAX)
    }

    /// Trips too where at least `percent` of `messages` that ended on a lane were dead letters.
    #[must_use]
    pub const fn or_share(mut self, percent: u32, messages: u32) -> Self {
        self.share = Some((percent, if messages == 0 { 1 } else { messages }));
        self
    }

    /// How long the lane stands still.
    #[must_use]
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub(crate) const fn pause_time(&self) -> Duration {
        self.pause
    }
}

impl Default for Guard {
    /// 100 in a row, or half of 1,000; a minute.
    fn default() -> Self {
        Self::in_a_row(100).or_share(50, 1000)
    }
}

/// What a guard knows of one lane.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    row: u32,
    ended: u32,
    dead: u32,
}

impl Tally {
    /// One more message came to its end; whether that is one dead letter too many.
    pub(crate) fn count(&mut self, dead: bool, guard: &Guard) -> bool {
        self.row = if dead { self.row.saturating_add(1) } else { 0 };
        self.ended += 1;
        self.dead += u32::from(dead);
        let mut trips = dead && self.row >= guard.in_a_row;
        if let Some((percent, messages)) = guard.share
            && self.ended >= messages
        {
            trips |= dead && u64::from(self.dead) * 100 >= u64::from(percent) * u64::from(messages);
            (self.ended, self.dead) = (0, 0);
        }
        trips
    }

    /// After a pause the next one is a trial.
    pub(crate) fn on_trial(&mut self, guard: &Guard) {
        *self = Self { row: guard.in_a_row - 1, ended: 0, dead: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_trips_at_the_last_of_so_many_in_a_row() {
        let (guard, mut tally) = (Guard::in_a_row(3), Tally::default());
        let trips: Vec<_> = [true, true, false, true, true, true].map(|dead| tally.count(dead, &guard)).into();
        assert_eq!(trips, [false, false, false, false, false, true]);
        tally.on_trial(&guard);
        assert!(tally.count(true, &guard), "one more after the pause");
        tally.on_trial(&guard);
        assert!(!tally.count(false, &guard) && !tally.count(true, &guard), "a success, and it begins anew");
    }

    #[test]
    fn it_trips_at_a_share() {
        let (guard, mut tally) = (Guard::in_a_row(100).or_share(50, 4), Tally::default());
        let trips: Vec<_> =
            [true, false, false, true, false, false, false, true].map(|dead| tally.count(dead, &guard)).into();
        assert_eq!(trips, [false, false, false, true, false, false, false, false]);
    }

    #[test]
    fn never_is_never() {
        let (guard, mut tally) = (Guard::never(), Tally::default());
        assert!((0..10_000).all(|_| !tally.count(true, &guard)));
    }
}
