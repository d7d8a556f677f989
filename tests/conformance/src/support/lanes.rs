//! What must hold of lanes in every case: a source that breaks it fails whichever case is running.

use std::collections::{BTreeMap, BTreeSet};

use gulo_bus_core::message::Origin;
use gulo_bus_core::settle::{Lane, Token};
use gulo_bus_core::transport::{Delivery, LaneEvent};

/// The lanes of one source, as its events tell of them.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    pub(crate) open: BTreeMap<Lane, Open>,
    epochs: BTreeMap<u32, u32>,
}

/// A lane that is ours.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) origin: Origin,
    pub(crate) paused: bool,
    pub(crate) draining: bool,
    next: u64,
    unsettled: BTreeSet<u64>,
    /// Whether it delivered nothing any more when the fill began.
    quiet: bool,
}

impl Lanes {
    /// Takes news in.
    pub(crate) fn note(&mut self, event: &LaneEvent) {
        match event {
            LaneEvent::Opened { lane, origin } => self.opened(*lane, origin),
            LaneEvent::Draining { lanes, .. } => lanes.iter().for_each(|lane| self.known(*lane).draining = true),
            LaneEvent::Paused(lane) => self.known(*lane).paused = true,
            LaneEvent::Resumed(lane) => self.known(*lane).paused = false,
            LaneEvent::Closed(lane) | LaneEvent::Lost(lane) => {
                self.known(*lane);
                self.open.remove(lane);
            }
            _ => {}
        }
    }

    fn opened(&mut self, lane: Lane, origin: &Origin) {
        let before = self.epochs.insert(lane.slot, lane.epoch);
        assert!(before.is_none_or(|before| before < lane.epoch), "{lane:?} opens, and its slot has had {before:?}");
        let twin = self.open.iter().find(|(other, open)| other.slot == lane.slot || open.is_of(origin));
        assert!(twin.is_none(), "{lane:?} of {origin} opens beside {twin:?}");
        let origin = origin.clone();
        let unsettled = BTreeSet::new();
        let open = Open { origin, paused: false, draining: false, next: 0, unsettled, quiet: false };
        self.open.insert(lane, open);
    }

    fn known(&mut self, lane: Lane) -> &mut Open {
        self.open.get_mut(&lane).unwrap_or_else(|| panic!("there is news of {lane:?}, which is not open"))
    }

    /// A fill begins: what is paused or draining by now delivers nothing in it.
    pub(crate) fn begin(&mut self) {
        self.open.values_mut().for_each(|open| open.quiet = open.paused || open.draining);
    }

    /// Takes a delivery in, after the events of its fill. `false` where its lane is over.
    pub(crate) fn arrived(&mut self, delivery: &Delivery, window: usize) -> bool {
        let Token { lane, seq } = delivery.token;
        let Some(open) = self.open.get_mut(&lane) else {
            let known = self.epochs.get(&lane.slot).is_some_and(|epoch| lane.epoch <= *epoch);
            assert!(known, "{lane:?} delivers before it opens");
            return false;
        };
        let quiet = open.quiet && (open.paused || open.draining);
        assert!(!quiet, "{lane:?} delivers while it is paused or draining");
        assert_eq!(seq, open.next, "numbers of {lane:?} are dense, from 0");
        assert!(open.is_of(&delivery.origin()), "{} came on the lane of {}", delivery.origin(), open.origin);
        open.next += 1;
        open.unsettled.insert(seq);
        let oldest = *open.unsettled.first().unwrap_or(&seq);
        assert!(seq - oldest < window as u64, "{seq} is out with a window of {window}, and {oldest} is not settled");
        true
    }

    /// A verdict was handed over.
    pub(crate) fn settled(&mut self, token: Token) {
        if let Some(open) = self.open.get_mut(&token.lane) {
            open.unsettled.remove(&token.seq);
        }
    }

    pub(crate) fn draining(&self) -> Vec<Lane> {
        self.open.iter().filter(|(_, open)| open.draining).map(|(lane, _)| *lane).collect()
    }
}

impl Open {
    /// A lane of several partitions does not say which.
    fn is_of(&self, origin: &Origin) -> bool {
        self.origin.topic == origin.topic && self.origin.partition == origin.partition
    }
}
