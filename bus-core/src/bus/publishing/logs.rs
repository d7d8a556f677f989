//! What is logged of what is published: one line for each event, when it is known what became of it.

use std::collections::HashSet;
use std::sync::Arc;

use super::Publishing;
use crate::envelope::{self, Envelope};
use crate::error::shown;
use crate::event::EventMeta;
use crate::message::{Message, Origin};
use crate::transport::Unsent;

/// Of one call: a broker that is away must not fill the log.
const MOST: usize = 20;

/// What is known of messages that are about to be published; empty where nobody listens.
pub(super) struct Outgoing(Vec<(Arc<str>, EventMeta)>);

impl Publishing {
    pub(super) fn to_be_logged(&self, batch: &[Message]) -> Outgoing {
        let listens = tracing::enabled!(tracing::Level::DEBUG);
        let known = |message: &Message| (Arc::clone(&message.topic), self.meta_of(message));
        Outgoing(if listens { batch.iter().map(known).collect() } else { Vec::new() })
    }

    /// As the envelope of its topic has it.
    fn meta_of(&self, message: &Message) -> EventMeta {
        let origin = Origin { topic: Arc::clone(&message.topic), partition: None, offset: None };
        let unsaid = self.destinations.format_of(&message.topic).unsaid();
        let opened = Envelope::open(message, || origin.clone(), unsaid).ok().flatten();
        opened.map_or_else(|| envelope::read(message, &origin, ""), |opened| opened.meta)
    }

    pub(super) fn log(&self, outgoing: &Outgoing, result: &Result<(), Unsent>) {
        let failed = result.as_ref().err().map(|unsent| &*unsent.failed).unwrap_or_default();
        let places: HashSet<_> = failed.iter().map(|one| one.index).collect();
        for (index, (topic, meta)) in outgoing.0.iter().enumerate() {
            if !places.contains(&index) {
                tracing::debug!(
                    topic = shown(topic),
                    event_type = shown(&meta.event_type),
                    event_id = shown(&meta.id),
                    correlation_id = meta.correlation_id.as_deref().map(shown),
                    "published"
                );
            }
        }
        if failed.is_empty() || !tracing::enabled!(tracing::Level::WARN) {
            return;
        }
        for one in failed.iter().take(MOST) {
            let meta = self.meta_of(&one.message);
            tracing::warn!(
                topic = shown(&one.message.topic),
                event_type = shown(&meta.event_type),
                event_id = shown(&meta.id),
                correlation_id = meta.correlation_id.as_deref().map(shown),
                outcome = one.outcome.name(),
                "not published: {}",
                one.error
            );
        }
        if failed.len() > MOST {
            tracing::warn!("and {} more not published", failed.len() - MOST);
        }
    }
}
