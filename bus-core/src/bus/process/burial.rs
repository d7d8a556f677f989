//! Dead letters: written, published, and offered again until they are taken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::FutureExt;
use tokio::time::Instant;

use super::{Processor, Turn, Work, attempt};
use crate::dead_letter::{Epitaph, Reason, To, topic_name};
use crate::error::{Error, ErrorKind};
use crate::layer::Fate;
use crate::message::Message;
use crate::transport::{Failed, Outcome, TopicSpec, Topology, TopologyMode, Unsent};

/// Waits between attempts to get a dead letter confirmed.
const DEAD_LETTER_BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Its dead letter, and how long to wait before it is tried again.
#[derive(Debug)]
pub(super) struct Burial {
    reason: Reason,
    cut: Message,
    copy: Message,
    error: Error,
    wait: Duration,
}

impl Processor {
    /// Its dead letter is written; from here on only that is tried.
    pub(super) fn condemn(&self, work: &mut Work, reason: Reason, error: Error) -> Turn {
        let first_failed = work.failing().first;
        let (message, origin) = (&work.received.delivery.message, &work.origin());
        let epitaph = Epitaph {
            group: &self.group,
            topic: self.letter_topic(&origin.topic),
            origin,
            reason,
            error: &error,
            attempts: work.attempts,
            first_failed,
            last_failed: Utc::now(),
        };
        let (copy, cut) = (epitaph.copy(message), epitaph.cut_copy(message));
        work.failing().burial = Some(Burial { reason, cut, copy, error, wait: DEAD_LETTER_BACK_OFF.0 });
        Turn::Condemned
    }

    /// A naming of the user's own that panics must not end the group: the letter goes where it would go without one.
    fn letter_topic(&self, topic: &Arc<str>) -> Arc<str> {
        let named = catch_unwind(AssertUnwindSafe(|| self.dead_letter.topic_for(topic, &self.group)));
        let named = named.unwrap_or_else(|panic| {
            tracing::error!(group = %self.group, "naming a dead-letter topic: {}", attempt::panicked(panic));
            Some(topic_name(topic, &self.group))
        });
        match named {
            // Of a topic that a pattern found nobody could say so at `start()`; there it would come again, for ever, or never
            // be taken.
            Some(named) if named == *topic || named.is_empty() => topic_name(topic, &self.group),
            named => named.unwrap_or_default(),
        }
    }

    /// Publishes the dead letter once. It is at its end only when that is confirmed; else it parks, unsettled, and
    /// health says so, until it is.
    ///
    /// Cancel safety: dropped midway, the letter may stand there and the message comes again.
    pub(crate) async fn bury(&self, work: &mut Work) -> Turn {
        let Some(burial) = work.failing.as_ref().and_then(|failing| failing.burial.as_ref()) else {
            return Turn::Retry(Duration::ZERO);
        };
        match self.take_letter(&burial.copy).await {
            Ok(()) => self.buried(work),
            Err(refusal) => self.park(work, refusal),
        }
    }

    fn buried(&self, work: &Work) -> Turn {
        self.gauge.unpark(work.token());
        self.gauge.dead_lettered();
        if let Some(burial) = work.failing.as_ref().and_then(|failing| failing.burial.as_ref()) {
            let Burial { reason, error, copy: letter, .. } = burial;
            let fate = Fate::DeadLettered { reason: *reason, error, attempts: work.attempts, letter };
            self.tell_layers(&work.received.delivery, fate);
            match &self.dead_letter.to {
                To::Discard => self.log_discarded(work, *reason, error),
                _ => self.log_dead_lettered(work, &letter.topic, *reason, error),
            }
        }
        Turn::End { dead: true }
    }

    fn park(&self, work: &mut Work, trouble: Refusal) -> Turn {
        self.log_parked(work, &trouble.text);
        let Some(burial) = work.failing.as_mut().and_then(|failing| failing.burial.as_mut()) else {
            return Turn::Retry(Duration::ZERO);
        };
        if trouble.too_large {
            burial.copy = burial.cut.clone();
        }
        let wait = burial.wait;
        burial.wait = (wait * 2).min(DEAD_LETTER_BACK_OFF.1);
        self.gauge.park(work.token(), work.parked(Instant::now() + wait, Some(trouble.text)));
        Turn::Parked(wait)
    }

    async fn take_letter(&self, letter: &Message) -> Result<(), Refusal> {
        match &self.dead_letter.to {
            To::Topic(_) => match self.publisher.publish(vec![letter.clone()]).await {
                Err(unsent) if self.can_make_topic_for(&unsent).await => {
                    self.publisher.publish(vec![letter.clone()]).await.map_err(|unsent| Refusal::of(&unsent))
                }
                taken => taken.map_err(|unsent| Refusal::of(&unsent)),
            },
            To::Discard => Ok(()),
            To::Custom(taker) => {
                let taken = AssertUnwindSafe(async { taker(letter.clone()).await }).catch_unwind().await;
                let taken = taken
                    .unwrap_or_else(|panic| Err(Error::new(ErrorKind::Other, attempt::panicked(panic).to_string())));
                taken.map_err(|error| Refusal {
                    text: error.to_string(),
                    too_large: error.kind() == ErrorKind::TooLarge,
                })
            }
        }
    }

    /// Makes the topic of a dead letter where it is missing and was not known at `start()`.
    async fn can_make_topic_for(&self, unsent: &Unsent) -> bool {
        let (Some(transport), Some(failed)) = (&self.letter_topics, unsent.failed.first()) else { return false };
        if failed.error.kind() != ErrorKind::Missing {
            return false;
        }
        let topic = TopicSpec { keep: true, ..TopicSpec::new(Arc::clone(&failed.message.topic)) };
        let topology = Topology { mode: TopologyMode::Create, topics: vec![topic], groups: Vec::new() };
        transport.ensure(&topology).await.is_ok()
    }
}

/// Why a dead letter was not taken.
struct Refusal {
    text: String,
    /// It may be, without the headers that are not needed.
    too_large: bool,
}

impl Refusal {
    fn of(unsent: &Unsent) -> Self {
        let too_large =
            |failed: &Failed| failed.outcome == Outcome::Refused && failed.error.kind() == ErrorKind::TooLarge;
        Self { text: unsent.to_string(), too_large: unsent.failed.iter().any(too_large) }
    }
}
