//! Commits: explicit lists of lanes held at this moment, one under way, its answer awaited.

use std::time::Duration;

use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::CommitPolicy;
use gulo_bus_core::{Error, ErrorKind};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::Driver;
use crate::commit;
use crate::context::Partition;

/// No answer within this time is taken for a failure. Above `socket.timeout.ms`, within which the client answers by itself.
const ANSWER: Duration = Duration::from_secs(20);
/// Between a failed commit and the next.
const AGAIN: Duration = Duration::from_millis(100);
/// Commits fail in every rebalance, for a moment; this often in a row is trouble.
const TROUBLE: u32 = 30;

pub(crate) struct Commits {
    policy: CommitPolicy,
    under_way: Option<UnderWay>,
    next: Instant,
    not_before: Instant,
    failures: u32,
}

struct UnderWay {
    since: Instant,
    lanes: Vec<(Lane, Partition, i64)>,
}

impl Commits {
    pub(crate) fn new(policy: CommitPolicy) -> Self {
        let now = Instant::now();
        Self {
            policy,
            under_way: None,
            next: now + policy.interval,
            not_before: now,
            failures: 0,
        }
    }

    /// The answer to what is under way does not matter any more.
    pub(crate) fn forget(&mut self) {
        self.under_way = None;
    }
}

impl Driver {
    /// Commits if enough was settled, or enough time has passed, or `now` is set.
    pub(crate) fn commit_if_due(&mut self, now: bool) {
        if !self.in_group {
            return;
        }
        let time = Instant::now();
        if self
            .commits
            .under_way
            .as_ref()
            .is_some_and(|under_way| time > under_way.since + ANSWER)
        {
            self.commits.forget();
        }
        if self.commits.under_way.is_some() || time < self.commits.not_before {
            return;
        }
        let due =
            now || time >= self.commits.next || self.settled_since() >= self.commits.policy.every;
        if due && !self.client.assignment_lost() {
            self.commits.next = time + self.commits.policy.interval;
            self.begin_commit(time);
        }
    }

    fn settled_since(&self) -> usize {
        self.shared
            .lock()
            .lanes
            .values()
            .map(|lane| lane.fresh)
            .sum()
    }

    fn begin_commit(&mut self, time: Instant) {
        let mut list = TopicPartitionList::new();
        let mut lanes = Vec::new();
        for lane in self.shared.lock().lanes.values_mut() {
            lane.fresh = 0;
            if let Some(position) = lane.to_commit()
                && list
                    .add_partition_offset(&lane.topic, lane.partition, Offset::Offset(position))
                    .is_ok()
            {
                lanes.push((lane.lane, lane.key(), position));
            }
        }
        if lanes.is_empty() {
            return;
        }
        match commit::begin(&self.client, &list) {
            Ok(()) => self.commits.under_way = Some(UnderWay { since: time, lanes }),
            Err(code) => self.commit_failed(code),
        }
    }

    /// One partition's error is the error of the whole commit; the others are committed all the same.
    pub(crate) fn commit_answered(
        &mut self,
        result: Result<(), RDKafkaErrorCode>,
        parts: &[(Partition, i64, Result<(), RDKafkaErrorCode>)],
    ) {
        let Some(under_way) = self.commits.under_way.take() else {
            return;
        };
        let mut state = self.shared.lock();
        for (lane, partition, position) in &under_way.lanes {
            let part = parts.iter().find(|(of, ..)| of == partition);
            let fine = match part {
                Some((_, _, answer)) => {
                    answer.is_ok() && (result.is_ok() || parts.iter().any(|part| part.2.is_err()))
                }
                None => result.is_ok(),
            };
            if let Some(lane) = state.get(*lane).filter(|_| fine) {
                lane.committed = Some(*position);
            }
        }
        drop(state);
        match result {
            Ok(()) => {
                self.commits.failures = 0;
                self.recovered();
            }
            Err(code) => self.commit_failed(code),
        }
    }

    /// `IllegalGeneration` and `RebalanceInProgress` come in every rebalance and pass; a member that is no longer known is
    /// told so by a lost assignment. So all of them mean: again, a little later, with what is held then.
    fn commit_failed(&mut self, code: RDKafkaErrorCode) {
        tracing::debug!(target: "gulo::kafka", "commit failed, trying again: {code}");
        self.commits.failures += 1;
        let now = Instant::now();
        (self.commits.not_before, self.commits.next) = (now + AGAIN, now + AGAIN);
        if self.commits.failures == TROUBLE {
            self.degrade(Error::new(
                ErrorKind::Unavailable,
                format!("commits fail: {code}"),
            ));
        }
    }

    /// Whether everything settled on them is committed.
    pub(crate) fn is_committed(&self, lanes: &[Lane]) -> bool {
        let mut state = self.shared.lock();
        !self.in_group
            || lanes.iter().all(|lane| {
                state
                    .get(*lane)
                    .is_none_or(|lane| lane.to_commit().is_none())
            })
    }
}
