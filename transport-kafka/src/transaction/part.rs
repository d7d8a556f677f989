//! A source's part in a transaction: what of it is settled with the commit.
//!
//! Nothing of it counts before the commit has succeeded. From the moment the offsets are sent until then, the lanes are bound: the
//! source commits nothing of them by itself, which could set the group back behind what the transaction commits.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gulo_bus_core::settle::{Lane, Settlement, Verdict};
use gulo_bus_core::transport::Capability;
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, ConsumerGroupMetadata};
use tokio::time::{Instant, sleep};

use crate::NAME;
use crate::config::REQUEST_TIMEOUT;
use crate::lane::Mark;
use crate::progress;
use crate::rebalance::{GroupConsumer, Place, list_of_marks};
use crate::shared::Shared;
use crate::transport::CAPABILITIES;

/// How often to look whether the source's own commit is through.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

pub(crate) struct Part {
    shared: Arc<Shared>,
    consumer: Weak<GroupConsumer>,
    finished: BTreeMap<Lane, Vec<u64>>,
    marks: Vec<(Lane, Place, Mark)>,
    /// The lanes are bound by this one, and not by another transaction.
    binds: bool,
}

impl Part {
    pub(crate) fn new(shared: Arc<Shared>, consumer: Weak<GroupConsumer>) -> Self {
        Self { shared, consumer, finished: BTreeMap::new(), marks: Vec::new(), binds: false }
    }

    pub(super) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Takes verdicts down, all of them or none.
    pub(super) fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()> {
        if let Some(settlement) = batch.iter().find(|settlement| settlement.verdict != Verdict::Done) {
            let capability = match settlement.verdict {
                Verdict::Reject => Capability::Reject,
                _ => Capability::Requeue,
            };
            CAPABILITIES.require(NAME, capability)?;
        }
        let mut state = self.shared.lock();
        for settlement in batch.iter() {
            match state.lanes.get_mut(settlement.token.lane).filter(|lane| !lane.frozen) {
                None => return Err(gone()),
                Some(lane) if lane.is_unknown => return Err(not_known()),
                Some(_) => {}
            }
        }
        drop(state);
        for settlement in batch.drain(..) {
            self.finished.entry(settlement.token.lane).or_default().push(settlement.token.seq);
        }
        Ok(())
    }

    /// Waits until nothing is on its way that the source has committed by itself, and no other transaction has one of the lanes;
    /// then binds them and works out where the group will stand. The source begins no other commit meanwhile, but where it is
    /// another transaction that is waited for.
    pub(super) async fn bind(&mut self) -> Result<()> {
        let until = Instant::now() + REQUEST_TIMEOUT * 2;
        let mut turn = None;
        while !self.bind_now()? {
            let is_taken = self.is_taken();
            if Instant::now() >= until {
                let text = match is_taken {
                    true => "another transaction that settles messages of the same lanes has not ended",
                    false => "the group's last commit has not been answered",
                };
                return Err(Error::new(ErrorKind::TimedOut, text).help("abort, and begin anew"));
            }
            match is_taken {
                true => turn = None,
                false => {
                    turn.get_or_insert_with(|| Waiting::begin(self.shared.clone()));
                }
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    fn is_taken(&self) -> bool {
        let mut state = self.shared.lock();
        self.finished.keys().any(|lane| state.lanes.get_mut(*lane).is_some_and(|lane| lane.bound))
    }

    /// All of them or none.
    fn bind_now(&mut self) -> Result<bool> {
        let mut state = self.shared.lock();
        if state.commit_is_open() {
            return Ok(false);
        }
        let has_failed = state.failed.is_some();
        let mut marks = Vec::new();
        for (lane, finished) in &self.finished {
            let lane = state.lanes.get_mut(*lane).filter(|lane| !lane.frozen).ok_or_else(gone)?;
            match lane.bound {
                // One whose outcome is not known lets go of nothing.
                true if has_failed => return Err(gone()),
                true => return Ok(false),
                false => marks.extend(lane.mark_with(finished).map(|mark| (lane.id, lane.place.clone(), mark))),
            }
        }
        if marks.iter().any(|(_, _, mark)| !progress::fits(mark.offset, &mark.finished)) {
            return Err(too_scattered());
        }
        for lane in self.finished.keys() {
            if let Some(lane) = state.lanes.get_mut(*lane) {
                lane.bound = true;
            }
        }
        (self.marks, self.binds) = (marks, true);
        Ok(true)
    }

    /// What is to be sent with the transaction: the positions, and as which member of the group. The broker refuses them from
    /// who is no longer that member. Taken before the lanes are looked at, so it is of a time when they still were ours.
    pub(super) fn offsets(&self) -> Result<Option<(TopicPartitionList, ConsumerGroupMetadata)>> {
        if self.marks.is_empty() {
            return Ok(None);
        }
        let consumer = self.consumer.upgrade().ok_or_else(gone)?;
        let member = consumer.group_metadata().ok_or_else(gone)?;
        let lost = consumer.assignment_lost();
        drop(consumer);
        let mut state = self.shared.lock();
        if lost || self.finished.keys().any(|lane| state.lanes.get_mut(*lane).is_none()) {
            return Err(gone());
        }
        drop(state);
        Ok(Some((list_of_marks(self.marks.iter().map(|(_, place, mark)| (place, mark))), member)))
    }

    /// It counts.
    pub(super) fn committed(&mut self) {
        let mut state = self.shared.lock();
        for (lane, finished) in &self.finished {
            if let Some(lane) = state.lanes.get_mut(*lane) {
                for seq in finished {
                    lane.ledger.finish(*seq);
                }
            }
        }
        for (lane, _, mark) in self.marks.drain(..) {
            if let Some(lane) = state.lanes.get_mut(lane) {
                (lane.confirmed, lane.initial) = (Some(mark), None);
            }
        }
        drop(state);
        self.unbind();
        // A full lane has room again.
        self.shared.wake.notify_one();
    }

    /// It does not: all of it is unsettled as before.
    pub(super) fn aborted(&mut self) {
        self.marks.clear();
        self.unbind();
    }

    /// What the source has put off meanwhile is due again.
    fn unbind(&mut self) {
        if !std::mem::take(&mut self.binds) {
            return;
        }
        let mut state = self.shared.lock();
        for lane in self.finished.keys() {
            if let Some(lane) = state.lanes.get_mut(*lane) {
                lane.bound = false;
            }
        }
        state.settled_since.get_or_insert_with(std::time::Instant::now);
    }

    /// Nobody knows. The lanes stay bound, for whatever were committed of them now might be wrong, and the source ends: the next
    /// one begins where the group then stands.
    pub(super) fn unknown(&self) {
        let text = "it is not known whether a transaction that settled was committed: where the group stands must be read anew";
        self.shared.fail(ErrorKind::Unavailable, text.into());
    }
}

/// Says that a transaction wants its turn, for as long as it lives.
struct Waiting(Arc<Shared>);

impl Waiting {
    fn begin(shared: Arc<Shared>) -> Self {
        shared.lock().transactions_waiting += 1;
        shared.call_driver();
        Self(shared)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.lock().transactions_waiting -= 1;
        self.0.call_driver();
    }
}

fn too_scattered() -> Error {
    let text = "what is settled above unsettled messages does not fit into the position of the group";
    Error::new(ErrorKind::Refused, text).help("settle what was delivered first, or use a smaller window")
}

fn not_known() -> Error {
    let text = "what an earlier owner of a lane finished could not be looked up when it was opened";
    Error::new(ErrorKind::Unavailable, text).help("abort, drop the source and subscribe anew")
}

fn gone() -> Error {
    let text = "a lane of what is to be settled is gone: another member may be at work on it";
    Error::new(ErrorKind::Unavailable, text).help("abort: what was delivered on it comes again, here or elsewhere")
}

#[cfg(test)]
mod tests;
