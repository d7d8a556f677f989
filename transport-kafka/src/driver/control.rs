//! Commands about lanes: pause, resume, release and seek.

use std::time::{Duration, Instant};

use gulo_bus_core::settle::{Lane, Ledger};
use gulo_bus_core::transport::{LaneEvent, Position};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::Offset;
use rdkafka::consumer::Consumer;

use super::Driver;
use crate::error::of_call;
use crate::lane::OpenLane;
use crate::rebalance::{Place, list, list_at};

/// A seek needs no broker, but it waits for librdkafka's own threads.
const SEEK_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(100);

/// After so long the source ends: what was to be delivered again would not be, otherwise.
const LONGEST: Duration = Duration::from_secs(20);

/// How long a release waits until what was settled is durable.
const COMMIT: Duration = Duration::from_secs(10);

/// A lane that is to be opened anew.
#[derive(Debug)]
pub(super) struct Job {
    lane: Lane,
    /// Where to; `None` where its first unsettled message is.
    to: Option<Position>,
    /// Whether what was settled shall be durable first, and how long that may take.
    commit_until: Option<Instant>,
    next: Instant,
    until: Instant,
}

impl Job {
    fn new(lane: Lane, to: Option<Position>) -> Self {
        let now = Instant::now();
        // "Where the group stands" includes what was settled a moment ago.
        let durable = matches!(to, None | Some(Position::Committed));
        Self { lane, to, commit_until: durable.then(|| now + COMMIT), next: now, until: now + LONGEST }
    }

    pub(super) fn wants_commit(&self) -> bool {
        self.commit_until.is_some()
    }
}

enum Step {
    Done,
    Wait,
}

impl Driver {
    pub(super) fn pause(&mut self, lane: Lane) {
        let Some(place) = self.place_of(lane) else { return };
        // A resume in between may have cleared it.
        if let Some(lane) = self.shared.lock().lanes.get_mut(lane) {
            lane.paused = true;
        }
        let paused = self.consumer.pause(&list([&place]));
        self.paused.insert(place);
        match paused {
            Ok(()) => self.shared.tell([LaneEvent::Paused(lane)]),
            Err(error) => self.end(&self.call_failed("pausing", &error)),
        }
    }

    pub(super) fn resume(&mut self, lane: Lane) {
        let Some(place) = self.place_of(lane) else { return };
        if self.paused.remove(&place)
            && let Err(error) = self.consumer.resume(&list([&place]))
        {
            return self.end(&self.call_failed("resuming", &error));
        }
        if let Some(lane) = self.shared.lock().lanes.get_mut(lane) {
            lane.paused = false;
        }
        self.shared.tell([LaneEvent::Resumed(lane)]);
    }

    pub(super) fn release(&mut self, lane: Lane) {
        let draining = self.shared.lock().lanes.get_mut(lane).map(|lane| lane.draining);
        // The handover sees for itself that a draining one is released.
        if draining == Some(false) {
            self.jobs.push(Job::new(lane, None));
        }
    }

    pub(super) fn seek(&mut self, lane: Lane, to: Position) {
        self.jobs.push(Job::new(lane, Some(to)));
    }

    pub(super) fn step_jobs(&mut self, now: Instant) {
        for mut job in std::mem::take(&mut self.jobs) {
            if now < job.next {
                self.jobs.push(job);
                continue;
            }
            match self.step_job(&mut job, now) {
                Ok(Step::Done) => {}
                Ok(Step::Wait) => self.jobs.push(job),
                Err(error) if now >= job.until => self.end(&error),
                Err(error) => {
                    tracing::debug!("moving a lane, trying again: {error}");
                    job.next = now + RETRY;
                    self.jobs.push(job);
                }
            }
        }
    }

    fn step_job(&mut self, job: &mut Job, now: Instant) -> Result<Step> {
        let mut state = self.shared.lock();
        let Some(lane) = state.lanes.get_mut(job.lane).filter(|lane| !lane.draining) else {
            // Given up or lost meanwhile; what it was moved for, its next owner does.
            return Ok(Step::Done);
        };
        if lane.bound {
            // What a transaction is about to settle must not be handed out once more meanwhile.
            return Ok(Step::Wait);
        }
        // There is nothing to go on with where the log is another one.
        job.to = job.to.or_else(|| lane.went_back.map(|_| Position::Earliest));
        let (place, unsettled) = (lane.place.clone(), lane.ledger.first_unfinished());
        let open_end = lane.to_commit().is_some() && !self.is_solo();
        drop(state);
        if open_end && job.commit_until.is_some_and(|until| now < until) {
            return Ok(Step::Wait);
        }
        let offset = match job.to {
            None => unsettled,
            Some(to) => Some(self.resolve_one(&place, to)?),
        };
        if let Some(offset) = offset {
            self.seek_to(&place, offset)?;
        }
        self.open_anew(job, offset);
        Ok(Step::Done)
    }

    fn seek_to(&self, place: &Place, offset: i64) -> Result<()> {
        let wanted = list_at([(place, Offset::Offset(offset))]);
        let sought = self.consumer.seek_partitions(wanted, SEEK_TIMEOUT);
        let sought = sought.map_err(|error| self.call_failed("seeking", &error))?;
        let elements = sought.elements();
        // Each partition has its own result; one whose position is not known yet cannot be moved yet.
        let failed = elements.iter().find_map(|element| element.error().err());
        failed.map_or(Ok(()), |error| Err(self.call_failed(&format!("seeking in {place}"), &error)))
    }

    /// The next epoch of the lane, with nothing out. Where no seek was needed, what has come already stays.
    fn open_anew(&mut self, job: &Job, offset: Option<i64>) {
        let mut state = self.shared.lock();
        let Some(old) = state.lanes.close(job.lane) else { return };
        let solo = self.is_solo();
        let durable = solo || old.to_commit().is_none();
        let left = old.to_commit();
        let OpenLane { place, queue, backlog, paused, ledger, confirmed, start, is_unknown, topic_id, .. } = old;
        let lane = state.lanes.open(&place);
        lane.topic_id = topic_id;
        (lane.queue, lane.paused, lane.is_unknown) = (queue, paused, is_unknown);
        // What could not be made durable before goes with the next commit.
        lane.initial = left.map(|mark| mark.offset).filter(|_| !solo);
        if job.to.is_none() {
            // It goes on, but for what is unsettled.
            (lane.start, lane.confirmed) = (offset.or_else(|| ledger.watermark()).or(start), confirmed);
            lane.ledger = Ledger::inheriting(lane.start.unwrap_or(i64::MIN), ledger.finished_above());
        }
        if offset.is_none() {
            lane.backlog = backlog;
        }
        let start = offset.or_else(|| ledger.watermark());
        let (id, origin) = (lane.id, lane.origin(start));
        let closed = match durable || job.to.is_some() {
            true => LaneEvent::Closed(job.lane),
            false => LaneEvent::Lost(job.lane),
        };
        state.events.extend([closed, LaneEvent::Opened { lane: id, origin }]);
        if paused {
            state.events.push_back(LaneEvent::Paused(id));
        }
        drop(state);
        self.identities.ask_anew();
        self.shared.wake.notify_one();
    }

    fn place_of(&self, lane: Lane) -> Option<Place> {
        self.shared.lock().lanes.get_mut(lane).map(|lane| lane.place.clone())
    }

    fn call_failed(&self, what: &str, error: &rdkafka::error::KafkaError) -> Error {
        let error = of_call(what, error, &self.plan.config.secrets());
        match error.kind() {
            ErrorKind::Other => Error::new(ErrorKind::Unavailable, error.to_string()),
            _ => error,
        }
    }
}
