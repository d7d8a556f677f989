//! Events that could not be published, kept until they are.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

use gulo_bus_core::event_publisher::{AnyEvent, EventPublisher};
use gulo_bus_core::transport::{Outcome, Unsent};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::Report;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Events that could not be published, and are published again in the background, with waits of 100 ms to 30 s, and
/// before anything that comes after them: those of one key keep their order. Those that the broker refuses for good are
/// reported once, and not kept. Cheap to clone.
///
/// They are kept in this process only. What is still there when the last handle goes is lost, and an error says so: look
/// at [`len`](Self::len) at shutdown, and [`take`](Self::take) them where there is a place for them.
#[derive(Clone)]
pub struct KeptEvents(Arc<Kept>);

struct Kept {
    publisher: Arc<dyn EventPublisher>,
    report: Report,
    /// In their order. Held while they are published: who comes later comes after them.
    events: Mutex<Vec<AnyEvent>>,
    /// How many there are, for who does not want to wait for that.
    count: AtomicUsize,
    retrying: AtomicBool,
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
    /// What publishing them said.
    pub why: &'a Unsent,
}

impl KeptEvents {
    pub(super) fn new(publisher: Arc<dyn EventPublisher>, report: Report) -> Self {
        let (events, count, retrying) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        Self(Arc::new(Kept { publisher, report, events, count, retrying }))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.count.load(SeqCst)
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
        let mut kept = self.0.events.lock().await;
        self.0.count.store(0, SeqCst);
        std::mem::take(&mut *kept)
    }

    /// Publishes `new` events behind those that are kept, or keeps them too. An error has no more room for them.
    pub(super) async fn publish(&self, request: &str, new: Vec<AnyEvent>) -> Result<(), Unsent> {
        // Nobody waits for anybody while all goes well.
        if self.is_empty() {
            let Err((new, why)) = self.0.attempt(request, new).await else { return Ok(()) };
            return self.keep(request, &mut *self.0.events.lock().await, new, why);
        }
        let mut kept = self.0.events.lock().await;
        // They stay kept until it is known what became of them: this may be dropped while it waits.
        let all = kept.iter().cloned().chain(new.iter().cloned());
        let Err((mut left, why)) = self.0.attempt(request, all.collect()).await else {
            self.0.set(&mut kept, Vec::new());
            return Ok(());
        };
        // Its own are behind those of before.
        let own = left.iter().rposition(|event| !new.iter().any(|new| new.is_same(event))).map_or(0, |last| last + 1);
        let new = left.split_off(own);
        self.0.set(&mut kept, left);
        if new.is_empty() { Ok(()) } else { self.keep(request, &mut kept, new, why) }
    }

    fn keep(&self, request: &str, kept: &mut Vec<AnyEvent>, new: Vec<AnyEvent>, why: Unsent) -> Result<(), Unsent> {
        let Report { name, most, .. } = &self.0.report;
        if kept.len() + new.len() > *most {
            return Err(why);
        }
        tracing::warn!(hook = %name, request, events = new.len(), "kept, and published again: {why}");
        self.0.tell(&NotPublished { request, events: &new, kept: true, why: &why });
        let all = std::mem::take(kept).into_iter().chain(new).collect();
        self.0.set(kept, all);
        self.0.retry_in_background(Arc::downgrade(&self.0));
        Ok(())
    }
}

impl Kept {
    /// Publishes `events`, in their order. Those that are refused for good are reported; an error has the others that
    /// are not confirmed.
    async fn attempt(&self, request: &str, mut events: Vec<AnyEvent>) -> Result<(), (Vec<AnyEvent>, Unsent)> {
        loop {
            let Err(why) = self.publisher.publish_events(events.clone()).await else { return Ok(()) };
            let (refused, others) = why.failed.iter().partition::<Vec<_>, _>(|one| one.outcome == Outcome::Refused);
            let those = |mut places: Vec<usize>| -> Vec<AnyEvent> {
                places.sort_unstable();
                places.iter().filter_map(|place| events.get(*place)).cloned().collect()
            };
            let refused = those(refused.iter().map(|one| one.index).collect());
            let left = those(others.iter().map(|one| one.index).collect());
            if refused.is_empty() {
                return if left.is_empty() { Ok(()) } else { Err((left, why)) };
            }
            tracing::error!(hook = %self.report.name, request, events = refused.len(), "refused for good: {why}");
            self.tell(&NotPublished { request, events: &refused, kept: false, why: &why });
            if left.is_empty() {
                return Ok(());
            }
            // They were held back only for those.
            events = left;
        }
    }

    async fn retry(&self) -> Result<(), Unsent> {
        let mut kept = self.events.lock().await;
        let tried = self.attempt("a request of before", kept.clone()).await;
        let (left, result) = match tried {
            Ok(()) => (Vec::new(), Ok(())),
            Err((left, why)) => (left, Err(why)),
        };
        if left.is_empty() && !kept.is_empty() {
            tracing::info!(hook = %self.report.name, events = kept.len(), "what was kept is published");
        }
        self.set(&mut kept, left);
        result
    }

    fn set(&self, kept: &mut Vec<AnyEvent>, events: Vec<AnyEvent>) {
        self.count.store(events.len(), SeqCst);
        *kept = events;
    }

    fn tell(&self, what: &NotPublished<'_>) {
        (self.report.hook)(what);
    }

    fn retry_in_background(&self, this: Weak<Self>) {
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.retrying.swap(true, SeqCst) {
            runtime.spawn(retry_until_none_is_left(this));
        }
    }
}

async fn retry_until_none_is_left(kept: Weak<Kept>) {
    let mut wait = FIRST_WAIT;
    loop {
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
        let Some(kept) = kept.upgrade() else { return };
        if let Err(why) = kept.retry().await {
            tracing::debug!(hook = %kept.report.name, "still not published: {why}");
            continue;
        }
        kept.retrying.store(false, SeqCst);
        // Somebody may have kept one since, and have seen that this still runs.
        if kept.count.load(SeqCst) == 0 || kept.retrying.swap(true, SeqCst) {
            return;
        }
        wait = FIRST_WAIT;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let events = self.events.get_mut();
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
