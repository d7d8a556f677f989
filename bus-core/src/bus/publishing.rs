//! From events to confirmed messages.

mod logs;
mod room;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::bus::destinations::{Destination, Destinations};
use crate::bus::limits::Limits;
use crate::dead_letter;
use crate::envelope::Envelope;
use crate::error::{Error, ErrorKind, Result as BusResult, shown};
use crate::event::{IntegrationEvent, Outgoing, Publishable};
use crate::event_publisher::EventDefaults;
use crate::handler::handled;
use crate::headers::Headers;
use crate::message::Message;
use crate::panic::caught;
use crate::retry_later;
use crate::transport::{Failed, Outcome, Publisher, Unsent};

pub(crate) use room::{Room, Sheet};

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
    /// As [`Bus::publish`](crate::bus::Bus::publish), its errors and cancel safety too.
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
    pub(crate) destinations: Destinations,
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) room: Room,
}

impl Publishing {
    /// Publishes all of `events` in one batch, or nothing of it where one does not encode.
    pub(crate) async fn publish<P: Publishable>(&self, events: impl IntoIterator<Item = P>) -> Result<(), Unsent> {
        self.publish_encoded(self.encode_all(events.into_iter())).await
    }

    fn encode_all<P: Publishable>(&self, events: impl Iterator<Item = P>) -> Batch {
        let (to, mut sheet) = (self.destinations.of::<P::Event>(), self.room.sheet(events.size_hint().0));
        let encode = |event: P| {
            let what = format_args!("what is said of `{}`", P::Event::TYPE);
            match caught(ErrorKind::Encode, what, || event.into_outgoing()) {
                Ok(outgoing) => self.encode_or(&outgoing, None, &to, &mut sheet),
                Err(error) => (Message::tombstone(""), Some(error)),
            }
        };
        events.map(encode).collect()
    }

    pub(crate) async fn publish_encoded(&self, encoded: Batch) -> Result<(), Unsent> {
        if !encoded.refused.is_empty() {
            let withheld = Err(withheld(encoded));
            self.log(&self.to_be_logged(&[]), &withheld);
            return withheld;
        }
        self.hand_over(encoded.messages).await
    }

    async fn hand_over(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        if batch.is_empty() {
            return Ok(());
        }
        let outgoing = self.to_be_logged(&batch);
        let result = self.publisher.publish(batch).await.map_err(|unsent| self.in_our_words(unsent));
        self.log(&outgoing, &result);
        result
    }

    /// Publishes messages as they are.
    pub(crate) async fn send(&self, messages: Vec<Message>) -> Result<(), Unsent> {
        if let Some(first) = messages.iter().position(|message| self.limits.check(message).is_err()) {
            return Err(self.refuse(messages, first));
        }
        self.hand_over(messages).await
    }

    /// None of the messages is sent, for the `first` is too large, and perhaps some behind it.
    fn refuse(&self, messages: Vec<Message>, first: usize) -> Unsent {
        let check = |(index, message)| Some((index, self.limits.check(message).err()?));
        let refused = messages.iter().enumerate().skip(first).filter_map(check).collect();
        withheld(Batch { messages, refused })
    }

    /// A transport does not know the builder, which is what an application has.
    fn in_our_words(&self, mut unsent: Unsent) -> Unsent {
        let failed = std::mem::take(&mut unsent.failed).into_iter().map(|mut failed| {
            if failed.error.kind() == ErrorKind::Missing && !self.destinations.is_named(&failed.message.topic) {
                failed.error = failed.error.help(self.destinations.way_to_name(&failed.message.topic));
            }
            failed
        });
        Unsent { failed: failed.collect() }
    }

    /// `defaults` say what nobody else says.
    pub(crate) fn encode_or<E: IntegrationEvent>(
        &self,
        outgoing: &Outgoing<E>,
        defaults: Option<&EventDefaults>,
        to: &BusResult<Destination>,
        sheet: &mut Sheet<'_>,
    ) -> Encoded {
        let other = outgoing.other_topic().map(|topic| self.destinations.called::<E>(topic));
        let to = match other.as_ref().unwrap_or(to) {
            Ok(to) => to,
            Err(error) => return (Message::tombstone(""), Some(error.copy())),
        };
        let what = format_args!("encoding `{}`", E::TYPE);
        match caught(ErrorKind::Encode, what, || self.message(outgoing, defaults, to, sheet)).flatten() {
            Err(error) => (Message::tombstone(Arc::clone(&to.topic)), Some(error)),
            Ok(encoded) => encoded,
        }
    }

    fn message<E: IntegrationEvent>(
        &self,
        outgoing: &Outgoing<E>,
        defaults: Option<&EventDefaults>,
        to: &Destination,
        sheet: &mut Sheet<'_>,
    ) -> BusResult<Encoded> {
        sheet.begin();
        let mut meta = outgoing.meta_or(&self.source, defaults);
        // What the publisher says itself goes before.
        if let Some(cause) = handled() {
            meta.caused_by(&cause);
        }
        let Destination { topic, format } = to;
        let payload = format.codec.encode(&outgoing.event, &mut sheet.buffer)?;
        let (content_type, more) = (format.codec.content_type(), outgoing.headers());
        let Sheet { buffer, form, .. } = &mut *sheet;
        let (payload, headers) = format.envelope.seal(&meta, content_type, payload, more, buffer, form)?;
        check_headers(format.envelope, more, &headers)?;
        let key = outgoing.key_or(|| self.destinations.key(&meta, outgoing.event.key()));
        let key = key.map(|key| sheet.keep(key.as_bytes()));
        sheet.end(payload.len() + headers.size() + key.as_ref().map_or(0, Bytes::len));
        let send = outgoing.wishes();
        let message = Message { topic: Arc::clone(topic), key, payload: Some(payload), headers, timestamp: None, send };
        let refused =
            self.limits.check(&message).and_then(|()| self.limits.check_meta(&meta, &mut sheet.checked)).err();
        Ok((message, refused))
    }
}

/// Headers of the publisher's own: what the envelope says goes by other ways.
fn check_headers(envelope: Envelope, own: &Headers, all: &Headers) -> BusResult<()> {
    if own.is_empty() {
        return Ok(());
    }
    let written = |name: &str| all.get_all(name).count() > own.get_all(name).count();
    if let Some((name, _)) = own.iter().find(|(name, _)| name.is_empty() || name.contains(char::is_control)) {
        let problem = format!("there can be no header called `{}`", shown(name));
        return Err(
            Error::new(ErrorKind::Refused, problem).help("a name is text without control characters, and not empty")
        );
    }
    let is_ours = |name: &str| [dead_letter::PREFIX, retry_later::PREFIX].iter().any(|ours| name.starts_with(ours));
    let taken = |name: &str| is_ours(name) || envelope.reserves(name) || written(name);
    let Some((name, _)) = own.iter().find(|(name, _)| taken(name)) else { return Ok(()) };
    let problem = format!("header `{}` is written by the bus itself", shown(name));
    Err(Error::new(ErrorKind::Refused, problem).help("give yours another name, or use the methods of `Outgoing`"))
}

/// A message, and why it cannot be sent.
pub(crate) type Encoded = (Message, Option<Error>);

/// Messages, and which of them cannot be sent, by their places.
#[derive(Default)]
pub(crate) struct Batch {
    messages: Vec<Message>,
    refused: Vec<(usize, Error)>,
}

impl FromIterator<Encoded> for Batch {
    fn from_iter<I: IntoIterator<Item = Encoded>>(encoded: I) -> Self {
        let (encoded, mut refused) = (encoded.into_iter().enumerate(), Vec::new());
        let message = |(place, (message, problem)): (usize, Encoded)| {
            refused.extend(problem.map(|error| (place, error)));
            message
        };
        Self { messages: encoded.map(message).collect(), refused }
    }
}

/// A batch of which something cannot be sent, and so nothing was: half of a batch is seldom what was meant.
fn withheld(Batch { messages, refused }: Batch) -> Unsent {
    let mut refused = refused.into_iter().peekable();
    let failed =
        messages.into_iter().enumerate().map(|(index, message)| match refused.next_if(|(place, _)| *place == index) {
            Some((_, error)) => Failed { index, message, outcome: Outcome::Refused, error },
            None => {
                let error = Error::new(ErrorKind::Refused, "another event of the batch was refused")
                    .help("publish it again without that one");
                Failed { index, message, outcome: Outcome::NotSent, error }
            }
        });
    let mut failed: Vec<_> = failed.collect();
    // The cause first: it is what Display shows. The indexes still say the places in the batch.
    failed.sort_by_key(|failed| failed.outcome != Outcome::Refused);
    Unsent { failed }
}
