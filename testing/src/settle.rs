//! Waiting until everything is done, and saying what is not.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::bus::{Health, ParkedKey, Stage};
use gulo_bus_core::layer::Invocation;
use gulo_bus_core::message::{Message, Origin};
use gulo_transport_memory::Faults;
use tokio::time::{Instant, sleep, timeout_at};

use crate::record::{Log, Record, What, key_text, line};

/// No clock counts to the end of time.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
/// The shortest time that tokio's clock knows. Paused, it goes by when nothing else can run.
const TICK: Duration = Duration::from_millis(1);
/// Messages named in one error.
const NAMED: usize = 20;

/// What looks into a bus and its broker.
pub(crate) struct Look<'a> {
    pub(crate) record: &'a Record,
    pub(crate) faults: Faults,
}

impl Look<'_> {
    /// Waits until nothing is left to do; `false` where that is not so within `limit`.
    pub(crate) async fn settled(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit.min(FAR);
        let mut changes = self.record.changes();
        loop {
            changes.mark_unchanged();
            if self.is_settled() {
                // What can run may publish yet: tasks that handlers spawned, for one.
                sleep(TICK).await;
                let quiet = !changes.has_changed().unwrap_or(false);
                if self.is_settled() && (quiet || Instant::now() >= deadline) {
                    return true;
                }
                continue;
            }
            // All that ends a message passes our layer, publisher or source; but that one of a queue expires, nobody hears.
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return self.is_settled();
            }
        }
    }

    fn is_settled(&self) -> bool {
        let groups = self.record.groups();
        self.record.publishing() == 0 && self.faults.is_settled(groups.iter().map(|group| &**group))
    }

    /// What is left to do.
    pub(crate) fn unsettled(&self, when: String, health: Option<&Health>) -> Unsettled {
        let (mut open, attempts) = (Vec::new(), Attempts::of(self.record));
        for group in self.record.groups() {
            for (origin, message) in self.faults.unsettled(&group) {
                open.push(self.open(&group, origin, &message, &attempts, health));
            }
        }
        let troubles = health.iter().flat_map(|health| &health.subscriptions).filter_map(|subscription| {
            let trouble = subscription.degraded.as_deref()?;
            Some(format!("group {}: {trouble}", subscription.group))
        });
        let (publishing, troubles) = (self.record.publishing(), troubles.collect());
        Unsettled { when, open, publishing, troubles, log: self.record.log() }
    }

    fn open(
        &self,
        group: &Arc<str>,
        origin: Origin,
        message: &Message,
        attempts: &Attempts,
        health: Option<&Health>,
    ) -> Open {
        let key = message.key.as_deref().map(key_text);
        let mut open = Open {
            group: Arc::clone(group),
            event_type: self.record.kind(message),
            stage: Stage::Queued,
            attempts: 0,
            goes_on_in: None,
            reason: None,
            origin,
            key,
        };
        attempts.tell(&mut open, message);
        if let Some(parked) = health.and_then(|health| parked(health, &open)) {
            open.stage = parked.stage;
            open.attempts = parked.attempts;
            open.goes_on_in = Some(parked.goes_on_in);
            open.reason = Some(parked.reason.clone());
        }
        open
    }
}

/// The attempts of this life of the bus that failed, the last one first, and those that are under way.
struct Attempts {
    failed: Vec<(Invocation, String)>,
    running: Vec<Invocation>,
}

impl Attempts {
    fn of(record: &Record) -> Self {
        let happened = record.entries().into_iter().rev().map(|entry| entry.what);
        let failed =
            happened.take_while(|what| !matches!(what, What::Restarted { .. })).filter_map(|what| match what {
                What::Failed { call, error } => Some((call, error)),
                _ => None,
            });
        Self { failed: failed.collect(), running: record.running() }
    }

    fn tell(&self, open: &mut Open, message: &Message) {
        let (group, origin) = (Arc::clone(&open.group), open.origin.clone());
        let is_it = |call: &Invocation| call.group == group && call.origin == origin && call.message == *message;
        if let Some((call, error)) = self.failed.iter().find(|(call, _)| is_it(call)) {
            (open.stage, open.attempts, open.reason) = (Stage::Waiting, call.attempt, Some(error.clone()));
        }
        if let Some(attempt) = self.running.iter().filter(|call| is_it(call)).map(|call| call.attempt).max() {
            (open.stage, open.attempts) = (Stage::InWork, attempt);
        }
    }
}

/// What health knows of it, where it waits.
fn parked<'a>(health: &'a Health, open: &Open) -> Option<&'a ParkedKey> {
    let of_group = health.subscriptions.iter().filter(|subscription| subscription.group == open.group);
    let mut parked = of_group.flat_map(|subscription| &subscription.lanes).flat_map(|lane| &lane.parked);
    parked.find(|parked| {
        // Where there are no offsets, a key waits once.
        parked.origin == open.origin && (parked.origin.offset.is_some() || parked.key == open.key)
    })
}

/// A message that has not come to its end in a group. [`Unsettled`] has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Open {
    /// The group.
    pub group: Arc<str>,
    /// Where it stands.
    pub origin: Origin,
    /// The type it says, or in words that it says none.
    pub event_type: String,
    /// Its key: text, or `0x` and hexadecimal digits.
    pub key: Option<String>,
    /// What it does. [`Queued`](Stage::Queued) also where the group has not been handed it.
    pub stage: Stage,
    /// How often it has been handled, the attempt under way included.
    pub attempts: u32,
    /// In how long it goes on by itself, where it waits and health knows.
    pub goes_on_in: Option<Duration>,
    /// What the last failure said: that of its handler, or why its dead letter was not taken.
    pub reason: Option<String>,
}

impl fmt::Display for Open {
    /// `group billing: order.paid orders[1]@3 of key 7, waiting, 2 attempts, goes on in 40.0s: the ledger is closed`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}: {} {}", self.group, self.event_type, self.origin)?;
        if let Some(key) = &self.key {
            write!(f, " of key {key}")?;
        }
        write!(f, ", {}", self.stage.name())?;
        match self.attempts {
            0 => {}
            1 => f.write_str(", 1 attempt")?,
            attempts => write!(f, ", {attempts} attempts")?,
        }
        if let Some(time) = self.goes_on_in {
            write!(f, ", goes on in {time:.1?}")?;
        }
        self.reason.iter().try_for_each(|reason| write!(f, ": {}", line(reason)))
    }
}

/// Not everything came to its end.
///
/// Display and Debug are the same text: what is open, what health says, and what happened. It names keys and what
/// errors say, and never a payload.
///
/// ```
/// # use gulo_bus_core::bus::{Bus, Subscription};
/// # use gulo_bus_core::event::IntegrationEvent;
/// # use gulo_bus_core::handler::{Event, HandlerError};
/// # use gulo_testing::TestBus;
/// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)] struct Placed { order: u64 }
/// # impl IntegrationEvent for Placed { const TYPE: &'static str = "order.placed"; }
/// # use std::time::Duration;
/// # use gulo_bus_core::bus::Stage;
/// # use gulo_bus_core::retry::Retry;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let closed = async |_: Event<Placed>| Err::<(), _>(HandlerError::new("the ledger is closed"));
/// let billing = Subscription::group("billing").retry(Retry::fixed(Duration::from_secs(60))).on(closed);
/// let bus = TestBus::start(Bus::builder("shop").subscribe(billing)).await?;
/// bus.publish(Placed { order: 1 }).await?;
/// let unsettled = bus.settle_within(Duration::from_secs(90)).await.unwrap_err();
/// let open = &unsettled.open[0];
/// assert_eq!((open.stage, open.attempts, open.reason.as_deref()), (Stage::Waiting, 2, Some("the ledger is closed")));
/// # bus.settle().await?;
/// # bus.shutdown().await?;
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
#[non_exhaustive]
pub struct Unsettled {
    when: String,
    /// Messages that have not come to their end, group by group.
    pub open: Vec<Open>,
    /// Publishes under way.
    pub publishing: usize,
    /// What does not work, in words: what health says is degraded, and what did not close.
    pub troubles: Vec<String>,
    /// What happened.
    pub log: Log,
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { when, open, publishing, troubles, log } = self;
        writeln!(f, "not settled {when}; open messages: {}, publishes under way: {publishing}", open.len())?;
        open.iter().take(NAMED).try_for_each(|open| writeln!(f, "  {open}"))?;
        if open.len() > NAMED {
            writeln!(f, "  .. and {} more", open.len() - NAMED)?;
        }
        troubles.iter().try_for_each(|trouble| writeln!(f, "  {trouble}"))?;
        write!(f, "what happened:\n{log}")
    }
}

// A test prints its error with Debug.
impl fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Unsettled {}
