//! Copies of what is not handled here any more, dead letters and those for later: written, published, and offered again until they
//! are taken.

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

/// Waits between attempts to get a copy confirmed.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A copy of it, and how long to wait before that is offered again.
#[derive(Debug)]
pub(super) struct Burial {
    rest: Rest,
    copy: Message,
    /// What the last failure said.
    error: Error,
    wait: Duration,
}

/// What the copy is.
#[derive(Debug)]
enum Rest {
    /// Its dead letter, and that without the headers that are not needed.
    Letter { reason: Reason, cut: Message },
    /// It waits for its next attempt.
    Later,
}

impl Rest {
    /// In words.
    const fn name(&self) -> &'static str {
        match self {
            Self::Letter { .. } => "dead letter",
            Self::Later => "copy for later",
        }
    }
}

impl Burial {
    pub(super) const fn for_later(copy: Message, error: Error) -> Self {
        Self { rest: Rest::Later, copy, error, wait: BACK_OFF.0 }
    }
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
        work.failing().burial = Some(Burial { rest: Rest::Letter { reason, cut }, copy, error, wait: BACK_OFF.0 });
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

    /// Publishes the copy once. It is at its end only when that is confirmed; else it parks, unsettled, and health says so, until
    /// it is.
    ///
    /// Cancel safety: dropped midway, the copy may stand there and the message comes again.
    pub(crate) async fn bury(&self, work: &mut Work) -> Turn {
        let Some(burial) = work.failing.as_ref().and_then(|failing| failing.burial.as_ref()) else {
            return Turn::Retry(Duration::ZERO);
        };
        let taken = match burial.rest {
            Rest::Letter { .. } => self.take_letter(&burial.copy).await,
            Rest::Later => self.publish_copy(&burial.copy).await,
        };
        match taken {
            Ok(()) => self.buried(work),
            Err(refusal) => self.park(work, refusal),
        }
    }

    fn buried(&self, work: &Work) -> Turn {
        self.gauge.unpark(work.token());
        if let Some(Burial { rest, copy, error, .. }) =
            work.failing.as_ref().and_then(|failing| failing.burial.as_ref())
        {
            match rest {
                Rest::Letter { reason, .. } => self.dead_lettered(work, *reason, copy, error),
                Rest::Later => self.postponed(work, copy, error),
            }
        }
        Turn::End { dead: true }
    }

    fn dead_lettered(&self, work: &Work, reason: Reason, letter: &Message, error: &Error) {
        self.gauge.dead_lettered();
        let fate = Fate::DeadLettered { reason, error, attempts: work.attempts, letter };
        self.tell_layers(&work.received.delivery, fate);
        match &self.dead_letter.to {
            To::Discard => self.log_discarded(work, reason, error),
            _ => self.log_dead_lettered(work, &letter.topic, reason, error),
        }
    }

    fn park(&self, work: &mut Work, trouble: Refusal) -> Turn {
        let Some(burial) = work.failing.as_mut().and_then(|failing| failing.burial.as_mut()) else {
            return Turn::Retry(Duration::ZERO);
        };
        let (what, wait) = (burial.rest.name(), burial.wait);
        burial.wait = (wait * 2).min(BACK_OFF.1);
        match &burial.rest {
            Rest::Letter { cut, .. } if trouble.for_good => burial.copy = cut.clone(),
            // It never will be taken; a dead letter can do with fewer headers.
            Rest::Later if trouble.for_good => return self.bury_after_all(work),
            _ => {}
        }
        self.log_parked(work, what, &trouble.text);
        self.gauge.park(work.token(), work.parked(Instant::now() + wait, Some((what, trouble.text))));
        Turn::Parked(wait)
    }

    fn bury_after_all(&self, work: &mut Work) -> Turn {
        if let Some(Burial { error, .. }) = work.failing().burial.take() {
            self.condemn(work, Reason::AttemptsExhausted, error);
        }
        Turn::Parked(Duration::ZERO)
    }

    async fn publish_copy(&self, copy: &Message) -> Result<(), Refusal> {
        self.publisher.publish(vec![copy.clone()]).await.map_err(|unsent| Refusal::of(&unsent))
    }

    async fn take_letter(&self, letter: &Message) -> Result<(), Refusal> {
        match &self.dead_letter.to {
            To::Topic(_) => match self.publisher.publish(vec![letter.clone()]).await {
                Err(unsent) if self.can_make_topic_for(&unsent).await => self.publish_copy(letter).await,
                taken => taken.map_err(|unsent| Refusal::of(&unsent)),
            },
            To::Discard => Ok(()),
            To::Custom(taker) => {
                let taken = AssertUnwindSafe(async { taker(letter.clone()).await }).catch_unwind().await;
                let taken = taken
                    .unwrap_or_else(|panic| Err(Error::new(ErrorKind::Other, attempt::panicked(panic).to_string())));
                taken.map_err(|error| Refusal { text: error.to_string(), for_good: is_of_the_message(error.kind()) })
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

/// Why a copy was not taken.
struct Refusal {
    text: String,
    /// As it is it never will be; it may be, without the headers that are not needed.
    for_good: bool,
}

/// What a transport has against a message, and not a broker against us now.
const fn is_of_the_message(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::TooLarge | ErrorKind::Unsupported | ErrorKind::Encode)
}

impl Refusal {
    fn of(unsent: &Unsent) -> Self {
        let for_good = |failed: &Failed| failed.outcome == Outcome::Refused && is_of_the_message(failed.error.kind());
        Self { text: unsent.to_string(), for_good: unsent.failed.iter().any(for_good) }
    }
}
