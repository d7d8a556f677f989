//! Where lanes start: positions turned into offsets, by asking the broker.

use std::collections::HashMap;

use gulo_bus_core::transport::Position;
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::{ASK_TIMEOUT, Driver};
use crate::convert::to_millis;
use crate::error::of_call;
use crate::rebalance::{Place, list, list_at};

pub(super) type Offsets = HashMap<Place, i64>;

impl Driver {
    /// Where each place starts. One that is missing starts where the group stands, or at the oldest message.
    pub(super) fn starts(&self, places: &[Place]) -> Result<Offsets> {
        let start = self.start_position();
        if self.is_solo() {
            let (known, new): (Vec<_>, Vec<_>) =
                places.iter().cloned().partition(|place| self.left_at.contains_key(place));
            let mut starts = self.resolve(&new, start)?;
            starts
                .extend(known.into_iter().filter_map(|place| self.left_at.get(&place).map(|at| (place.clone(), *at))));
            return Ok(starts);
        }
        if places.is_empty() || matches!(start, Position::Committed | Position::Earliest) {
            return Ok(Offsets::new());
        }
        // Where the group stands nowhere, it is put at an offset, and that is committed: another member that gets the
        // partition before the first message is finished must not choose anew and skip what came meanwhile.
        let committed = self.committed(places)?;
        let new: Vec<Place> = places.iter().filter(|place| !committed.contains_key(place)).cloned().collect();
        self.resolve(&new, start)
    }

    /// The offsets of a position, within what the log has.
    pub(super) fn resolve(&self, places: &[Place], to: Position) -> Result<Offsets> {
        if places.is_empty() {
            return Ok(Offsets::new());
        }
        match to {
            Position::Earliest => self.ask(places, Offset::Beginning),
            Position::Latest => self.ask(places, Offset::End),
            Position::At(time) => {
                let found = self.ask(places, Offset::Offset(to_millis(time).unwrap_or(0)))?;
                self.complete(places, found, Position::Latest)
            }
            Position::Committed => {
                let found = self.committed(places)?;
                self.complete(places, found, Position::Earliest)
            }
            Position::Offset(wanted) => {
                // One that the log does not have would make librdkafka start at the oldest message.
                let (low, high) = (self.ask(places, Offset::Beginning)?, self.ask(places, Offset::End)?);
                let bound = |place: &Place| {
                    let (low, high) = (low.get(place).copied()?, high.get(place).copied()?);
                    Some((place.clone(), wanted.clamp(low, high.max(low))))
                };
                Ok(places.iter().filter_map(bound).collect())
            }
        }
    }

    fn complete(&self, places: &[Place], mut found: Offsets, otherwise: Position) -> Result<Offsets> {
        let rest: Vec<Place> = places.iter().filter(|place| !found.contains_key(place)).cloned().collect();
        found.extend(self.resolve(&rest, otherwise)?);
        Ok(found)
    }

    /// By timestamp, for which the oldest and the end have special ones.
    fn ask(&self, places: &[Place], time: Offset) -> Result<Offsets> {
        let list = list_at(places.iter().map(|place| (place, time)));
        let answer = self.consumer.offsets_for_times(list, ASK_TIMEOUT);
        self.read("looking up positions", answer)
    }

    /// Where the group stands, where it does.
    fn committed(&self, places: &[Place]) -> Result<Offsets> {
        let answer = self.consumer.committed_offsets(list(places), ASK_TIMEOUT);
        self.read("looking up where the group stands", answer)
    }

    fn read(&self, what: &str, answer: Result<TopicPartitionList, rdkafka::error::KafkaError>) -> Result<Offsets> {
        let secrets = self.plan.config.secrets();
        let list = answer.map_err(|error| of_call(what, &error, &secrets))?;
        let mut offsets = Offsets::new();
        for element in list.elements() {
            let place = Place::new(element.topic(), element.partition());
            if let Err(error) = element.error() {
                return Err(of_call(&format!("{what} of {place}"), &error, &secrets));
            }
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(place, offset);
            }
        }
        Ok(offsets)
    }

    /// The offset of a position of one place.
    pub(super) fn resolve_one(&self, place: &Place, to: Position) -> Result<i64> {
        let offsets = self.resolve(std::slice::from_ref(place), to)?;
        let offset = offsets.get(place).copied();
        offset.ok_or_else(|| Error::new(ErrorKind::Unavailable, format!("{place} has no such position")))
    }
}
