//! The producers of transactions: one for each `transactional.id`, opened once, used by one transaction after the other.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Publisher as _, Unsent};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::Producer as _;
use tokio::sync::{Mutex as Queue, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;
use crate::background::in_background;
use crate::config::KafkaConfig;
use crate::context::{Health, lock};
use crate::native;
use crate::publisher::{KafkaPublisher, Wire};

/// Between two tries of a call that may be made again.
const AGAIN: Duration = Duration::from_millis(50);

/// The producers of a transport, by their ids.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<String, Arc<Queue<Option<Client>>>>>);

/// The producer of an id, for as long as a transaction has it. Without one where it has to be opened (anew).
pub(super) type Turn = OwnedMutexGuard<Option<Client>>;

impl Clients {
    /// Waits until no other transaction of this id is open here.
    pub(super) async fn turn(&self, id: &str, deadline: Instant) -> Result<Turn> {
        let client = lock(&self.0).entry(id.to_owned()).or_default().clone();
        timeout_at(deadline, client.lock_owned()).await.map_err(|_| {
            let text = "another one of this id has been open in this process all the time";
            Error::new(ErrorKind::TimedOut, text).help("end it first, or use another id: each id has one at a time")
        })
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(lock(&self.0).keys()).finish()
    }
}

/// A producer with an id.
pub(super) struct Client {
    publisher: KafkaPublisher,
    config: Arc<KafkaConfig>,
    health: Arc<Health>,
}

impl Client {
    /// Opens it, which fences every earlier owner of the id and takes back what that left open.
    pub(super) async fn open(config: &Arc<KafkaConfig>, health: &Arc<Health>, id: &str) -> Result<Self> {
        let settings = config.transactional(id);
        let publisher = KafkaPublisher::start_with(settings, config.clone(), health.clone()).await?;
        let client = Self { publisher, config: config.clone(), health: health.clone() };
        let opened = client.call(config.connect_timeout, |wire, left| {
            wire.producer.init_transactions(left).map_err(|error| Failure::of(&error))
        });
        opened.await.map_err(|failure| client.error("opening it", &failure))?;
        Ok(client)
    }

    /// Needs no broker.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        match self.publisher.wire() {
            Some(wire) => wire.producer.begin_transaction().map_err(|error| Failure::of(&error)),
            None => Err(closed()),
        }
    }

    pub(super) async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        self.publisher.publish(batch).await
    }

    pub(super) async fn send_offsets(
        &self,
        offsets: TopicPartitionList,
        member: ConsumerGroupMetadata,
    ) -> Result<(), Failure> {
        self.call(self.config.publish_timeout, move |wire, left| {
            let sent = wire.producer.send_offsets_to_transaction(&offsets, &member, left);
            sent.map_err(|error| Failure::of(&error))
        })
        .await
    }

    pub(super) async fn commit(&self) -> Result<(), Failure> {
        self.call(self.config.publish_timeout, |wire, left| native::commit_transaction(&wire.producer, left)).await
    }

    pub(super) async fn abort(&self) -> Result<(), Failure> {
        self.call(self.config.publish_timeout, abort).await
    }

    /// The same without a runtime, on a thread that nobody waits for; `turn` goes with it.
    pub(super) fn abort_alone(turn: Turn) {
        let Some((wire, within)) = turn.as_ref().map(|client| (client.publisher.wire(), client.config.publish_timeout))
        else {
            return;
        };
        let abort = move || {
            let mut turn = turn;
            let aborted = wire.ok_or_else(closed).and_then(|wire| again(&wire, within, abort));
            if let Err(failure) = aborted {
                tracing::warn!("a transaction that was dropped is left to its time-out: {}", failure.said);
                *turn = None;
            }
        };
        if thread::Builder::new().name("gulo-kafka-abort".into()).spawn(abort).is_err() {
            tracing::warn!("no thread to take a dropped transaction back: it is left to its time-out");
        }
    }

    pub(super) fn error(&self, what: &str, failure: &Failure) -> Error {
        failure.error(what, &self.config.secrets(), self.health.cause().map(|(_, said)| said))
    }

    async fn call(
        &self,
        within: Duration,
        call: impl Fn(&Wire, Duration) -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let Some(wire) = self.publisher.wire() else { return Err(closed()) };
        let called = in_background(move || again(&wire, within, call)).await;
        called.unwrap_or_else(|error| Err(Failure { said: error.to_string(), ..closed() }))
    }
}

fn abort(wire: &Wire, left: Duration) -> Result<(), Failure> {
    wire.producer.abort_transaction(left).map_err(|error| Failure::of(&error))
}

/// Calls until it works, fails for good, or the time is up.
fn again(wire: &Wire, within: Duration, call: impl Fn(&Wire, Duration) -> Result<(), Failure>) -> Result<(), Failure> {
    let until = std::time::Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now()).max(Duration::from_millis(1));
        match call(wire, left) {
            Err(failure) if failure.retriable && std::time::Instant::now() + AGAIN < until => thread::sleep(AGAIN),
            ended => return ended,
        }
    }
}

fn closed() -> Failure {
    Failure { code: Code::Fail, said: "the producer is closed".into(), retriable: false, aborts: false }
}
