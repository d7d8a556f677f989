//! Publishing: checked here, then handed to the broker, which confirms by appending.

use std::iter::Peekable;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Capabilities, Capability, Failed, Outcome, Publisher, Unsent};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::broker::{Broker, NAME, away, later};

/// How far a publisher is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes nothing more; what is under way may finish.
    Closing,
    /// The connection is gone.
    Gone,
}

#[derive(Debug)]
pub(crate) struct MemoryPublisher {
    broker: Arc<Broker>,
    phase: watch::Sender<Phase>,
    /// Publishes under way.
    busy: watch::Sender<usize>,
}

/// Counts a publish for as long as its future lives.
struct Busy<'a>(&'a watch::Sender<usize>);

impl<'a> Busy<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

type Refused = Peekable<std::vec::IntoIter<(usize, Error)>>;

impl MemoryPublisher {
    pub(crate) fn new(broker: Arc<Broker>) -> Self {
        Self { broker, phase: watch::Sender::new(Phase::Open), busy: watch::Sender::new(0) }
    }

    /// What never will be taken, by its index, in order.
    fn refused(&self, batch: &[Message]) -> Refused {
        let can = self.broker.config.capabilities();
        let refused = |(index, message)| check(can, message).err().map(|error| (index, error));
        batch.iter().enumerate().filter_map(refused).collect::<Vec<_>>().into_iter().peekable()
    }

    /// Waits until the broker takes publishes.
    async fn passage(&self) -> Result<()> {
        // Nobody waits here, as a rule: a publisher in a loop must still let others run.
        tokio::task::consume_budget().await;
        let delay = self.broker.lock().script.delay;
        if delay.is_zero() && self.broker.gate.borrow().takes_publishes() {
            return Ok(());
        }
        let deadline = later(Instant::now(), self.broker.config.publish_timeout);
        let mut phase = self.phase.subscribe();
        tokio::select! {
            biased;
            passed = timeout_at(deadline, self.delay_and_gate(delay)) => passed.map_err(|_| self.too_late()),
            _ = phase.wait_for(|phase| *phase == Phase::Gone) => Err(closed()),
        }
    }

    async fn delay_and_gate(&self, delay: Duration) {
        if !delay.is_zero() {
            sleep(delay).await;
        }
        // Its sender is the broker, which lives as long as this.
        let _ = self.broker.gate.subscribe().wait_for(|gate| gate.takes_publishes()).await;
    }

    fn too_late(&self) -> Error {
        let timeout = self.broker.config.publish_timeout;
        if self.broker.is_down() {
            return away().context(format_args!("not published within {timeout:?}"));
        }
        Error::new(ErrorKind::TimedOut, format!("the memory broker took nothing within {timeout:?}"))
            .help("a fault holds publishes or delays them; `MemoryConfig::publish_timeout` says how long they wait")
    }

    /// Appends in order, under one lock, each message by its fate.
    fn append(&self, mut batch: Vec<Message>, mut refused: Refused) -> Vec<Failed> {
        let (mut state, mut topics) = (self.broker.lock(), Vec::<Arc<str>>::new());
        let (mut failed, now) = (Vec::new(), SystemTime::now());
        let first = batch.first().map(|message| message.topic.clone());
        let nobody_interferes = refused.peek().is_none() && state.script.is_empty();
        if nobody_interferes && state.append_all(&self.broker.config, &mut batch, now) {
            topics.extend(first);
        }
        for (index, message) in batch.into_iter().enumerate() {
            if let Some((_, error)) = refused.next_if(|(next, _)| *next == index) {
                failed.push(Failed { index, message, outcome: Outcome::Refused, error });
                continue;
            }
            let fate = state.script.fate(&message.topic);
            let mut fail = |outcome, error, message| failed.push(Failed { index, message, outcome, error });
            if let Some(outcome @ (Outcome::Refused | Outcome::NotSent)) = fate {
                fail(outcome, scripted(outcome, &message), message);
                continue;
            }
            if let Err(error) = state.admit(&self.broker.config, &message) {
                fail(Outcome::Refused, error, message);
                continue;
            }
            if !topics.contains(&message.topic) {
                topics.push(message.topic.clone());
            }
            if let Some(outcome) = fate {
                fail(outcome, scripted(outcome, &message), message.clone());
            }
            state.append(&self.broker.config, message, now);
        }
        state.wake_readers(&topics);
        failed
    }
}

#[async_trait]
impl Publisher for MemoryPublisher {
    async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        if *self.phase.borrow() != Phase::Open {
            return none_or_unsent(Unsent::all(batch, Outcome::NotSent, |_| closed()).failed);
        }
        let _busy = Busy::new(&self.busy);
        let refused = self.refused(&batch);
        let passage = if refused.len() < batch.len() { self.passage().await } else { Ok(()) };
        none_or_unsent(match passage {
            Ok(()) => self.append(batch, refused),
            Err(error) => not_sent(batch, refused, &error),
        })
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        self.phase.send_if_modified(|phase| match phase {
            Phase::Open => {
                *phase = Phase::Closing;
                true
            }
            _ => false,
        });
        let mut busy = self.busy.subscribe();
        let finished = timeout_at(deadline, busy.wait_for(|busy| *busy == 0)).await.is_ok();
        self.phase.send_replace(Phase::Gone);
        if finished {
            return Ok(());
        }
        Err(Error::new(ErrorKind::TimedOut, "the memory publisher closed with publishes not confirmed")
            .help("each of them says which; give closing more time"))
    }
}

fn none_or_unsent(failed: Vec<Failed>) -> Result<(), Unsent> {
    if failed.is_empty() { Ok(()) } else { Err(Unsent { failed }) }
}

fn not_sent(batch: Vec<Message>, mut refused: Refused, error: &Error) -> Vec<Failed> {
    let fail = |(index, message)| match refused.next_if(|(next, _)| *next == index) {
        Some((_, error)) => Failed { index, message, outcome: Outcome::Refused, error },
        None => {
            let error = Error::new(error.kind(), error.to_string());
            Failed { index, message, outcome: Outcome::NotSent, error }
        }
    };
    batch.into_iter().enumerate().map(fail).collect()
}

fn check(can: Capabilities, message: &Message) -> Result<()> {
    if message.send.is_empty() && can.max_message_bytes.is_none() {
        return Ok(());
    }
    let wishes = &message.send;
    let asked = [
        (wishes.partition.is_some(), Capability::Partitions),
        (wishes.deliver_at.is_some(), Capability::DeliverAt),
        (wishes.expires.is_some(), Capability::Expires),
        (wishes.priority.is_some(), Capability::Priority),
    ];
    for (_, capability) in asked.iter().filter(|(asked, _)| *asked) {
        can.require(NAME, *capability)?;
    }
    let size = message.size();
    match can.max_message_bytes {
        Some(limit) if size > limit => Err(Error::new(
            ErrorKind::TooLarge,
            format!("a message of {size} bytes for topic `{}` is over the limit of {limit} bytes", message.topic),
        )
        .help("`MemoryConfig::max_message_bytes` sets it")),
        _ => Ok(()),
    }
}

fn scripted(outcome: Outcome, message: &Message) -> Error {
    let (kind, what) = match outcome {
        Outcome::Refused => (ErrorKind::Refused, "refused"),
        Outcome::NotSent => (ErrorKind::Unavailable, "not sent"),
        Outcome::Unknown => (ErrorKind::TimedOut, "appended, its acknowledgement lost"),
    };
    Error::new(kind, format!("a message for topic `{}` was {what} by a fault", message.topic))
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the memory publisher is closed").help("publish before the bus shuts down")
}
