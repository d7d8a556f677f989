//! Events that could not be published, kept until they are.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use gulo_bus_core::event_publisher::{AnyEvent, EventPublisher};
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Failed, Outcome, Unsent};
use gulo_bus_core::{Error, ErrorKind};
use tokio::runtime::Handle;
use tokio::sync::Mutex as Turn;
use tokio::time::sleep;

use super::Report;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Events that could not be published, and are published again in the background, with waits of 100 ms to 5 s. What comes
/// after them waits behind them, so those of one key keep their order, and no request waits for a broker that is away.
/// Those that the broker refuses for good are reported once, and not kept. Cheap to clone.
///
/// They are kept in this process only. What is still there when the last handle goes is lost, and an error says so: look
/// at [`len`](Self::len) at shutdown, and [`take`](Self::take) them where there is a place for them.
#[derive(Clone)]
pub struct KeptEvents(Arc<Kept>);

struct Kept {
    publisher: Arc<dyn EventPublisher>,
    report: Report,
    list: Mutex<List>,
    /// Held while the first of the list are being published or taken out.
    turn: Turn<()>,
}

#[derive(Default)]
struct List {
    /// In their order.
    events: Vec<AnyEvent>,
    /// Alive while somebody tries again in the background: a runtime that ends takes them along.
    retrying: Weak<()>,
}

/// What a hook is told: events of a request that was handled, and that are not published.
#[derive(Debug)]
#[non_exhaustive]
pub struct NotPublished<'a> {
    /// Which request, as ``command `CreateUser` ``. Events that were kept and are refused now say so here.
    pub request: &'a str,
    /// The events.
    pub events: &'a [AnyEvent],
    /// Whether they are kept, and published again. Those that the broker [refuses](Outcome::Refused) for good are not:
    /// they are seen here for the last time.
    pub kept: bool,
    /// What publishing them said. `None` where that was not tried, for others were kept before them.
    pub why: Option<&'a Unsent>,
}

impl KeptEvents {
    pub(super) fn new(publisher: Arc<dyn EventPublisher>, report: Report) -> Self {
        Self(Arc::new(Kept { publisher, report, list: Mutex::default(), turn: Turn::default() }))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.list().events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tries now, in place of when the next wait is over.
    ///
    /// Cancel safety: they stay kept; some may have been sent.
    ///
    /// # Errors
    ///
    /// What publishing them said, where some are still kept.
    pub async fn retry(&self) -> Result<(), Unsent> {
        self.0.retry().await
    }

    /// Takes them out, for who has another place for them.
    pub async fn take(&self) -> Vec<AnyEvent> {
        let _turn = self.0.turn.lock().await;
        std::mem::take(&mut self.0.list().events)
    }

    /// Publishes `new` events, or keeps them: behind those that are kept already. An error has no more room for them.
    pub(super) async fn publish(&self, request: &str, new: Vec<AnyEvent>) -> Result<(), Unsent> {
        if !self.is_empty() {
            return self.keep(request, new, None);
        }
        match self.0.attempt(request, new).await {
            Ok(()) => Ok(()),
            Err((left, why)) => self.keep(request, left, Some(why)),
        }
    }

    fn keep(&self, request: &str, new: Vec<AnyEvent>, why: Option<Unsent>) -> Result<(), Unsent> {
        let Report { name, most, .. } = &self.0.report;
        {
            let mut list = self.0.list();
            if list.events.len() + new.len() > *most {
                return Err(why.unwrap_or_else(|| no_room(&new, list.events.len())));
            }
            list.events.extend(new.iter().cloned());
            self.retry_in_background(&mut list);
        }
        let said = why.as_ref().map_or_else(|| "others are kept before them".to_owned(), Unsent::to_string);
        tracing::warn!(hook = %name, request, events = new.len(), "kept, and published again: {said}");
        self.0.tell(&NotPublished { request, events: &new, kept: true, why: why.as_ref() });
        Ok(())
    }

    fn retry_in_background(&self, list: &mut List) {
        let Ok(runtime) = Handle::try_current() else { return };
        if list.retrying.strong_count() == 0 {
            let retrying = Arc::new(());
            list.retrying = Arc::downgrade(&retrying);
            runtime.spawn(retry_until_none_is_left(Arc::downgrade(&self.0), retrying));
        }
    }
}

fn no_room(new: &[AnyEvent], kept: usize) -> Unsent {
    let not_sent = |(index, event): (usize, &AnyEvent)| {
        let problem = format!("{kept} events that could not be published are kept already");
        let error = Error::new(ErrorKind::Unavailable, problem).help("there is no more room until they are published");
        let message = Message::tombstone(event.topic().unwrap_or_default());
        Failed { index, message, outcome: Outcome::NotSent, error }
    };
    Unsent { failed: new.iter().enumerate().map(not_sent).collect() }
}

impl Kept {
    /// Publishes `events`, in their order. Those that are refused for good are reported; an error has the others that
    /// are not confirmed. What there is no topic for, or on RabbitMQ no queue, is not refused for good: it may come yet.
    async fn attempt(&self, request: &str, mut events: Vec<AnyEvent>) -> Result<(), (Vec<AnyEvent>, Unsent)> {
        loop {
            let Err(why) = self.publisher.publish_events(events.clone()).await else { return Ok(()) };
            let for_good = |one: &Failed| one.outcome == Outcome::Refused && one.error.kind() != ErrorKind::Missing;
            let those = |refused: bool| -> Vec<AnyEvent> {
                let those = why.failed.iter().filter(|one| for_good(one) == refused);
                let mut places: Vec<_> = those.map(|one| one.index).collect();
                places.sort_unstable();
                places.into_iter().filter_map(|place| events.get(place).cloned()).collect()
            };
            let (refused, left) = (those(true), those(false));
            if !refused.is_empty() {
                tracing::error!(hook = %self.report.name, request, events = refused.len(), "refused for good: {why}");
                self.tell(&NotPublished { request, events: &refused, kept: false, why: Some(&why) });
            }
            match (left.is_empty(), refused.is_empty()) {
                // A publisher of the user's own that fails and names none: nothing is confirmed.
                (true, true) => return Err((events, why)),
                (true, false) => return Ok(()),
                (false, true) => return Err((left, why)),
                // They were held back only for those.
                (false, false) => events = left,
            }
        }
    }

    /// What is kept meanwhile stays behind those that are tried.
    async fn retry(&self) -> Result<(), Unsent> {
        let _turn = self.turn.lock().await;
        let tried = self.list().events.clone();
        if tried.is_empty() {
            return Ok(());
        }
        let (count, answer) = (tried.len(), self.attempt("a request of before", tried).await);
        let (left, result) = match answer {
            Ok(()) => (Vec::new(), Ok(())),
            Err((left, why)) => (left, Err(why)),
        };
        let published = count - left.len();
        self.list().events.splice(..count, left);
        if published > 0 {
            tracing::info!(hook = %self.report.name, events = published, "what was kept is published");
        }
        result
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hook that panics must not end those who try again.
    fn tell(&self, what: &NotPublished<'_>) {
        if catch_unwind(AssertUnwindSafe(|| (self.report.hook)(what))).is_err() {
            tracing::error!(hook = %self.report.name, "the hook panicked");
        }
    }
}

async fn retry_until_none_is_left(kept: Weak<Kept>, retrying: Arc<()>) {
    let mut wait = FIRST_WAIT;
    loop {
        sleep(wait).await;
        let Some(kept) = kept.upgrade() else { return };
        // A publisher of the user's own may panic; the events are there as before.
        wait = match AssertUnwindSafe(kept.retry()).catch_unwind().await {
            Ok(Ok(())) => FIRST_WAIT,
            Ok(Err(why)) => {
                tracing::debug!(hook = %kept.report.name, "still not published: {why}");
                (wait * 2).min(LONGEST_WAIT)
            }
            Err(_) => {
                tracing::error!(hook = %kept.report.name, "the publisher panicked");
                (wait * 2).min(LONGEST_WAIT)
            }
        };
        let list = kept.list();
        if list.events.is_empty() {
            // While nobody can add one: who does so next begins anew.
            drop(retrying);
            return;
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let events = &self.list.get_mut().unwrap_or_else(PoisonError::into_inner).events;
        if events.is_empty() {
            return;
        }
        let types: Vec<_> = events.iter().map(AnyEvent::event_type).collect();
        tracing::error!(hook = %self.report.name, "{} events that were kept are lost: {types:?}", types.len());
    }
}

impl fmt::Debug for KeptEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptEvents").field("hook", &self.0.report.name).field("events", &self.len()).finish()
    }
}
