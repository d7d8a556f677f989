//! Getting lanes and giving them up.
//!
//! A revocation is not answered where it is heard: the lanes drain first, then what is finished is committed, and only
//! then are they given up, so the next owner reads on where this one ended. The group waits for the answer meanwhile;
//! heartbeats and polls go on, so that costs time but not the membership.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gulo_bus_core::Result;
use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::LaneEvent;
use rdkafka::Offset;
use rdkafka::consumer::Consumer;

use super::Driver;
use super::positions::Start;
use crate::lane::OpenLane;
use crate::native::Queue;
use crate::rebalance::{Change, Place, assign, list, list_at, note, unassign};

/// How long the last commit of lanes that go may take. The coordinator answers commits only when a rebalance is through,
/// and then refuses one of the generation before, so this is seldom done at the first try.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Lanes on their way out.
#[derive(Debug)]
pub(super) struct Handover {
    places: Vec<Place>,
    lanes: Vec<Lane>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Until all are released, or this time.
    Draining(Instant),
    /// Until all is confirmed, or this time.
    Committing(Instant),
}

impl Driver {
    /// Acts on changes of the assignment, one after the other: the next waits until lanes have drained, unless it says
    /// that all is lost.
    pub(super) fn change(&mut self) {
        while let Some(change) = self.changes.pop_front() {
            if self.handover.is_some() || self.leaving.is_some() {
                match change {
                    Change::Revoke { lost: true, .. } => self.lose_handover(),
                    _ => return self.changes.push_front(change),
                }
            }
            match change {
                Change::Assign(places) => self.assigned(places),
                Change::Revoke { places, lost: true } => self.lost(&places),
                Change::Revoke { places, lost: false } => self.revoked(places),
            }
        }
    }

    fn assigned(&mut self, places: Vec<Place>) {
        if places.is_empty() {
            // At every rebalance of others. It changes nothing, and must be answered.
            note(assign(&self.consumer, &list(&[])));
        } else if let Err(error) = self.take_on(places) {
            self.end(&error);
        }
    }

    /// Opens lanes. Their queues are split off before the next poll, every time: what has been fetched would come by the
    /// consumer's queue otherwise.
    pub(super) fn take_on(&mut self, places: Vec<Place>) -> Result<()> {
        let found = self.starts(&places)?;
        let is_unknown = found.is_none();
        let mut starts = found.unwrap_or_default();
        let offset = |place: &Place| starts.get(place).map_or(Offset::Invalid, |start| Offset::Offset(start.offset));
        let list = list_at(places.iter().map(|place| (place, offset(place))));
        match self.is_solo() && !self.plan.topics.is_empty() {
            true => note(self.consumer.assign(&list)),
            false => note(assign(&self.consumer, &list)),
        }
        drop(list);
        places.iter().for_each(|place| self.open(place, starts.remove(place), is_unknown));
        self.shared.wake.notify_one();
        self.recovered_by_assignment();
        Ok(())
    }

    /// A lane that can be read from has been told of: both under one lock.
    fn open(&mut self, place: &Place, start: Option<Start>, is_unknown: bool) {
        // First, for its end silences the callback of the queue, which is the same one for librdkafka.
        let stale = {
            let mut state = self.shared.lock();
            let stale = state.lanes.of(place).map(|lane| lane.id);
            stale.and_then(|lane| state.lanes.close(lane))
        };
        let stale = stale.map(|lane| lane.id);
        let wake = Arc::clone(&self.shared.wake);
        let queue = Queue::split(&self.consumer, &place.topic, place.partition, move || wake.notify_one());
        let mut state = self.shared.lock();
        let lane = state.lanes.open(place);
        (lane.queue, lane.is_unknown) = (queue, is_unknown);
        if let Some(start) = start {
            lane.begin_at(start.offset, start.finished, start.is_new);
        }
        let event = LaneEvent::Opened { lane: lane.id, origin: lane.origin(lane.start) };
        if state.settled_since.is_none() {
            state.settled_since = Some(Instant::now());
        }
        if let Some(stale) = stale {
            state.events.push_back(LaneEvent::Lost(stale));
        }
        state.events.push_back(event);
        drop(state);
        self.identities.ask_anew();
    }

    pub(super) fn revoked(&mut self, places: Vec<Place>) {
        let deadline = Instant::now() + self.plan.spec.drain;
        let mut state = self.shared.lock();
        let mut lanes = Vec::new();
        for lane in places.iter().filter_map(|place| find(&mut state.lanes, place)) {
            lanes.push(lane);
        }
        for lane in &lanes {
            if let Some(lane) = state.lanes.get_mut(*lane) {
                lane.draining = true;
            }
        }
        if !lanes.is_empty() {
            let deadline = tokio::time::Instant::from_std(deadline);
            state.events.push_back(LaneEvent::Draining { lanes: lanes.clone(), deadline });
        }
        drop(state);
        self.shared.wake.notify_one();
        self.handover = Some(Handover { places, lanes, phase: Phase::Draining(deadline) });
        self.step_handover(Instant::now());
    }

    /// The assignment is gone: whatever is committed now would be against the next owner.
    fn lost(&mut self, places: &[Place]) {
        let closed = self.take_lanes(places);
        let events: Vec<LaneEvent> = closed.iter().map(|lane| LaneEvent::Lost(lane.id)).collect();
        drop(closed);
        note(unassign(&self.consumer, places));
        self.shared.tell(events);
    }

    fn lose_handover(&mut self) {
        let Some(handover) = self.handover.take() else { return };
        // All lanes go, those that were to be kept too: once this revocation is answered librdkafka no longer says that the
        // assignment is lost, and until it takes the rest they would be read and committed against their next owner.
        let all: Vec<Place> = self.shared.lock().lanes.iter().map(|lane| lane.place.clone()).collect();
        let closed = self.take_lanes(&all);
        let events: Vec<LaneEvent> = closed.iter().map(|lane| LaneEvent::Lost(lane.id)).collect();
        drop(closed);
        note(unassign(&self.consumer, &handover.places));
        self.shared.tell(events);
    }

    pub(super) fn step_handover(&mut self, now: Instant) {
        if self.handover.is_some() && self.is_lost() {
            self.lose_handover();
            return self.change();
        }
        let Some(handover) = &mut self.handover else { return };
        let mut state = self.shared.lock();
        // A transaction whose outcome is not known never lets go of its lanes.
        let has_failed = state.failed.is_some();
        let mut open: Vec<&mut OpenLane> =
            state.lanes.iter_mut().filter(|lane| handover.lanes.contains(&lane.id)).collect();
        if let Phase::Draining(deadline) = handover.phase {
            if open.iter().any(|lane| !lane.frozen) && now < deadline {
                return;
            }
            open.iter_mut().for_each(|lane| lane.frozen = true);
            handover.phase = Phase::Committing(now + LAST_COMMIT);
        }
        let Phase::Committing(until) = handover.phase else { return };
        let committed = self.plan.spec.member == gulo_bus_core::transport::Member::Solo
            || open.iter().all(|lane| has_failed && lane.bound || !lane.is_awaited());
        drop(state);
        if (committed && !self.commits.is_under_way()) || now >= until {
            self.finish_handover();
        }
    }

    fn finish_handover(&mut self) {
        let Some(handover) = self.handover.take() else { return };
        let closed = self.take_lanes(&handover.places);
        let solo = self.is_solo();
        let event = |lane: &OpenLane| match !solo && lane.is_awaited() {
            true => LaneEvent::Lost(lane.id),
            false => LaneEvent::Closed(lane.id),
        };
        let events: Vec<LaneEvent> = closed.iter().map(event).collect();
        drop(closed);
        note(unassign(&self.consumer, &handover.places));
        self.shared.tell(events);
        self.change();
    }

    /// Takes the lanes of `places` out, resumed: a pause would outlive the assignment.
    fn take_lanes(&mut self, places: &[Place]) -> Vec<OpenLane> {
        let paused: Vec<&Place> = places.iter().filter(|place| self.paused.contains(place)).collect();
        if !paused.is_empty() {
            note(self.consumer.resume(&list(paused.iter().copied())));
        }
        self.paused.retain(|place| !places.contains(place));
        let mut state = self.shared.lock();
        let lanes: Vec<Lane> = places.iter().filter_map(|place| find(&mut state.lanes, place)).collect();
        let closed: Vec<OpenLane> = lanes.into_iter().filter_map(|lane| state.lanes.close(lane)).collect();
        drop(state);
        if self.is_solo() {
            let stood = closed.iter().filter_map(|lane| {
                let stood = || lane.ledger.first_unfinished().or_else(|| lane.ledger.watermark());
                Some((lane.place.clone(), lane.went_back.or_else(stood)?))
            });
            self.left_at.extend(stood);
        }
        closed
    }

    /// Whether lanes wait for their last commit.
    pub(super) fn hands_over(&self) -> bool {
        matches!(&self.handover, Some(Handover { phase: Phase::Committing(_), .. }))
    }

    /// Answers all that is still unanswered, at the end: librdkafka cannot close before.
    pub(super) fn answer_all(&mut self) {
        if let Some(handover) = self.handover.take() {
            note(unassign(&self.consumer, &handover.places));
        }
        let changes: VecDeque<Change> = mem::take(&mut self.changes);
        for change in changes {
            note(match change {
                Change::Assign(places) => assign(&self.consumer, &list(&places)),
                Change::Revoke { places, .. } => unassign(&self.consumer, &places),
            });
        }
    }
}

fn find(lanes: &mut crate::lane::Lanes, place: &Place) -> Option<Lane> {
    lanes.of(place).map(|lane| lane.id)
}
