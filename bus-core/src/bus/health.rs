//! How a bus is: by group and by lane, as values and as JSON.

mod board;
mod json;
mod monitor;
mod stall;

use std::sync::Arc;
use std::time::Duration;

use crate::bus::report::Counts;
use crate::message::Origin;
use crate::transport::Status;

pub(crate) use board::{Board, LaneShot, NAMED, Oldest, Parked, Shot, key_text};
pub use monitor::Monitor;
pub(crate) use monitor::{Group, stamped};
pub(crate) use stall::Watchdog;

/// How a bus is. As JSON by `serde`, or by [`to_json`](Self::to_json); [the guide to health] shows the shape.
///
/// [the guide to health]: https://github.com/gulo-rs/gulo/blob/main/docs/health.md
///
/// Keys, and what errors of handlers say, stand in it as text, cut to 64 and 256 characters; payloads never do.
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # fn example(bus: &Bus) {
/// let health = bus.health();
/// for group in &health.subscriptions {
///     println!("{}: {} handled, {} in flight", group.group, group.counts.handled, group.in_flight);
///     for lane in group.lanes.iter().filter(|lane| lane.parked_total > 0) {
///         println!("  {} ({}): {} wait", lane.origin, lane.state.name(), lane.parked_total);
///         for waits in &lane.parked {
///             println!("    {:?} since {:?}: {}", waits.key, waits.since, waits.reason);
///         }
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Health {
    /// The transport's connections.
    pub transport: Status,
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionHealth>,
}

/// How one subscription is. [`Health`] has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubscriptionHealth {
    /// Its group.
    pub group: Arc<str>,
    /// What it did.
    pub counts: Counts,
    /// Messages received and not ended: in work, waiting, or queued behind their key.
    pub in_flight: usize,
    /// What does not work for now, in words: the broker away, a dead letter that is not taken, a lane without progress.
    pub degraded: Option<String>,
    /// How long a handler has kept the group's thread already, where that is longer than
    /// [`stall_after`](crate::bus::Subscription::stall_after): it blocks, and nothing of the group goes on.
    pub blocked: Option<Duration>,
    /// Each lane that is open here, by topic and partition; as they were at most a quarter of a second ago, and before
    /// the handler began that blocks.
    pub lanes: Vec<LaneHealth>,
}

/// How one lane is: a partition, or a queue. [`Health`] has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LaneHealth {
    /// Topic and partition; without an offset.
    pub origin: Origin,
    /// Whether messages of it may begin.
    pub state: LaneState,
    /// Messages of it received and not ended.
    pub in_flight: usize,
    /// The first of them by its place in the log.
    pub oldest: Option<InFlight>,
    /// Those that wait longest: 16 at most.
    pub parked: Vec<ParkedKey>,
    /// All that wait, for their next attempt or for their dead letter to be taken.
    pub parked_total: usize,
    /// How long ago a message of it came to its end. `None` where none has since it was opened.
    pub last_progress: Option<Duration>,
    /// For how long nothing of it has come to its end although there is something, where that is longer than
    /// [`stall_after`](crate::bus::Subscription::stall_after).
    pub stalled: Option<Duration>,
}

/// Whether messages of a lane may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LaneState {
    /// They may.
    Open,
    /// It delivers nothing until it is resumed.
    Paused,
    /// It is called back: what runs may finish.
    Draining,
    /// It had too many dead letters.
    StandingStill,
}

/// A message received and not ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InFlight {
    /// How long it has been here.
    pub age: Duration,
    /// Where it stood.
    pub origin: Origin,
    /// Its key: text, or `0x` and hexadecimal digits.
    pub key: Option<String>,
    /// What it does.
    pub stage: Stage,
}

/// What a message does that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// It has not begun: its key is held by another one, or all places are taken.
    Queued,
    /// Its handler runs, or its dead letter or its copy for later is on its way.
    InWork,
    /// It waits for its next attempt.
    Waiting,
    /// Its dead letter, or its copy for later, was not taken; it waits to offer that again.
    Parked,
}

/// A message that waits, and so does all that is behind it of its key.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ParkedKey {
    /// Text, or `0x` and hexadecimal digits. `None` where the message has no key: then nothing waits behind it.
    pub key: Option<String>,
    /// Where it stood.
    pub origin: Origin,
    /// [`Waiting`](Stage::Waiting) for its next attempt, or [`Parked`](Stage::Parked) until its copy is taken.
    pub stage: Stage,
    /// How often it was handled, 0 where it never got to a handler.
    pub attempts: u32,
    /// How long ago it failed first.
    pub since: Duration,
    /// In how long it goes on; zero where that is due.
    pub goes_on_in: Duration,
    /// What the last failure said.
    pub reason: String,
}

impl Health {
    /// Whether nothing is degraded and the transport is up.
    pub fn is_up(&self) -> bool {
        self.transport == Status::Up && self.subscriptions.iter().all(SubscriptionHealth::is_up)
    }

    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl SubscriptionHealth {
    /// Whether nothing is degraded.
    pub fn is_up(&self) -> bool {
        self.degraded.is_none()
    }
}

impl LaneState {
    /// A short name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::StandingStill => "standing still",
        }
    }
}

impl Stage {
    /// A short name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InWork => "in work",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
        }
    }
}
