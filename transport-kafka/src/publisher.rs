//! Publishing: checked here, handed to librdkafka in order, confirmed by its delivery reports.

mod attendance;
mod outcome;
mod receipt;
mod wire;

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Capabilities, Failed, Outcome, Publisher, Unsent};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::futures::Notified;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::config::KafkaConfig;
use crate::context::{Health, Observer, lock};
use crate::names;
use crate::native::Topic;
use crate::token::Login;
use crate::transport::CAPABILITIES;

use attendance::Attending;
use receipt::{Failures, Receipts, Ticket};
use wire::{Desk, Phase, Sending};

pub(crate) use wire::Wire;

/// Messages handed over before other tasks have a turn.
const STRIDE: usize = 256;

pub(crate) struct KafkaPublisher {
    desk: Arc<Desk>,
    /// Gone when it is closed.
    wire: Mutex<Option<Arc<Wire>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    config: Arc<KafkaConfig>,
    capabilities: Capabilities,
}

impl KafkaPublisher {
    pub(crate) async fn start(config: Arc<KafkaConfig>, health: Arc<Health>) -> Result<Self> {
        Self::start_with(config.producer(), config, health).await
    }

    /// With a producer of these settings.
    pub(crate) async fn start_with(
        settings: ClientConfig,
        config: Arc<KafkaConfig>,
        health: Arc<Health>,
    ) -> Result<Self> {
        let login = Login::ready(&config, &health, Instant::now() + config.connect_timeout).await?;
        let desk = Arc::new(Desk::new(Observer::lasting(health, config.secrets(), &settings)));
        let (wire, ended) = Wire::open(settings, &config, desk.clone(), login).await?;
        let mut capabilities = CAPABILITIES;
        capabilities.max_message_bytes = Some(config.max_message_bytes);
        Ok(Self { desk, wire: Mutex::new(Some(wire)), ended: Mutex::new(Some(ended)), config, capabilities })
    }

    /// The producer, until it is closed. Whoever has it for long keeps it from ending.
    pub(crate) fn wire(&self) -> Option<Arc<Wire>> {
        lock(&self.wire).clone()
    }

    /// Hands over what it can, in order; puts down what it cannot.
    async fn hand_over_all(&self, batch: &[Message], sealing: &mut Sealing<'_>, undone: &mut Vec<Undone>) {
        let deadline = Instant::now() + self.config.publish_timeout;
        // Held no longer than this: the last one to let go of it waits for librdkafka.
        let wire = lock(&self.wire).clone();
        if let Some(first) = batch.first().filter(|first| names::check([&first.topic].into_iter()).is_ok()) {
            lock(&self.desk.topic).get_or_insert_with(|| first.topic.clone());
        }
        let (mut named, mut to): (Option<&Arc<str>>, Option<Topic<'_, Sending>>) = (None, None);
        // Behind one that found no room nothing of the batch may go out: it would overtake.
        let mut held_up = false;
        let mut attending = Attending::new(&self.desk, wire.as_deref());
        for (index, message) in batch.iter().enumerate() {
            if index % STRIDE == STRIDE - 1 {
                attending.pause();
                tokio::task::consume_budget().await;
            }
            attending.look();
            // Most of a batch goes where the message before it went.
            let known = named.is_some_and(|named| Arc::ptr_eq(named, &message.topic));
            let checked = if known { Ok(()) } else { names::check([&message.topic].into_iter()) };
            named = checked.is_ok().then_some(&message.topic);
            to = to.filter(|_| known);
            if let Err(error) = checked.and_then(|()| outcome::check(&self.capabilities, message)) {
                undone.push((index, Outcome::Refused, error));
                continue;
            }
            let ticket = Ticket { slot: sealing.slot, index: index as u32 };
            let handed = match &wire {
                Some(_) if held_up => Err((Outcome::NotSent, self.no_room())),
                Some(wire) => match wire.topic(&mut to, message) {
                    Ok(to) => self.hand_over(to, message, (ticket, deadline), &mut attending).await,
                    Err(code) => Err(self.not_taken(message, code)),
                },
                None => Err((Outcome::NotSent, closed())),
            };
            match handed {
                Ok(()) => sealing.handed += 1,
                Err((outcome, error)) => {
                    held_up |= outcome == Outcome::NotSent;
                    undone.push((index, outcome, error));
                }
            }
        }
    }

    /// Hands over one message. Only a full queue makes it wait.
    async fn hand_over(
        &self,
        to: &Topic<'_, Sending>,
        message: &Message,
        (ticket, deadline): (Ticket, Instant),
        attending: &mut Attending<'_>,
    ) -> Result<(), (Outcome, Error)> {
        loop {
            match wire::send(to, message, ticket) {
                Ok(()) => return Ok(()),
                Err(Code::QueueFull) => {}
                Err(code) => return Err(self.not_taken(message, code)),
            }
            attending.pause();
            let room = self.desk.room.notified();
            tokio::pin!(room);
            // From here on no report is missed; one that came before this has left room already.
            room.as_mut().enable();
            match wire::send(to, message, ticket) {
                Ok(()) => return Ok(()),
                Err(Code::QueueFull) => self.wait_for(room, deadline).await?,
                Err(code) => return Err(self.not_taken(message, code)),
            }
        }
    }

    async fn wait_for(&self, room: Pin<&mut Notified<'_>>, deadline: Instant) -> Result<(), (Outcome, Error)> {
        let mut phase = self.desk.phase.subscribe();
        let _waiting = Waiting::new(&self.desk.waiting);
        tokio::select! {
            waited = timeout_at(deadline, room) => waited.map_err(|_| (Outcome::NotSent, self.no_room())),
            _ = phase.wait_for(|phase| *phase == Phase::Gone) => Err((Outcome::NotSent, closed())),
        }
    }

    fn not_taken(&self, message: &Message, code: Code) -> (Outcome, Error) {
        let error = outcome::error(message, code, self.config.max_message_bytes, None);
        (outcome::not_taken(code), error)
    }

    fn no_room(&self) -> Error {
        let text = format!("the local queue to Kafka stayed full for {:?}", self.config.publish_timeout);
        match self.desk.cause() {
            Some(cause) => outcome::timed_out_by(&text, &cause),
            None => {
                Error::new(ErrorKind::TimedOut, text).help("publish less at a time, or see whether the broker is busy")
            }
        }
    }

    fn reported(&self, batch: &[Message], failures: Failures, together: bool, undone: &mut Vec<Undone>) {
        for (index, code) in failures {
            let index = index as usize;
            let Some(message) = batch.get(index) else { continue };
            if together && outcome::is_about_size(code) {
                undone.push((index, Outcome::NotSent, outcome::too_large_together(message)));
            } else {
                let error = outcome::error(message, code, self.config.max_message_bytes, self.desk.cause());
                undone.push((index, outcome::reported(code), error));
            }
        }
    }
}

/// Counts a publish that waits for room, for as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A message that was not confirmed.
type Undone = (usize, Outcome, Error);

/// Closes the books on a batch, also where the publish is dropped in the middle: then the reports of what was handed over
/// find its receipt, and its slot is free after them.
struct Sealing<'a> {
    receipts: &'a Receipts,
    slot: u32,
    handed: usize,
}

impl Drop for Sealing<'_> {
    fn drop(&mut self) {
        self.receipts.seal(self.slot, self.handed);
    }
}

#[async_trait]
impl Publisher for KafkaPublisher {
    async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        // A publisher in a loop must let other tasks run.
        tokio::task::consume_budget().await;
        if batch.is_empty() {
            return Ok(());
        }
        if !self.desk.is_open() {
            return Err(Unsent::all(batch, Outcome::NotSent, |_| closed()));
        }
        let receipts = &self.desk.receipts;
        let (slot, answer) = receipts.open();
        let mut sealing = Sealing { receipts, slot, handed: 0 };
        let mut undone = Vec::new();
        self.hand_over_all(&batch, &mut sealing, &mut undone).await;
        let together = sealing.handed > 1;
        drop(sealing);
        let Ok(failures) = answer.await else {
            // The sender is kept until all is reported. Should it ever go without, nothing is known.
            return Err(Unsent::all(batch, Outcome::Unknown, |_| closed()));
        };
        self.reported(&batch, failures, together, &mut undone);
        none_or_unsent(batch, undone)
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        self.desk.close_to(Phase::Closing);
        let finished = timeout_at(deadline, self.desk.receipts.all_closed()).await.is_ok();
        self.desk.close_to(Phase::Gone);
        drop(lock(&self.wire).take());
        let ended = lock(&self.ended).take();
        if let Some(ended) = ended {
            // The thread goes on alone where it does not end in time; it tells all publishes that wait how they ended.
            let _ = timeout_at(deadline, ended).await;
        }
        match finished {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::TimedOut, "the Kafka publisher closed with publishes not confirmed")
                .help("each of them says which; give closing more time")),
        }
    }
}

fn none_or_unsent(batch: Vec<Message>, mut undone: Vec<Undone>) -> Result<(), Unsent> {
    if undone.is_empty() {
        return Ok(());
    }
    undone.sort_by_key(|(index, _, _)| *index);
    let mut undone = undone.into_iter().peekable();
    let mut failed: Vec<Failed> = Vec::new();
    for (index, message) in batch.into_iter().enumerate() {
        if let Some((_, outcome, error)) = undone.next_if(|(at, _, _)| *at == index) {
            failed.push(Failed { index, message, outcome, error });
        }
    }
    Err(Unsent { failed })
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the Kafka publisher is closed").help("publish before the bus shuts down")
}

impl Drop for KafkaPublisher {
    /// What was handed over is still sent: the polling thread sees to it.
    fn drop(&mut self) {
        self.desk.close_to(Phase::Closing);
    }
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher").field("phase", &*self.desk.phase.borrow()).finish_non_exhaustive()
    }
}
