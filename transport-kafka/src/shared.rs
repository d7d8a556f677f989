//! What the two ends of a source share: the task that receives, and the thread that drives the client.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gulo_bus_core::Error;
use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::{Control, LaneEvent};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::context::Partition;
use crate::lane::LaneState;

/// One mutex for all of it. Never held while the client is called: callbacks run inside `poll`, and a seek or a commit takes
/// its time. Polling a partition's own queue is no such call; it serves messages only.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Something to receive.
    pub(crate) news: Notify,
    /// Something to do for the driver.
    pub(crate) signal: Signal,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) lanes: BTreeMap<u32, LaneState>,
    /// A partition keeps its slot for as long as the source lives.
    slots: HashMap<Partition, u32>,
    epoch: u32,
    pub(crate) events: Vec<LaneEvent>,
    pub(crate) commands: VecDeque<Control>,
    /// The lane to begin the next round with.
    pub(crate) next: u32,
    pub(crate) fatal: Option<Error>,
    pub(crate) leave: Option<Leave>,
}

/// The order to leave.
pub(crate) struct Leave {
    pub(crate) deadline: Instant,
    /// Told when the driver is done: whether all that is settled is committed.
    pub(crate) done: Option<oneshot::Sender<bool>>,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            news: Notify::new(),
            signal: Signal::default(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell(&self, event: LaneEvent) {
        self.lock().events.push(event);
        self.news.notify_one();
    }
}

impl State {
    /// The next epoch of `partition`.
    pub(crate) fn open_lane(&mut self, partition: &Partition) -> Lane {
        let free = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let slot = *self
            .slots
            .entry((Arc::clone(&partition.0), partition.1))
            .or_insert(free);
        self.epoch += 1;
        Lane {
            slot,
            epoch: self.epoch,
        }
    }

    pub(crate) fn of_partition(&mut self, partition: &Partition) -> Option<&mut LaneState> {
        let slot = self.slots.get(partition)?;
        self.lanes.get_mut(slot)
    }

    /// The lane of exactly this epoch.
    pub(crate) fn get(&mut self, lane: Lane) -> Option<&mut LaneState> {
        self.lanes
            .get_mut(&lane.slot)
            .filter(|state| state.lane == lane)
    }
}

/// Wakes the driver's thread. Called from the client's own threads too, so it does nothing else.
#[derive(Default)]
pub(crate) struct Signal {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits until it is set, at most `time`.
    pub(crate) fn wait(&self, time: Duration) {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(set, time, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}
