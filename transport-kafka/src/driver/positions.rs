//! Where lanes start: positions turned into offsets, by asking the broker.

use std::collections::HashMap;

use gulo_bus_core::settle::Run;
use gulo_bus_core::transport::Position;
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::{ASK_TIMEOUT, Driver};
use crate::convert::to_millis;
use crate::error::{coded, of_call};
use crate::progress;
use crate::rebalance::{Part, Place, list, list_at, parts};

pub(super) type Offsets = HashMap<Place, i64>;

/// Where a lane starts.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub(super) offset: i64,
    /// What an earlier owner finished behind it.
    pub(super) finished: Vec<Run>,
    /// The group stands there from now on, although it has finished nothing.
    pub(super) is_new: bool,
}

pub(super) type Starts = HashMap<Place, Start>;

impl Driver {
    /// Where each place starts. One that is missing starts where the group stands, or at the oldest message.
    /// `None` where it could not be looked up: then librdkafka finds out by itself, without what is finished above.
    pub(super) fn starts(&self, places: &[Place]) -> Result<Option<Starts>> {
        let start = self.start_position();
        if self.is_solo() {
            let (known, new): (Vec<_>, Vec<_>) =
                places.iter().cloned().partition(|place| self.left_at.contains_key(place));
            let mut starts = self.resolve(&new, start)?;
            starts
                .extend(known.into_iter().filter_map(|place| self.left_at.get(&place).map(|at| (place.clone(), *at))));
            let start = |(place, offset)| (place, Start { offset, ..Start::default() });
            return Ok(Some(starts.into_iter().map(start).collect()));
        }
        let mut starts = match (self.stand(places), start) {
            (Ok(starts), _) => starts,
            // librdkafka finds out by itself where the group stands. What is finished behind that is handled again.
            (Err(error), Position::Committed | Position::Earliest) => {
                tracing::warn!("starting without knowing what is finished above the committed offsets: {error}");
                return Ok(None);
            }
            (Err(error), _) => return Err(error),
        };
        if matches!(start, Position::Committed | Position::Earliest) {
            return Ok(Some(starts));
        }
        // Where the group stands nowhere, it is put at an offset, and that is committed: another member that gets the
        // partition before the first message is finished must not choose anew and skip what came meanwhile.
        let new: Vec<Place> = places.iter().filter(|place| !starts.contains_key(place)).cloned().collect();
        let new = self.begin_new(&new, start)?.into_iter();
        starts.extend(new.map(|(place, offset)| (place, Start { offset, finished: Vec::new(), is_new: true })));
        Ok(Some(starts))
    }

    /// Where a group begins that stands nowhere yet. What is later than the source is new to it from its first message on.
    fn begin_new(&self, places: &[Place], start: Position) -> Result<Offsets> {
        if start != Position::Latest || self.ends.is_empty() {
            return self.resolve(places, start);
        }
        let (known, later): (Vec<_>, Vec<_>) = places.iter().cloned().partition(|place| self.ends.contains_key(place));
        let known = known.into_iter().filter_map(|place| Some((place.clone(), *self.ends.get(&place)?)));
        Ok(known.chain(self.resolve(&later, Position::Earliest)?).collect())
    }

    /// Where the group stands, where it does, and what is finished behind that: both of one answer.
    fn stand(&self, places: &[Place]) -> Result<Starts> {
        if places.is_empty() {
            return Ok(Starts::new());
        }
        let what = "looking up where the group stands";
        let answer = self.consumer.committed_offsets(list(places), ASK_TIMEOUT);
        let start = |Part { place, offset, metadata, .. }| {
            let offset = offset?;
            Some((place, Start { offset, finished: progress::decode(offset, &metadata), is_new: false }))
        };
        Ok(self.read(what, answer)?.into_iter().filter_map(start).collect())
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
        let parts = self.read("looking up positions", answer)?.into_iter();
        Ok(parts.filter_map(|part| Some((part.place, part.offset?))).collect())
    }

    /// Where the group stands, where it does.
    fn committed(&self, places: &[Place]) -> Result<Offsets> {
        Ok(self.stand(places)?.into_iter().map(|(place, start)| (place, start.offset)).collect())
    }

    fn read(&self, what: &str, answer: Result<TopicPartitionList, rdkafka::error::KafkaError>) -> Result<Vec<Part>> {
        let secrets = self.plan.config.secrets();
        let parts = parts(&answer.map_err(|error| of_call(what, &error, &secrets))?);
        match parts.iter().find_map(|part| Some((&part.place, part.code?))) {
            Some((place, code)) => Err(coded(&format!("{what} of {place}"), code, None)),
            None => Ok(parts),
        }
    }

    /// The offset of a position of one place.
    pub(super) fn resolve_one(&self, place: &Place, to: Position) -> Result<i64> {
        let offsets = self.resolve(std::slice::from_ref(place), to)?;
        let offset = offsets.get(place).copied();
        offset.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, format!("{place} has no such position"))
                .help("take `Position::Earliest` or `Position::Latest`")
        })
    }
}
