//! Publishing: one completion a batch, back-pressure instead of errors, the truth about every message.

mod receipt;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Capability, Failed, Outcome, Publisher, Unsent};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use tokio::sync::RwLock;
use tokio::time::{Instant, timeout_at};

use crate::config::KafkaConfig;
use crate::context::Health;
use crate::convert;
use crate::error;
use crate::topology::blocking;
use crate::transport::{CAPABILITIES, NAME};

use receipt::{Callbacks, Receipts, Ticket};

type Client = ThreadedProducer<Callbacks>;

pub(crate) struct KafkaPublisher {
    /// `None` once closed.
    client: RwLock<Option<Arc<Client>>>,
    receipts: Arc<Receipts>,
    closing: AtomicBool,
    max_message_bytes: usize,
    patience: Duration,
}

impl KafkaPublisher {
    pub(crate) fn new(config: &KafkaConfig, health: &Arc<Health>) -> Result<Self> {
        config.check()?;
        let receipts = Arc::new(Receipts::default());
        let callbacks = Callbacks {
            health: Arc::clone(health),
            receipts: Arc::clone(&receipts),
        };
        let client = config
            .producer()
            .create_with_context(callbacks)
            .map_err(|error| error::of_client(&error))?;
        Ok(Self {
            client: RwLock::new(Some(Arc::new(client))),
            receipts,
            closing: AtomicBool::new(false),
            max_message_bytes: config.max_message_bytes,
            patience: config.publish_timeout_value(),
        })
    }

    /// What is refused before the wire.
    fn refusal(&self, message: &Message) -> Option<Error> {
        let (size, limit) = (message.size(), self.max_message_bytes);
        if size > limit {
            let problem = format!(
                "message for topic `{}` is {size} bytes, the limit is {limit}",
                message.topic
            );
            return Some(
                Error::new(ErrorKind::TooLarge, problem)
                    .help("raise `KafkaConfig::max_message_bytes` and the broker's"),
            );
        }
        let wanted = [
            (message.send.deliver_at.is_some(), Capability::DeliverAt),
            (message.send.expires.is_some(), Capability::Expires),
            (message.send.priority.is_some(), Capability::Priority),
        ];
        if let Some((_, capability)) = wanted.into_iter().find(|(wanted, _)| *wanted) {
            return CAPABILITIES.require(NAME, capability).err();
        }
        // The client takes names as C strings.
        let nul = message.topic.contains('\0')
            || message.headers.iter().any(|(name, _)| name.contains('\0'));
        nul.then(|| {
            Error::new(
                ErrorKind::Refused,
                "a topic or header name contains a NUL character",
            )
        })
    }

    /// Hands over `batch` in order, waiting for room. What is not taken is noted in the ticket.
    async fn hand_over(&self, client: &Client, batch: &[Message], ticket: &Ticket<'_>) {
        let deadline = Instant::now() + self.patience;
        let mut full = false;
        for (index, message) in batch.iter().enumerate() {
            if let Some(error) = self.refusal(message) {
                ticket.refuse(index, Outcome::Refused, error);
                continue;
            }
            // Order within the batch: behind one that found no room in time nothing may be sent.
            while !full {
                let room = self.receipts.room();
                match send(client, message, ticket.opaque(index)) {
                    Ok(()) => {
                        ticket.sent();
                        break;
                    }
                    Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                        full = timeout_at(deadline, room).await.is_err();
                    }
                    Err(error) => {
                        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                        let outcome = if error::outcome(code) == Outcome::Refused {
                            Outcome::Refused
                        } else {
                            Outcome::NotSent
                        };
                        ticket.refuse(index, outcome, error::of_delivery(&message.topic, code));
                        break;
                    }
                }
            }
            if full {
                ticket.refuse(index, Outcome::NotSent, queue_full(message));
            }
        }
    }
}

fn queue_full(message: &Message) -> Error {
    let problem = format!(
        "topic `{}`: the client's queue is full and did not empty in time",
        message.topic
    );
    Error::new(ErrorKind::TimedOut, problem).help("is the broker there?")
}

fn send(client: &Client, message: &Message, opaque: usize) -> Result<(), KafkaError> {
    let mut record: BaseRecord<'_, [u8], [u8], usize> =
        BaseRecord::with_opaque_to(&message.topic, opaque);
    record.key = message.key.as_deref();
    record.payload = message.payload.as_deref();
    record.partition = message
        .send
        .partition
        .map(|partition| i32::try_from(partition).unwrap_or(i32::MAX));
    record.timestamp = message.timestamp.map(convert::millis);
    record.headers = convert::headers(&message.headers);
    client.send(record).map_err(|(error, _)| error)
}

#[async_trait]
impl Publisher for KafkaPublisher {
    async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        if batch.is_empty() {
            return Ok(());
        }
        let client = if self.closing.load(SeqCst) {
            None
        } else {
            self.client.read().await.clone()
        };
        let Some(client) = client else {
            return Err(Unsent::all(batch, Outcome::NotSent, |_| {
                Error::new(ErrorKind::Closed, "the publisher is closed")
            }));
        };
        let (ticket, done) = self.receipts.open(batch.len());
        self.hand_over(&client, &batch, &ticket).await;
        drop(ticket);
        let failures = done.await.unwrap_or_default();
        if failures.is_empty() {
            return Ok(());
        }
        let mut batch: Vec<_> = batch.into_iter().map(Some).collect();
        let failed = failures.into_iter().filter_map(|failure| {
            let message = batch[failure.index].take()?;
            let outcome = failure.reason.outcome();
            let error = failure.reason.error(&message.topic);
            Some(Failed {
                index: failure.index,
                message,
                outcome,
                error,
            })
        });
        Err(Unsent {
            failed: failed.collect(),
        })
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        self.closing.store(true, SeqCst);
        let Some(client) = self.client.write().await.take() else {
            return Ok(());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let flush = blocking(move || {
            // Never longer than there is time for, and for at least one look: flush of nothing returns at once.
            let flushed = client.flush(left.max(Duration::from_millis(100)));
            // The last one joins the thread and purges what is left: those publishes fail, none is silently dropped.
            drop(client);
            flushed.map_err(|error| error::of_operation("flushing what is published", &error))
        });
        let late = || {
            Error::new(
                ErrorKind::TimedOut,
                "what is published was not confirmed by the deadline",
            )
        };
        timeout_at(deadline, flush)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}
