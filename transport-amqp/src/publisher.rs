//! Publishing: one task that owns the channel. Publishes of several tasks on one channel of lapin's can swap their confirms
//! ([`flight`] says how they are told apart from returns), so nobody else touches it.

mod batch;
mod flight;
mod passage;
mod prepare;
mod publishing;
mod topics;
mod words;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Outcome, Publisher, Unsent};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::config::AmqpConfig;
use crate::connection::Link;

use work::Work;

/// Calls that wait to be taken up by the task. More of them wait where they are made.
const CALLS: usize = 256;

/// One call of `publish`.
#[derive(Debug)]
struct Call {
    /// What is on its way holds them too, so that no payload is copied.
    messages: Arc<Vec<Message>>,
    deadline: Instant,
    /// Until it is given.
    answer: Option<oneshot::Sender<Result<(), Unsent>>>,
}

impl Call {
    fn take_back(&mut self) -> Vec<Message> {
        Arc::unwrap_or_clone(std::mem::take(&mut self.messages))
    }

    /// Who dropped the call does not want to know.
    fn answer(&mut self, answer: Result<(), Unsent>) {
        if let Some(to) = self.answer.take() {
            let _ = to.send(answer);
        }
    }
}

impl Drop for Call {
    /// The task ends in the middle only where its runtime does.
    fn drop(&mut self) {
        if self.answer.is_some() {
            let messages = self.take_back();
            self.answer(Err(Unsent::all(messages, Outcome::Unknown, |_| closed())));
        }
    }
}

/// How far a publisher is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes nothing more; what is under way may finish.
    Closing,
    /// All is finished.
    Done,
}

impl Phase {
    /// Whether that is news. What is done stays so.
    fn close(&mut self) -> bool {
        let news = *self == Self::Open;
        if news {
            *self = Self::Closing;
        }
        news
    }
}

#[derive(Debug)]
pub(crate) struct AmqpPublisher {
    config: Arc<AmqpConfig>,
    calls: mpsc::Sender<Call>,
    phase: watch::Sender<Phase>,
}

impl AmqpPublisher {
    /// Fails where the broker cannot be reached, or lets us not in.
    pub(crate) async fn start(link: &Arc<Link>, config: &Arc<AmqpConfig>) -> Result<Self> {
        let (calls, inbox) = mpsc::channel(CALLS);
        let phase = watch::Sender::new(Phase::Open);
        let work = Work::open(link, config, inbox, phase.clone()).await?;
        tokio::spawn(work.run());
        Ok(Self { config: config.clone(), calls, phase })
    }
}

#[async_trait]
impl Publisher for AmqpPublisher {
    async fn publish(&self, messages: Vec<Message>) -> Result<(), Unsent> {
        if messages.is_empty() {
            return Ok(());
        }
        if *self.phase.borrow() != Phase::Open {
            return Err(Unsent::all(messages, Outcome::NotSent, |_| closed()));
        }
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + self.config.publish_timeout;
        let room = match timeout_at(deadline, self.calls.reserve()).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => return Err(Unsent::all(messages, Outcome::NotSent, |_| closed())),
            Err(_) => return Err(Unsent::all(messages, Outcome::NotSent, |_| no_room(&self.config))),
        };
        room.send(Call { messages: Arc::new(messages), deadline, answer: Some(answer) });
        // A call is answered when it is dropped, at the latest.
        answered.await.unwrap_or_else(|_| Err(Unsent { failed: Vec::new() }))
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        self.phase.send_if_modified(Phase::close);
        let mut phase = self.phase.subscribe();
        let done = timeout_at(deadline, phase.wait_for(|phase| *phase == Phase::Done)).await;
        if done.is_ok() {
            return Ok(());
        }
        self.phase.send_replace(Phase::Done);
        Err(Error::new(ErrorKind::TimedOut, "the publisher closed with publishes not confirmed")
            .help("each of them says which; give closing more time"))
    }
}

impl Drop for AmqpPublisher {
    /// What is under way goes on until it is confirmed or its time is over.
    fn drop(&mut self) {
        self.phase.send_if_modified(Phase::close);
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the publisher is closed").help("publish before the bus shuts down")
}

fn no_room(config: &AmqpConfig) -> Error {
    let text = format!("the publisher took nothing within {:?}", config.publish_timeout);
    Error::new(ErrorKind::TimedOut, text).help("more is published than the broker confirms")
}
