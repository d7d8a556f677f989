//! The lanes of one member: which it has, under which epoch, and what is out on each.

use std::sync::Arc;

use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::Position;
use tokio::time::Instant;

use crate::broker::log::LogFeed;
use crate::broker::queue::QueueFeed;

/// A partition of a topic; the queue of a topic is its partition 0.
pub(crate) type PlaceId = (Arc<str>, u32);

/// Where a lane's messages come from.
#[derive(Debug)]
pub(crate) enum Feed {
    Log(LogFeed),
    Queue(QueueFeed),
}

/// What its member asked for; done as soon as the broker is there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wish {
    Release,
    Seek(Position),
}

/// A lane that is open.
#[derive(Debug)]
pub(crate) struct OpenLane {
    pub(crate) id: Lane,
    pub(crate) place: PlaceId,
    pub(crate) paused: bool,
    /// To be given back by then.
    pub(crate) draining: Option<Instant>,
    pub(crate) wish: Option<Wish>,
    pub(crate) feed: Feed,
}

impl OpenLane {
    /// Whether it hands messages out.
    pub(crate) fn delivers(&self) -> bool {
        !self.paused && self.draining.is_none() && self.wish.is_none()
    }
}

/// A slot is for one place for ever; its epoch goes up with each opening.
#[derive(Debug)]
struct Slot {
    place: PlaceId,
    next_epoch: u32,
    lane: Option<OpenLane>,
}

/// All lanes of a member.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Vec<Slot>);

impl Lanes {
    /// Opens the lane of `place` under a new epoch.
    pub(crate) fn open(&mut self, place: &PlaceId, feed: Feed) -> Lane {
        let index = self.0.iter().position(|slot| slot.place == *place).unwrap_or_else(|| {
            self.0.push(Slot { place: place.clone(), next_epoch: 0, lane: None });
            self.0.len() - 1
        });
        let slot = &mut self.0[index];
        let id = Lane { slot: index as u32, epoch: slot.next_epoch };
        slot.next_epoch = slot.next_epoch.wrapping_add(1);
        let place = place.clone();
        slot.lane = Some(OpenLane { id, place, paused: false, draining: None, wish: None, feed });
        id
    }

    /// The lane, if it is open under this very epoch.
    pub(crate) fn get_mut(&mut self, lane: Lane) -> Option<&mut OpenLane> {
        self.0.get_mut(lane.slot as usize)?.lane.as_mut().filter(|open| open.id == lane)
    }

    /// Closes the lane, if it is open under this very epoch.
    pub(crate) fn close(&mut self, lane: Lane) -> Option<OpenLane> {
        self.0.get_mut(lane.slot as usize)?.lane.take_if(|open| open.id == lane)
    }

    /// The open lane of `place`.
    pub(crate) fn of(&self, place: &PlaceId) -> Option<&OpenLane> {
        self.iter().find(|open| open.place == *place)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &OpenLane> {
        self.0.iter().filter_map(|slot| slot.lane.as_ref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenLane> {
        self.0.iter_mut().filter_map(|slot| slot.lane.as_mut())
    }

    /// The open lanes, beginning behind another one each turn, so that none is served first for ever.
    pub(crate) fn in_turn(&mut self, turn: usize) -> impl Iterator<Item = &mut OpenLane> {
        let middle = turn % self.0.len().max(1);
        let (front, back) = self.0.split_at_mut(middle);
        back.iter_mut().chain(front).filter_map(|slot| slot.lane.as_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_keeps_its_slot_and_gets_a_new_epoch() {
        let (mut lanes, place) = (Lanes::default(), ("t".into(), 3));
        let first = lanes.open(&place, Feed::Log(LogFeed::at(0, Vec::new())));
        assert!(lanes.close(first).is_some());
        let second = lanes.open(&place, Feed::Log(LogFeed::at(0, Vec::new())));
        assert_eq!((first.slot, first.epoch + 1), (second.slot, second.epoch));
        assert!(lanes.get_mut(first).is_none() && lanes.close(first).is_none());
        assert!(lanes.get_mut(second).is_some());
    }
}
