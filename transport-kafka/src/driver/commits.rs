//! Committing what is finished: explicit offsets of lanes held at this moment, one request in flight, its answer awaited.
//!
//! What the broker has not confirmed is sent again. During a rebalance commits fail as a rule (the coordinator reads them
//! only when it is through, and by then their generation is over); that is no sign of having been thrown out.

use std::time::{Duration, Instant};

use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::CommitPolicy;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::Driver;
use crate::config::REQUEST_TIMEOUT;
use crate::lane::Mark;
use crate::native;
use crate::rebalance::{Answer, Part, Place, list_of_marks};
use crate::shared::State;

const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// After so long without a confirmed commit the source says that it is degraded.
const LASTING: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Commits {
    policy: CommitPolicy,
    in_flight: Option<InFlight>,
    retry_at: Option<Instant>,
    back_off: Duration,
    failing_since: Option<Instant>,
}

#[derive(Debug)]
struct InFlight {
    sent: Instant,
    marks: Vec<(Lane, Place, Mark)>,
}

impl InFlight {
    /// Whether `answer` is the answer to this, and not a late one to an earlier request that was given up.
    fn is_answered_by(&self, answer: &Answer) -> bool {
        let asked = |(_, place, mark): &(Lane, Place, Mark)| {
            let is_it = |part: &Part| part.place == *place && part.is_at(mark);
            answer.parts.iter().any(is_it)
        };
        self.marks.len() == answer.parts.len() && self.marks.iter().all(asked)
    }
}

impl Commits {
    pub(super) fn new(policy: CommitPolicy) -> Self {
        Self { policy, in_flight: None, retry_at: None, back_off: BACK_OFF.0, failing_since: None }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.in_flight.is_some()
    }

    /// When the next one is due, where that is known.
    pub(super) fn next(&self, state: &State) -> Option<Instant> {
        if self.in_flight.is_some() {
            return None;
        }
        let due = match state.settled >= self.policy.every.max(1) {
            true => state.settled_since,
            false => state.settled_since.map(|since| since + self.policy.interval),
        };
        due.map(|due| self.retry_at.map_or(due, |retry| due.max(retry)))
    }

    fn failed(&mut self, now: Instant) {
        self.failing_since.get_or_insert(now);
        self.retry_at = Some(now + self.back_off);
        self.back_off = (self.back_off * 2).min(BACK_OFF.1);
    }

    fn succeeded(&mut self) {
        (self.failing_since, self.retry_at, self.back_off) = (None, None, BACK_OFF.0);
    }

    fn may_send(&self, now: Instant) -> bool {
        self.in_flight.is_none() && self.retry_at.is_none_or(|at| at <= now)
    }
}

impl Driver {
    /// Sends the next commit where one is due, or called for by lanes that go.
    pub(super) fn step_commits(&mut self, now: Instant) {
        self.give_up_lost_answer(now);
        if self.is_solo() || !self.commits.may_send(now) {
            return;
        }
        // A transaction has its turn first; but what is in doubt only another commit makes sure of.
        let gives_way = |state: &State| state.transactions_waiting > 0 && !state.in_doubt;
        if gives_way(&self.shared.lock()) {
            return;
        }
        let in_doubt = self.alive.in_doubt();
        let urgent =
            in_doubt || self.hands_over() || self.leaving.is_some() || self.jobs.iter().any(|job| job.wants_commit());
        let due = self.commits.next(&self.shared.lock()).is_some_and(|at| at <= now);
        // A lost assignment is somebody else's by now, and the coordinator does not check who owns what.
        if (urgent || due) && !self.is_lost() {
            self.send_commit(now);
        }
    }

    pub(super) fn send_commit(&mut self, now: Instant) {
        let mut state = self.shared.lock();
        // In doubt what is confirmed already is committed again, only to hear whether it is taken.
        let in_doubt = self.alive.in_doubt() || state.in_doubt;
        let again = |lane: &crate::lane::OpenLane| lane.confirmed.clone().filter(|_| in_doubt && !lane.bound);
        let mark = |lane: &crate::lane::OpenLane| lane.to_commit().or_else(|| again(lane));
        let offset = |lane: &crate::lane::OpenLane| Some((lane.id, lane.place.clone(), mark(lane)?));
        let marks: Vec<_> = state.lanes.iter().filter_map(offset).collect();
        (state.settled, state.settled_since) = (0, None);
        // Under the lock that binds lanes: who binds one sees what was sent before.
        state.committing = !marks.is_empty();
        drop(state);
        if marks.is_empty() {
            return;
        }
        let list = list_of_marks(marks.iter().map(|(_, place, mark)| (place, mark)));
        match native::commit(&self.consumer, &list) {
            Ok(()) => self.commits.in_flight = Some(InFlight { sent: now, marks }),
            Err(code) => {
                self.shared.lock().committing = false;
                self.commit_failed(now, code);
            }
        }
    }

    /// Takes in what the coordinator answered. One partition's error is the error of the whole request, so what has no
    /// error of its own beside one that has is committed.
    pub(super) fn answered(&mut self, answer: Answer) {
        let Some(asked) = self.commits.in_flight.take_if(|asked| asked.is_answered_by(&answer)) else {
            return;
        };
        let sent = asked.sent;
        let own = answer.parts.iter().find_map(|part| part.code);
        let none = answer.overall.is_some() && own.is_none();
        if !none && answer.parts.iter().any(|part| part.code.is_none()) {
            // What is refused besides was refused by who knows us for a member.
            self.alive.committed(sent);
        }
        let mut state = self.shared.lock();
        state.committing = false;
        state.in_doubt |= answer.overall.or(own).is_some_and(may_still_happen);
        for (lane, place, mark) in asked.marks {
            let refused = answer.parts.iter().any(|part| part.place == place && part.code.is_some());
            // A lane of another epoch is another lane.
            if let Some(lane) = state.lanes.get_mut(lane).filter(|_| !none && !refused) {
                lane.confirmed = Some(mark);
            }
        }
        drop(state);
        match answer.overall.or(own) {
            None => self.commit_succeeded(sent),
            Some(code) => self.commit_failed(Instant::now(), code),
        }
    }

    fn commit_succeeded(&mut self, sent: Instant) {
        self.alive.committed(sent);
        self.commits.succeeded();
        // The coordinator has gone through all that was sent before.
        self.shared.lock().in_doubt = false;
        self.consumer.context().observer.answered();
        self.recovered_by_commit();
    }

    fn commit_failed(&mut self, now: Instant, code: Code) {
        tracing::debug!(?code, "commit failed; it is sent again");
        self.commits.failed(now);
        let mut state = self.shared.lock();
        state.settled_since.get_or_insert(now);
        drop(state);
        let lasting = self.commits.failing_since.is_some_and(|since| now >= since + LASTING);
        if lasting || !is_passing(code) {
            self.commit_is_in_trouble(code);
        }
    }

    /// An answer may get lost with its connection. librdkafka gives up after its own time-out, and says so as a rule.
    fn give_up_lost_answer(&mut self, now: Instant) {
        let longest = REQUEST_TIMEOUT + REQUEST_TIMEOUT / 2;
        let lost = self.commits.in_flight.take_if(|asked| now >= asked.sent + longest);
        if let Some(lost) = lost {
            // It may be carried out yet, and set the group back: what is confirmed is not known any more.
            let mut state = self.shared.lock();
            (state.committing, state.in_doubt) = (false, true);
            for (lane, _, _) in &lost.marks {
                if let Some(lane) = state.lanes.get_mut(*lane) {
                    lane.confirmed = None;
                }
            }
            drop(state);
            self.commit_failed(now, Code::OperationTimedOut);
        }
    }
}

/// Whether a commit that failed like this may be carried out yet: nobody has answered it, or the coordinator did not wait for its
/// own log.
fn may_still_happen(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::NetworkException
            | Code::NotEnoughReplicasAfterAppend
    )
}

/// Whether waiting mends it: all but rights and limits. A member that was thrown out hears of that by a revocation, and
/// its lanes are gone before the next try.
fn is_passing(code: Code) -> bool {
    !matches!(
        code,
        Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::OffsetMetadataTooLarge
            | Code::InvalidCommitOffsetSize
            | Code::FencedInstanceId
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_this_request_counts() {
        let place = Place::new("t", 0);
        let lane = Lane { slot: 0, epoch: 0 };
        let mark = Mark { offset: 7, finished: Vec::new() };
        let asked = InFlight { sent: Instant::now(), marks: vec![(lane, place.clone(), mark)] };
        let answer = |offset: i64, metadata: &str| {
            let part = Part { place: place.clone(), offset: Some(offset), metadata: metadata.into(), code: None };
            Answer { overall: None, parts: vec![part] }
        };
        assert!(asked.is_answered_by(&answer(7, "")));
        assert!(!asked.is_answered_by(&answer(6, "")));
        assert!(!asked.is_answered_by(&answer(7, "gulo1 7 1+1,")));
        assert!(!asked.is_answered_by(&Answer { overall: None, parts: Vec::new() }));
    }

    #[test]
    fn what_nobody_has_answered_may_still_happen() {
        assert!(may_still_happen(Code::OperationTimedOut) && may_still_happen(Code::BrokerTransportFailure));
        assert!(!may_still_happen(Code::RebalanceInProgress) && !may_still_happen(Code::IllegalGeneration));
    }

    #[test]
    fn it_is_due_by_count_or_by_time() {
        let commits = Commits::new(CommitPolicy { every: 10, interval: Duration::from_secs(5) });
        let mut state = State::default();
        assert_eq!(commits.next(&state), None);
        let now = Instant::now();
        (state.settled, state.settled_since) = (1, Some(now));
        assert_eq!(commits.next(&state), Some(now + Duration::from_secs(5)));
        state.settled = 10;
        assert_eq!(commits.next(&state), Some(now));
    }

    #[test]
    fn a_failure_is_retried_later_and_later() {
        let mut commits = Commits::new(CommitPolicy::default());
        let now = Instant::now();
        commits.failed(now);
        assert!(!commits.may_send(now) && commits.may_send(now + BACK_OFF.0));
        (0..9).for_each(|_| commits.failed(now));
        assert!(!commits.may_send(now + BACK_OFF.1 / 2) && commits.may_send(now + BACK_OFF.1));
        commits.succeeded();
        assert!(commits.may_send(now));
    }
}
