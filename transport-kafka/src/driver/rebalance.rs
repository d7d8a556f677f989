//! Lanes that come and go: assigned, called back, lost.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::LaneEvent;
use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::time::Instant;

use super::{Driver, TICK};
use crate::context::Partition;
use crate::lane::{LaneState, Phase};

/// How long after the drain the last commit of a hand-over may take. It waits behind the coordinator's own work.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Partitions that are to be given back. The group waits for it, so it ends by its deadlines.
pub(crate) struct Revocation {
    partitions: Vec<Partition>,
    lanes: Vec<Lane>,
    drained_by: Instant,
    committed_by: Instant,
    sealed: bool,
}

impl Revocation {
    pub(crate) fn wait(&self) -> Duration {
        if self.sealed {
            Duration::from_millis(10)
        } else {
            self.drained_by.duration_since(Instant::now()).min(TICK)
        }
    }

    pub(crate) fn partitions(&self) -> &[Partition] {
        &self.partitions
    }
}

impl Driver {
    /// An empty list comes at every rebalance of others, and wants its answer too.
    pub(crate) fn assign(&mut self, partitions: &[Partition]) {
        let mut list = self.list(partitions);
        if self.starts_at_once()
            && !partitions.is_empty()
            && let Err(error) = self.set_starts(&mut list)
        {
            self.degrade(error);
        }
        let assigned = match self.client.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.client.incremental_assign(&list),
            _ => self.client.assign(&list),
        };
        if let Err(error) = assigned {
            self.degrade(crate::error::of_operation("taking over partitions", &error));
            return;
        }
        self.open_lanes(partitions);
    }

    /// Splits the queues off, before the next poll: what the client puts into its main queue meanwhile comes out of `poll`
    /// and is kept, but needs a lane to go to.
    pub(crate) fn open_lanes(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            let Some(mut queue) = self.client.split_partition_queue(&partition.0, partition.1)
            else {
                continue;
            };
            let news = Arc::clone(&self.shared);
            queue.set_nonempty_callback(move || news.news.notify_one());
            let mut state = self.shared.lock();
            let lane = state.open_lane(partition);
            let opened = LaneState::new(lane, partition.clone(), queue, self.spec.window);
            let origin = opened.origin();
            let earlier = state.lanes.insert(lane.slot, opened);
            state.events.push(LaneEvent::Opened { lane, origin });
            drop(state);
            drop(earlier);
        }
        self.shared.news.notify_one();
    }

    /// The client holds every partition's fetcher until it is answered, the kept ones' too; what was fetched flows on.
    pub(crate) fn begin_revocation(&mut self, partitions: Vec<Partition>) {
        if let Some(earlier) = self.revocation.take() {
            self.end_revocation(&earlier, false);
        }
        if partitions.is_empty() {
            self.unassign(&[]);
            return;
        }
        let deadline = Instant::now() + self.spec.drain;
        let mut state = self.shared.lock();
        let mut lanes = Vec::new();
        for partition in &partitions {
            if let Some(lane) = state.of_partition(partition) {
                lane.phase = Phase::Draining;
                lanes.push(lane.lane);
            }
        }
        state.events.push(LaneEvent::Draining {
            lanes: lanes.clone(),
            deadline,
        });
        drop(state);
        self.shared.news.notify_one();
        // A move of such a lane is overtaken by this.
        self.moves
            .retain(|pending| !lanes.contains(&pending.lane()));
        let committed_by = deadline + LAST_COMMIT;
        self.revocation = Some(Revocation {
            partitions,
            lanes,
            drained_by: deadline,
            committed_by,
            sealed: false,
        });
    }

    pub(crate) fn advance_revocation(&mut self) {
        let Some(mut revocation) = self.revocation.take() else {
            return;
        };
        if !revocation.sealed {
            let now = Instant::now();
            if now < revocation.drained_by && !self.all_sealed(&revocation.lanes) {
                self.revocation = Some(revocation);
                return;
            }
            self.seal(&revocation.lanes);
            revocation.sealed = true;
            revocation.committed_by = revocation.committed_by.min(now + LAST_COMMIT);
        }
        let committed = self.is_committed(&revocation.lanes);
        if !committed && !self.client.assignment_lost() && Instant::now() < revocation.committed_by
        {
            self.commit_if_due(true);
            self.revocation = Some(revocation);
            return;
        }
        self.end_revocation(&revocation, committed);
    }

    fn end_revocation(&mut self, revocation: &Revocation, committed: bool) {
        self.remove(&revocation.partitions, |lane| {
            if committed {
                LaneEvent::Closed(lane)
            } else {
                LaneEvent::Lost(lane)
            }
        });
        self.unassign(&revocation.partitions);
    }

    /// Others may own them already: no drain, no commit.
    pub(crate) fn lose(&mut self, partitions: &[Partition]) {
        if let Some(revocation) = self.revocation.take() {
            self.end_revocation(&revocation, false);
        }
        self.commits.forget();
        self.remove(partitions, LaneEvent::Lost);
        self.unassign(partitions);
    }

    fn remove(&mut self, partitions: &[Partition], event: impl Fn(Lane) -> LaneEvent) {
        // A pause outlives the assignment in the client: a partition that comes back would stand still for ever.
        let _ = self.client.resume(&self.list(partitions));
        let mut gone = Vec::new();
        let mut state = self.shared.lock();
        for partition in partitions {
            if let Some(slot) = state.of_partition(partition).map(|lane| lane.lane.slot) {
                gone.extend(state.lanes.remove(&slot));
            }
        }
        let events: Vec<_> = gone.iter().map(|lane| event(lane.lane)).collect();
        state.events.extend(events);
        drop(state);
        self.moves
            .retain(|pending| !gone.iter().any(|lane| lane.lane == pending.lane()));
        self.shared.news.notify_one();
    }

    pub(crate) fn unassign(&self, partitions: &[Partition]) {
        let list: TopicPartitionList = self.list(partitions);
        let done = match self.client.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.client.incremental_unassign(&list),
            _ => self.client.unassign(),
        };
        if let Err(error) = done {
            tracing::warn!(target: "gulo::kafka", "{}", crate::error::of_operation("giving partitions back", &error));
        }
    }

    fn all_sealed(&self, lanes: &[Lane]) -> bool {
        let mut state = self.shared.lock();
        lanes.iter().all(|lane| {
            state
                .get(*lane)
                .is_none_or(|lane| lane.phase == Phase::Sealed)
        })
    }

    /// From now on verdicts for them count no more.
    pub(crate) fn seal(&self, lanes: &[Lane]) {
        let mut state = self.shared.lock();
        for lane in lanes {
            if let Some(lane) = state.get(*lane) {
                lane.phase = Phase::Sealed;
            }
        }
    }
}

impl Driver {
    /// A solo reader takes all partitions, once.
    pub(crate) fn assign_alone(&mut self, partitions: &[Partition]) -> gulo_bus_core::Result<()> {
        let mut list = self.list(partitions);
        self.set_starts(&mut list)?;
        self.client
            .assign(&list)
            .map_err(|error| crate::error::of_operation("reading alone", &error))?;
        self.open_lanes(partitions);
        Ok(())
    }
}
