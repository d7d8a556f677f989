//! From events to confirmed messages.

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;

use crate::bus::limits::Limits;
use crate::codec::AnyCodec;
use crate::envelope;
use crate::error::{Error, ErrorKind};
use crate::event::{IntegrationEvent, Outgoing, Publishable};
use crate::handler::handled;
use crate::message::Message;
use crate::transport::{Failed, Outcome, Publisher, Unsent};

/// Room for one event, as it is guessed.
const EVENT_BYTES: usize = 640;

/// Publishes to a bus from anywhere, a handler included: a handler takes it as an argument.
///
/// What is published while a handler runs, in its own task, carries its correlation and causation:
///
/// ```
/// # use gulo_bus_core::{bus::Publish, event::IntegrationEvent, handler::{Event, HandlerError}};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered;
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// # #[derive(serde::Serialize, serde::Deserialize)] struct WelcomeSent;
/// # impl IntegrationEvent for WelcomeSent { const TYPE: &'static str = "welcome.sent"; }
/// async fn send_welcome(Event(user): Event<UserRegistered>, bus: Publish) -> Result<(), HandlerError> {
///     bus.publish(WelcomeSent).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Publish(pub(crate) Arc<Publishing>);

impl Publish {
    /// As [`Bus::publish`](crate::bus::Bus::publish).
    pub async fn publish(&self, event: impl Publishable) -> Result<(), Unsent> {
        self.0.publish([event]).await
    }

    /// As [`Bus::publish_all`](crate::bus::Bus::publish_all).
    pub async fn publish_all<P: Publishable>(&self, events: impl IntoIterator<Item = P>) -> Result<(), Unsent> {
        self.0.publish(events).await
    }

    /// As [`Bus::send`](crate::bus::Bus::send).
    pub async fn send(&self, messages: Vec<Message>) -> Result<(), Unsent> {
        self.0.send(messages).await
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("service", &self.0.source).finish_non_exhaustive()
    }
}

/// What every way to publish needs.
pub(crate) struct Publishing {
    pub(crate) source: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) publisher: Arc<dyn Publisher>,
}

impl Publishing {
    /// Publishes all of `events` in one batch, or nothing of it where one does not encode.
    pub(crate) async fn publish<P: Publishable>(&self, events: impl IntoIterator<Item = P>) -> Result<(), Unsent> {
        let events = events.into_iter();
        let topic = P::Event::topic();
        self.publish_encoded(events.map(|event| self.encode(&event.into_outgoing(), &topic)).collect()).await
    }

    /// Publishes all of a batch, or nothing of it where something of it cannot be sent.
    pub(crate) async fn publish_encoded(&self, encoded: Vec<Encoded>) -> Result<(), Unsent> {
        if encoded.iter().any(|(_, refused)| refused.is_some()) {
            return Err(withheld(encoded));
        }
        let batch: Vec<_> = encoded.into_iter().map(|(message, _)| message).collect();
        if batch.is_empty() {
            return Ok(());
        }
        self.publisher.publish(batch).await.map_err(in_our_words)
    }

    /// Publishes messages as they are.
    pub(crate) async fn send(&self, messages: Vec<Message>) -> Result<(), Unsent> {
        if let Some(first) = messages.iter().position(|message| self.limits.check(message).is_err()) {
            return Err(self.refuse(messages, first));
        }
        if messages.is_empty() {
            return Ok(());
        }
        self.publisher.publish(messages).await.map_err(in_our_words)
    }

    /// None of the messages is sent, for the `first` is too large, and perhaps some behind it.
    fn refuse(&self, messages: Vec<Message>, first: usize) -> Unsent {
        let check = |(index, message): (usize, Message)| {
            let refused = if index < first { None } else { self.limits.check(&message).err() };
            (message, refused)
        };
        withheld(messages.into_iter().enumerate().map(check).collect())
    }

    pub(crate) fn encode<E: IntegrationEvent>(&self, outgoing: &Outgoing<E>, topic: &Arc<str>) -> Encoded {
        // One allocation for all of an event. Not for many: who handles them on another core would contend for its count.
        let mut buffer = BytesMut::with_capacity(EVENT_BYTES);
        let mut meta = outgoing.meta(&self.source);
        // What the publisher says itself goes before.
        if let Some(cause) = handled() {
            meta.caused_by(&cause);
        }
        let key = outgoing.event.key();
        match AnyCodec::JSON.encode(&outgoing.event, &mut buffer) {
            Err(error) => (Message::tombstone(Arc::clone(topic)), Some(error)),
            Ok(payload) => {
                let message = envelope::message(
                    Arc::clone(topic),
                    key,
                    payload,
                    envelope::write_to(&mut buffer, &meta, AnyCodec::JSON.content_type()),
                );
                let refused = self.limits.check(&message).and_then(|()| self.limits.check_meta(&meta)).err();
                (message, refused)
            }
        }
    }
}

/// A transport does not know the builder, which is what an application has.
fn in_our_words(mut unsent: Unsent) -> Unsent {
    let failed = std::mem::take(&mut unsent.failed).into_iter().map(|mut failed| {
        if failed.error.kind() == ErrorKind::Missing {
            let topic = &failed.message.topic;
            failed.error = failed.error.help(format!("name it with `Bus::builder(..).topic(\"{topic}\", |t| t)`"));
        }
        failed
    });
    Unsent { failed: failed.collect() }
}

/// A message, and why it cannot be sent.
pub(crate) type Encoded = (Message, Option<Error>);

/// A batch of which something cannot be sent, and so nothing was: half of a batch is seldom what was meant.
fn withheld(encoded: Vec<Encoded>) -> Unsent {
    let failed = encoded.into_iter().enumerate().map(|(index, (message, refused))| match refused {
        Some(error) => Failed { index, message, outcome: Outcome::Refused, error },
        None => {
            let error = Error::new(ErrorKind::Refused, "another event of the batch was refused");
            Failed { index, message, outcome: Outcome::NotSent, error }
        }
    });
    let mut failed: Vec<_> = failed.collect();
    // The cause first: it is what Display shows. The indexes still say the places in the batch.
    failed.sort_by_key(|failed| failed.outcome != Outcome::Refused);
    Unsent { failed }
}
