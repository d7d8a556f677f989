//! Which lanes are open, and which of them are called back.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::bus::health::LaneState;
use crate::bus::process::Processor;
use crate::error::shown;
use crate::message::Origin;
use crate::settle::Lane;
use crate::transport::LaneEvent;

/// Open lanes; `Some` deadline where a lane is to be given back, `released` once it was.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    states: HashMap<Lane, State, foldhash::fast::RandomState>,
    /// The partition or queue behind each: a slot tells nobody which one it is.
    origins: HashMap<Lane, Origin>,
    /// The lane last asked about, open: it is asked about again for each of its messages.
    open: Option<Lane>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Its guard has tripped: nothing of it begins before this.
    Still(Instant),
    Draining(Instant),
    Released,
}

impl Lanes {
    /// Returns the lane that has ended, if one has.
    pub(super) fn note(&mut self, event: LaneEvent, processor: &Processor) -> Option<Lane> {
        let (group, gauge) = (&processor.group, &processor.gauge);
        match event {
            LaneEvent::Opened { lane, origin } => {
                tracing::debug!(%group, %origin, "lane opened");
                self.origins.insert(lane, origin);
                self.states_mut().insert(lane, State::Open);
            }
            LaneEvent::Draining { lanes, deadline } => {
                for lane in lanes {
                    self.states_mut().entry(lane).and_modify(|state| *state = State::Draining(deadline));
                }
            }
            LaneEvent::Closed(lane) => {
                self.remove(lane);
                return Some(lane);
            }
            LaneEvent::Lost(lane) => {
                let (topic, partition) = self.place_of(lane);
                tracing::warn!(%group, topic, partition, "lane lost: what was not settled is delivered again");
                self.remove(lane);
                return Some(lane);
            }
            LaneEvent::Gap { lane, from, to } => {
                let (topic, partition) = self.place_of(lane);
                tracing::error!(%group, topic, partition, from, to, "retention passed over messages never delivered");
            }
            LaneEvent::Degraded(error) => {
                tracing::warn!(%group, "degraded: {error}");
                gauge.set_source_trouble(Some(error.to_string()));
            }
            LaneEvent::Recovered => {
                tracing::info!(%group, "recovered");
                gauge.set_source_trouble(None);
            }
            LaneEvent::Paused(_) | LaneEvent::Resumed(_) | LaneEvent::Behind { .. } => {}
        }
        None
    }

    fn remove(&mut self, lane: Lane) {
        self.states_mut().remove(&lane);
        self.origins.remove(&lane);
    }

    /// Topic and partition, as they are logged.
    fn place_of(&self, lane: Lane) -> (Option<String>, Option<u32>) {
        let origin = self.origins.get(&lane);
        (origin.map(|origin| shown(&origin.topic)), origin.and_then(|origin| origin.partition))
    }

    /// Nothing of the lane begins until then.
    pub(super) fn stand_still(&mut self, lane: Lane, until: Instant) {
        if let Some(state @ State::Open) = self.states_mut().get_mut(&lane) {
            *state = State::Still(until);
        }
    }

    /// Lanes that stood still until now; they are to be given back by `deadline`.
    pub(super) fn rested(&mut self, now: Instant, deadline: Instant) -> Vec<Lane> {
        let rested = |(_, state): &(&Lane, &mut State)| matches!(state, State::Still(until) if *until <= now);
        let give_back = |(lane, state): (&Lane, &mut State)| {
            *state = State::Draining(deadline);
            *lane
        };
        self.states_mut().iter_mut().filter(rested).map(give_back).collect()
    }

    /// Each, and whether messages of it may begin.
    pub(super) fn states(&self) -> impl Iterator<Item = (Lane, LaneState)> {
        self.states.iter().map(|(lane, state)| match state {
            State::Open => (*lane, LaneState::Open),
            State::Still(_) => (*lane, LaneState::StandingStill),
            State::Draining(_) | State::Released => (*lane, LaneState::Draining),
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// [`delivers`](Self::delivers), cheap where it is asked again and again.
    pub(super) fn still_delivers(&mut self, lane: Lane) -> bool {
        if self.open != Some(lane) {
            self.open = self.delivers(lane).then_some(lane);
        }
        self.open.is_some()
    }

    fn states_mut(&mut self) -> &mut HashMap<Lane, State, foldhash::fast::RandomState> {
        self.open = None;
        &mut self.states
    }

    /// Whether messages of it may begin.
    pub(super) fn delivers(&self, lane: Lane) -> bool {
        self.states.get(&lane) == Some(&State::Open)
    }

    /// The first deadline of a drain, or end of a pause.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.states.values().filter_map(State::due).min()
    }

    /// Draining lanes whose deadline has come.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Lane> {
        let late = |state: &State| state.deadline().is_some_and(|deadline| deadline <= now);
        self.states.iter().filter(|(_, state)| late(state)).map(|(lane, _)| *lane).collect()
    }

    pub(super) fn any_draining(&self) -> bool {
        self.states.values().any(|state| matches!(state, State::Draining(_)))
    }

    /// The draining lanes that are not busy, each once.
    pub(super) fn take_drained(&mut self, busy: impl Fn(Lane) -> bool) -> Vec<Lane> {
        let drained = |(lane, state): &(&Lane, &mut State)| state.deadline().is_some() && !busy(**lane);
        let release = |(lane, state): (&Lane, &mut State)| {
            *state = State::Released;
            *lane
        };
        self.states_mut().iter_mut().filter(drained).map(release).collect()
    }
}

impl State {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Draining(deadline) => Some(*deadline),
            Self::Open | Self::Still(_) | Self::Released => None,
        }
    }

    /// When something is to be done about it.
    fn due(&self) -> Option<Instant> {
        match self {
            Self::Draining(at) | Self::Still(at) => Some(*at),
            Self::Open | Self::Released => None,
        }
    }
}
