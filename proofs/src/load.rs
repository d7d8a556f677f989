//! A steady load: so many steps of each key a second, and at one step of the script the troubles.

use std::sync::Arc;
use std::time::Duration;

use gulo::message::Message;
use gulo::transport::Publisher;
use tokio::time::{Instant, sleep_until};

use crate::letters::Expected;
use crate::step::{Brings, Step, undecodable};
use crate::{Trouble, node, now};

pub(crate) const KEYS: usize = 64;
/// The keys take turns within the time of a step, so that the load is even.
const PHASES: usize = 4;

/// What one key brings with its step number [`Load::trouble_at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Fails(Duration),
    Stuck(Duration),
    /// Fails for good.
    Poison,
    Panics,
    /// In front of the step stands something that is none.
    Undecodable,
}

#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) topic: Arc<str>,
    /// Steps of each key a second.
    pub(crate) rate: usize,
    pub(crate) seconds: usize,
    /// The number of the steps that bring trouble.
    pub(crate) trouble_at: usize,
    pub(crate) cast: Vec<(usize, Role)>,
}

/// What was published, all of it confirmed.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// By key and number: when it was handed to the publisher.
    pub(crate) at: Vec<Vec<u64>>,
    /// What must become a dead letter.
    pub(crate) dead: Vec<Expected>,
    /// How late the load was at worst.
    pub(crate) late: Duration,
    /// When the steady part began.
    pub(crate) began: u64,
}

impl Sent {
    pub(crate) fn new() -> Self {
        Self { at: vec![Vec::new(); KEYS], ..Self::default() }
    }

    pub(crate) fn messages(&self) -> usize {
        self.at.iter().map(Vec::len).sum()
    }

    /// Steps that must have an effect: all but those whose message is dead.
    pub(crate) fn to_be_handled(&self) -> usize {
        self.messages() - self.dead.iter().filter(|dead| dead.step.is_some()).count()
    }
}

impl Load {
    /// The first step of each key: once it is handled, the node is at work.
    pub(crate) async fn first(&self, publisher: &dyn Publisher) -> Result<Sent, Trouble> {
        let mut sent = Sent::new();
        let batch = (0..KEYS).flat_map(|key| self.step(key, &mut sent)).collect();
        publisher.publish(batch).await?;
        Ok(sent)
    }

    /// Everything else, at a steady rate. What came due while the broker confirmed the last batch goes out in one.
    pub(crate) async fn steady(&self, publisher: &dyn Publisher, mut sent: Sent) -> Result<Sent, Trouble> {
        let period = Duration::from_secs(1) / (self.rate * PHASES) as u32;
        let (begin, ticks) = (Instant::now(), self.rate * self.seconds * PHASES);
        sent.began = now();
        let mut tick = 0;
        while tick < ticks {
            let due = begin + period * tick as u32;
            sleep_until(due).await;
            sent.late = sent.late.max(due.elapsed());
            let all = (begin.elapsed().as_nanos() / period.as_nanos()) as usize + 1;
            let next = all.clamp(tick + 1, ticks);
            let keys = (tick..next).flat_map(|tick| (0..KEYS).filter(move |key| key % PHASES == tick % PHASES));
            let batch = keys.flat_map(|key| self.step(key, &mut sent)).collect();
            publisher.publish(batch).await?;
            tick = next;
        }
        Ok(sent)
    }

    /// The messages of the next step of `key`: one, but for the trouble.
    fn step(&self, key: usize, sent: &mut Sent) -> Vec<Message> {
        let (number, at) = (sent.at[key].len(), now());
        sent.at[key].push(at);
        let role = self.cast.iter().find(|(who, _)| *who == key && number == self.trouble_at).map(|(_, role)| *role);
        let brings = |after: Duration| at + after.as_micros() as u64;
        let step = |trouble| Step { key, number, trouble };
        match role {
            None => vec![step(None).message(&self.topic)],
            Some(Role::Fails(time)) => vec![step(Some(Brings::FailsUntil(brings(time)))).message(&self.topic)],
            Some(Role::Stuck(time)) => vec![step(Some(Brings::StuckUntil(brings(time)))).message(&self.topic)],
            Some(Role::Poison) => {
                let message = step(Some(Brings::Poison)).odd_message(&self.topic);
                sent.dead.push(Expected::poison(key, number, message.clone()));
                vec![message]
            }
            Some(Role::Panics) => {
                let message = step(Some(Brings::Panic)).odd_message(&self.topic);
                sent.dead.push(Expected::panic(key, number, message.clone()));
                vec![message]
            }
            Some(Role::Undecodable) => {
                let message = undecodable(key, &self.topic);
                sent.dead.push(Expected::undecodable(message.clone()));
                vec![message, step(None).message(&self.topic)]
            }
        }
    }
}

impl Expected {
    fn poison(key: usize, number: usize, message: Message) -> Self {
        let error = Some(node::POISON.to_owned());
        Self { name: "poison", step: Some((key, number)), message, reason: "permanent", attempts: 1, error }
    }

    fn panic(key: usize, number: usize, message: Message) -> Self {
        let (error, attempts) = (Some(format!("handler panicked: {}", node::PANIC)), node::ATTEMPTS);
        Self { name: "panic", step: Some((key, number)), message, reason: "attempts-exhausted", attempts, error }
    }

    fn undecodable(message: Message) -> Self {
        Self { name: "undecodable", step: None, message, reason: "undecodable", attempts: 0, error: None }
    }
}
