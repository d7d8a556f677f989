//! Delivery at a later time, without plugins: how long a message waits is written as bits, and each bit that is set is a queue
//! in which it waits so long as that bit is worth. Pure: what is made of it on a broker is in `topology/delays.rs`.
//!
//! A message comes in at the exchange of its highest bit. There a bit of 1 leads into the queue of that level, out of which it
//! is dead-lettered to the exchange of the next lower one; a bit of 0 leads there at once. Behind the lowest level stands one
//! exchange for all topics, and behind that one queue for each topic, without any wait: what a topic cannot take stays in
//! there, and holds up no other topic.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use gulo_bus_core::message::Message;
use gulo_bus_core::{Error, ErrorKind, Result};

use crate::names::{self, LONGEST};

/// Queues in which messages wait, each twice as long as the one below.
pub(crate) const LEVELS: u32 = 28;

/// How long one waits in the lowest; nothing waits for a part of it.
const STEP_MS: u64 = 100;

/// Seconds.
const DAY: u64 = 86400;

/// What begins the names of all that delays.
pub(crate) const OWN: &str = "gulo.delay-";

/// Where all come out.
pub(crate) const DELIVERY: &str = "gulo.delay-delivery";

/// The exchange, and the queue behind it, for what comes out for a topic whose own queue is gone.
pub(crate) const UNDELIVERED: &str = "gulo.delay-undelivered";

/// Whether messages may be delayed by so much.
pub(crate) fn check(longest: Duration) -> Result<()> {
    Delay::of(longest).map(drop).ok_or_else(|| too_long(longest))
}

fn too_long(wait: Duration) -> Error {
    let (asked, longest) = (wait.as_secs().div_ceil(DAY), (STEP_MS << LEVELS) / 1000 / DAY);
    Error::new(ErrorKind::Refused, format!("a message to be delivered in {asked} days"))
        .help(format!("transport `{}` delays for {longest} days at most", crate::NAME))
}

/// How long a message waits, in steps: 1 at least, and no more bits than there are levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delay(u32);

impl Delay {
    /// From `now` until `at`; `None` where that time has come.
    pub(crate) fn until(at: SystemTime, now: SystemTime) -> Result<Option<Self>> {
        let wait = at.duration_since(now).unwrap_or_default();
        if wait.is_zero() { Ok(None) } else { Self::of(wait).map(Some).ok_or_else(|| too_long(wait)) }
    }

    /// Rounded up to whole steps, and so that each queue it waits in may cost a millisecond: they count in whole ones, and one
    /// that has begun is a whole one to them.
    fn of(wait: Duration) -> Option<Self> {
        let (wait, step) = (wait.as_nanos(), u128::from(STEP_MS) * 1_000_000);
        let steps = u32::try_from(wait.div_ceil(step)).ok()?;
        let spare = u128::from(steps) * step - wait;
        let is_enough = spare >= u128::from(steps.count_ones()) * 1_000_000;
        let steps = if is_enough { steps } else { steps.checked_add(1)? };
        (steps < 1 << LEVELS).then_some(Self(steps))
    }

    /// Where it comes in: above its highest bit there is nothing to wait for.
    pub(crate) fn exchange(self) -> String {
        level(self.0.ilog2())
    }

    /// A word for each level, from the highest down, and behind them the topic.
    pub(crate) fn routing_key(self, topic: &str) -> String {
        let mut key = String::with_capacity(LONGEST);
        for level in (0..LEVELS).rev() {
            let _ = write!(key, "{}.", self.0 >> level & 1);
        }
        key + &words(topic)
    }
}

/// `Ok` where messages of `topic` can be delayed.
pub(crate) fn check_topic(topic: &str) -> Result<()> {
    let room = LONGEST - 2 * LEVELS as usize;
    let bytes = words(topic).len();
    if bytes <= room {
        return Ok(());
    }
    let text = format!("messages of topic {} cannot be delayed: its name has {bytes} bytes", names::shown(topic));
    Err(Error::new(ErrorKind::Refused, text).help(format!("give it a name of at most {room} bytes")))
}

/// The exchange of a level, and the queue in which one waits there.
pub(crate) fn level(level: u32) -> String {
    format!("{OWN}level-{level:02}")
}

/// Where one goes from a level.
pub(crate) fn below(level: u32) -> String {
    level.checked_sub(1).map_or_else(|| DELIVERY.to_owned(), self::level)
}

/// How long one waits in the queue of a level, in milliseconds.
pub(crate) fn waits_ms(level: u32) -> u64 {
    STEP_MS << level
}

/// The keys whose bit of `level` is `bit`.
pub(crate) fn pattern(level: u32, bit: u8) -> String {
    format!("{}{bit}.#", "*.".repeat((LEVELS - 1 - level) as usize))
}

/// The keys of `topic`, and of no other one: counted out, for topics have dots too.
pub(crate) fn delivery_pattern(topic: &str) -> String {
    "*.".repeat(LEVELS as usize) + &words(topic)
}

/// The queue of what is to go to `topic` now.
pub(crate) fn outbox_of(topic: &str) -> String {
    format!("{DELIVERY}.{topic}")
}

/// Whether what was published to `exchange`, or came back from there, may be `message`.
pub(crate) fn went_by(message: &Message, exchange: &str) -> bool {
    *message.topic == *exchange || (message.send.deliver_at.is_some() && exchange.starts_with(OWN))
}

/// The topic in a routing key or a pattern: `*` and `#` mean something there.
fn words(topic: &str) -> String {
    topic.replace('%', "%25").replace('*', "%2a").replace('#', "%23")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    /// What a topic exchange does.
    fn matches(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (["#"], _) => true,
            (["#", rest @ ..], _) => (0..=key.len()).any(|skipped| matches(rest, &key[skipped..])),
            ([word, pattern @ ..], [first, key @ ..]) => (*word == "*" || word == first) && matches(pattern, key),
            _ => false,
        }
    }

    fn fits(pattern: &str, key: &str) -> bool {
        matches(&pattern.split('.').collect::<Vec<_>>(), &key.split('.').collect::<Vec<_>>())
    }

    /// The way of a message by the bindings there are: how long it waits in all, in how many queues, and for which of `topics` it
    /// comes out.
    fn way<'a>(delay: Delay, topic: &str, topics: &[&'a str]) -> (u64, u32, Vec<&'a str>) {
        let (key, mut exchange, mut waited, mut hops) = (delay.routing_key(topic), delay.exchange(), 0, 0);
        assert!(key.len() <= LONGEST);
        while let Some(at) = (0..LEVELS).find(|at| level(*at) == exchange) {
            match [0, 1].map(|bit| fits(&pattern(at, bit), &key)) {
                [false, true] => (waited, hops) = (waited + waits_ms(at), hops + 1),
                [true, false] => {}
                both => panic!("at level {at} {key} goes {both:?}"),
            }
            exchange = below(at);
        }
        assert_eq!(exchange, DELIVERY);
        (waited, hops, topics.iter().copied().filter(|topic| fits(&delivery_pattern(topic), &key)).collect())
    }

    const TOPICS: &[&str] =
        &["users", "a.users", "users.1", "1", "0.1.users", "*", "#", "a.*", "a.b", "%2a", ".", "a..b", "ü"];

    proptest! {
        #[test]
        fn it_waits_as_long_as_it_must_and_comes_out_for_its_topic_alone(
            wait in prop_oneof![1..1_000_000_000_u64, 1..26_843_545_000_000_000_u64], topic in 0..TOPICS.len(),
        ) {
            let (wait, topic) = (Duration::from_nanos(wait), TOPICS[topic]);
            let delay = Delay::until(UNIX_EPOCH + wait, UNIX_EPOCH).expect("it can be waited for").expect("a wait");
            let (waited, hops, topics) = way(delay, topic, TOPICS);
            let waited = Duration::from_millis(waited);
            let lost = Duration::from_millis(hops.into());
            prop_assert!(waited >= wait + lost, "{waited:?} of {wait:?}");
            let most = Duration::from_millis(STEP_MS + u64::from(LEVELS));
            prop_assert!(waited < wait + most, "{waited:?} of {wait:?}");
            prop_assert_eq!(topics, [topic]);
        }
    }

    #[test]
    fn a_time_that_has_come_is_no_delay() {
        let now = UNIX_EPOCH + Duration::from_secs(9);
        for at in [UNIX_EPOCH, now] {
            assert_eq!(Delay::until(at, now).expect("it can"), None);
        }
        assert_eq!(Delay::until(now + Duration::from_nanos(1), now).expect("it can"), Some(Delay(1)));
    }

    #[test]
    fn the_longest_delay_is_taken_and_a_longer_one_refused_with_both() {
        let longest = Duration::from_millis((STEP_MS << LEVELS) - STEP_MS);
        let until = |wait| Delay::until(UNIX_EPOCH + wait, UNIX_EPOCH);
        let delay = until(longest - Duration::from_millis(LEVELS.into())).expect("it can").expect("a wait");
        assert_eq!(way(delay, "t", &["t"]), (longest.as_millis() as u64, LEVELS, vec!["t"]));
        for wait in [longest, Duration::from_secs(400 * 86400), Duration::from_secs(u64::MAX >> 2)] {
            let error = until(wait).expect_err("nobody can wait so long");
            assert_eq!(error.kind(), ErrorKind::Refused);
            assert!(error.to_string().contains("delays for 310 days at most"), "{error}");
        }
    }

    #[test]
    fn a_topic_must_fit_behind_its_bits() {
        let long = "x".repeat(199);
        assert!(check_topic(&long).is_ok());
        assert_eq!(Delay(1).routing_key(&long).len(), LONGEST);
        for topic in ["x".repeat(200), "*".repeat(67)] {
            let error = check_topic(&topic).expect_err("it does not fit").to_string();
            assert!(error.contains("at most 199 bytes"), "{error}");
        }
    }
}
