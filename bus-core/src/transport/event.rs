//! What comes out of a source: deliveries and news of its lanes.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use crate::error::Error;
use crate::message::{Message, Origin};
use crate::settle::{Lane, Token};

/// A message handed out, to be settled by its token. [The module](crate::transport) has an example.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Names it when it is settled.
    pub token: Token,
    /// The partition it came from, where the broker has them.
    pub partition: Option<u32>,
    /// Its place in the partition's log, where the broker has one.
    pub offset: Option<i64>,
    /// How often the broker says it was handed out before. 0 where it does not count (Kafka): a repetition may carry 0.
    pub redelivered: u32,
}

impl Delivery {
    /// Where it stood in the broker.
    pub fn origin(&self) -> Origin {
        Origin { topic: Arc::clone(&self.message.topic), partition: self.partition, offset: self.offset }
    }
}

/// What [`recv`](super::Source::recv) fills.
///
/// Read `events` before `deliveries`: a lane opens before its first delivery, and deliveries of a lane that has ended
/// in the same fill are of an epoch that is over.
#[derive(Debug, Default)]
pub struct Inbox {
    /// News of lanes, in order.
    pub events: Vec<LaneEvent>,
    /// Messages, those of one lane in order. A queue, so that its owner can take from it without moving the rest.
    pub deliveries: VecDeque<Delivery>,
}

impl Inbox {
    /// Whether there is neither event nor delivery.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.deliveries.is_empty()
    }
}

/// News of a source's lanes.
///
/// ```
/// # use gulo_bus_core::transport::LaneEvent;
/// fn hear(event: &LaneEvent) {
///     match event {
///         LaneEvent::Opened { origin, .. } => println!("reading {origin}"),
///         LaneEvent::Draining { lanes, .. } => println!("{} lanes are to be given back", lanes.len()),
///         LaneEvent::Lost(lane) => println!("{lane:?} is somebody else's: drop what is in work"),
///         LaneEvent::Degraded(error) => eprintln!("{error}"), // it goes on by itself
///         _ => {}
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum LaneEvent {
    /// A lane is ours: an assignment, a reconnect or a seek.
    Opened {
        /// The lane, its epoch new.
        lane: Lane,
        /// The partition or queue behind it; `offset` is where it starts, where that is known.
        origin: Origin,
    },
    /// Lanes are to be given back: finish what runs, settle it, then [`Control::Release`](super::Control::Release)
    /// them. Nothing more is delivered on them. At `deadline` they are taken: settled work is made durable, the rest
    /// is delivered again elsewhere.
    Draining {
        /// Which.
        lanes: Vec<Lane>,
        /// Until when.
        deadline: Instant,
    },
    /// A lane was given back, in good order: what was settled is durable.
    Closed(Lane),
    /// A lane is gone without a hand-over: another member may be at work on it already. Verdicts for it do nothing.
    Lost(Lane),
    /// A lane delivers nothing until it is resumed.
    Paused(Lane),
    /// A lane delivers again.
    Resumed(Lane),
    /// Positions of a lane's log that were never delivered are gone (retention passed over them).
    Gap {
        /// The lane.
        lane: Lane,
        /// The first position that is gone.
        from: i64,
        /// The first position that is left.
        to: i64,
    },
    /// How far a lane is behind the end of its log.
    Behind {
        /// The lane.
        lane: Lane,
        /// Messages from the next one to be delivered to the end.
        messages: u64,
    },
    /// Something does not work for now (the broker is away, a commit failed); the source goes on by itself.
    Degraded(Error),
    /// What was degraded works again.
    Recovered,
}
