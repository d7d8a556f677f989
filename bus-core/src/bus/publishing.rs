//! From events to confirmed messages.

use std::sync::Arc;

use crate::bus::limits::Limits;
use crate::codec;
use crate::envelope;
use crate::error::{Error, ErrorKind};
use crate::event::{IntegrationEvent, Outgoing, Publishable};
use crate::message::Message;
use crate::transport::{Failed, Outcome, Publisher, Unsent};

/// What every way to publish needs.
pub(crate) struct Publishing {
    pub(crate) source: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) publisher: Arc<dyn Publisher>,
}

impl Publishing {
    /// Publishes all of `events` in one batch, or nothing of it where one does not encode.
    pub(crate) async fn publish<P: Publishable>(&self, events: impl IntoIterator<Item = P>) -> Result<(), Unsent> {
        let encoded: Vec<_> = events.into_iter().map(|event| self.encode(&event.into_outgoing())).collect();
        if encoded.iter().any(|(_, refused)| refused.is_some()) {
            return Err(withheld(encoded));
        }
        let batch: Vec<_> = encoded.into_iter().map(|(message, _)| message).collect();
        if batch.is_empty() {
            return Ok(());
        }
        self.publisher.publish(batch).await
    }

    fn encode<E: IntegrationEvent>(&self, outgoing: &Outgoing<E>) -> Encoded {
        let meta = outgoing.meta(&self.source);
        let key = outgoing.event.key();
        match codec::encode_json(&outgoing.event) {
            Err(error) => (Message::tombstone(E::topic()), Some(error)),
            Ok(payload) => {
                let message = envelope::message(E::topic(), key, payload, envelope::write(&meta, codec::JSON));
                let refused = self.limits.check(&message, &meta).err();
                (message, refused)
            }
        }
    }
}

/// A message, and why it cannot be sent.
type Encoded = (Message, Option<Error>);

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
