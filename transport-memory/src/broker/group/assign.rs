//! Who gets which lane: evenly, moving as few as can be, and each move by way of a drain.

use std::collections::BTreeMap;
use std::sync::Arc;

use gulo_bus_core::message::Origin;
use gulo_bus_core::settle::{Lane, Run};
use gulo_bus_core::transport::LaneEvent;
use tokio::time::Instant;

use super::{Group, Place};
use crate::broker::log::LogFeed;
use crate::broker::queue::QueueFeed;
use crate::broker::{TopicMap, later};
use crate::config::Shape;
use crate::lane::{Feed, PlaceId};

impl Group {
    /// Gives every lane to the member that shall have it, as far as it is free; calls back what others have.
    pub(crate) fn rebalance(&mut self, topics: &TopicMap, now: Instant) {
        match self.shape {
            Shape::Queue => self.open_queues(),
            Shape::Log => {
                self.find_places(topics);
                self.choose_targets();
                self.call_back(now);
                self.open_free();
            }
        }
    }

    /// Partitions that a member reads and the group has not seen before.
    fn find_places(&mut self, topics: &TopicMap) {
        for (name, topic) in topics {
            let Some(reader) = self.members.values().find(|member| member.matcher.matches(name)) else { continue };
            for (index, log) in topic.partitions.iter().enumerate() {
                let start = || log.locate(reader.spec.start, log.start());
                self.places.entry((name.clone(), index as u32)).or_insert_with(|| Place {
                    committed: None,
                    finished: Vec::new(),
                    start: start(),
                    owner: None,
                    target: None,
                });
            }
        }
    }

    fn choose_targets(&mut self) {
        let members = &self.members;
        let claim = |((topic, _), place): (&PlaceId, &Place)| {
            let readers = members.iter().filter(|(_, member)| member.matcher.matches(topic));
            Claim { candidates: readers.map(|(id, _)| *id).collect(), holder: place.target }
        };
        let mut claims: Vec<Claim> = self.places.iter().map(claim).collect();
        spread(&mut claims);
        for (place, claim) in self.places.values_mut().zip(claims) {
            place.target = claim.holder;
        }
    }

    /// Lanes of members that are not to keep them begin to drain; the others run on untouched.
    fn call_back(&mut self, now: Instant) {
        for (id, member) in &mut self.members {
            let deadline = later(now, member.spec.drain);
            let mut called = Vec::new();
            for lane in member.lanes.iter_mut().filter(|lane| lane.draining.is_none()) {
                let moves = self.places.get(&lane.place).is_some_and(|place| place.target != Some(*id));
                if moves {
                    lane.draining = Some(deadline);
                    called.push(lane.id);
                }
            }
            if !called.is_empty() {
                member.events.push_back(LaneEvent::Draining { lanes: called, deadline });
            }
        }
    }

    fn open_free(&mut self) {
        let free = |(id, place): (&PlaceId, &Place)| {
            let target = place.target.filter(|_| place.owner.is_none())?;
            Some((target, id.clone(), place.position(), place.finished.clone()))
        };
        let free: Vec<_> = self.places.iter().filter_map(free).collect();
        free.into_iter().for_each(|(member, place, at, finished)| self.open_at(member, &place, at, finished));
    }

    /// Opens a partition's lane for `member`, from `offset` on, but for what is `finished`.
    pub(super) fn open_at(&mut self, id: u64, place: &PlaceId, offset: i64, finished: Vec<Run>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if let Some(place) = self.places.get_mut(place) {
            place.owner = Some(id);
        }
        let lane = member.lanes.open(place, Feed::Log(LogFeed::at(offset, finished)));
        let origin = Origin { topic: place.0.clone(), partition: Some(place.1), offset: Some(offset) };
        member.events.push_back(LaneEvent::Opened { lane, origin });
    }

    /// Every member has a lane to each queue it reads.
    fn open_queues(&mut self) {
        for member in self.members.values_mut() {
            let missing = |name: &Arc<str>| {
                let place = (name.clone(), 0);
                (member.matcher.matches(name) && member.lanes.of(&place).is_none()).then_some(place)
            };
            let missing: Vec<PlaceId> = self.queues.keys().filter_map(missing).collect();
            for place in missing {
                let lane: Lane = member.lanes.open(&place, Feed::Queue(QueueFeed::default()));
                let origin = Origin { topic: place.0, partition: None, offset: None };
                member.events.push_back(LaneEvent::Opened { lane, origin });
            }
        }
    }
}

/// A lane to be given to one of `candidates`; `holder` has it, or shall get it, so far.
#[derive(Debug)]
struct Claim {
    candidates: Vec<u64>,
    holder: Option<u64>,
}

/// Gives every claim a holder. One that may keep its claim does, unless another candidate would have two fewer.
fn spread(claims: &mut [Claim]) {
    let mut loads: BTreeMap<u64, usize> = BTreeMap::new();
    for claim in claims.iter_mut() {
        for id in &claim.candidates {
            loads.entry(*id).or_default();
        }
        claim.holder = claim.holder.filter(|holder| claim.candidates.contains(holder));
        if let Some(holder) = claim.holder {
            *loads.entry(holder).or_default() += 1;
        }
    }
    for claim in claims.iter_mut().filter(|claim| claim.holder.is_none()) {
        claim.holder = least_loaded(claim, &loads);
        if let Some(holder) = claim.holder {
            *loads.entry(holder).or_default() += 1;
        }
    }
    // Each move makes the sum of squares of the loads smaller, so this ends.
    while let Some((index, from, to)) = worst(claims, &loads) {
        claims[index].holder = Some(to);
        *loads.entry(from).or_default() -= 1;
        *loads.entry(to).or_default() += 1;
    }
}

fn least_loaded(claim: &Claim, loads: &BTreeMap<u64, usize>) -> Option<u64> {
    claim.candidates.iter().copied().min_by_key(|id| (load(loads, *id), *id))
}

/// The claim whose move evens out most: the last of the fullest holder, so that low partitions stay where they are.
fn worst(claims: &[Claim], loads: &BTreeMap<u64, usize>) -> Option<(usize, u64, u64)> {
    let unfair = |(index, claim): (usize, &Claim)| {
        let (from, to) = (claim.holder?, least_loaded(claim, loads)?);
        let excess = load(loads, from).checked_sub(load(loads, to) + 2)?;
        Some((excess, index, from, to))
    };
    let worst = claims.iter().enumerate().filter_map(unfair).max_by_key(|(excess, index, ..)| (*excess, *index));
    worst.map(|(_, index, from, to)| (index, from, to))
}

fn load(loads: &BTreeMap<u64, usize>, id: u64) -> usize {
    loads.get(&id).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders(claims: &[Claim]) -> Vec<u64> {
        claims.iter().map(|claim| claim.holder.unwrap()).collect()
    }

    fn claims(count: usize, candidates: &[u64], holder: Option<u64>) -> Vec<Claim> {
        (0..count).map(|_| Claim { candidates: candidates.to_vec(), holder }).collect()
    }

    #[test]
    fn lanes_are_spread_evenly_and_only_the_surplus_moves() {
        let mut all = claims(7, &[1], None);
        spread(&mut all);
        assert_eq!(holders(&all), [1; 7]);
        all.iter_mut().for_each(|claim| claim.candidates = vec![1, 2]);
        spread(&mut all);
        assert_eq!(holders(&all), [1, 1, 1, 1, 2, 2, 2]);
        all.iter_mut().for_each(|claim| claim.candidates = vec![2]);
        spread(&mut all);
        assert_eq!(holders(&all), [2; 7]);
    }

    #[test]
    fn members_that_read_different_topics_get_only_their_own() {
        let mut all = claims(4, &[1], None);
        all.extend(claims(4, &[1, 2], None));
        spread(&mut all);
        assert_eq!(holders(&all), [1, 1, 1, 1, 2, 2, 2, 2]);
    }

    #[test]
    fn a_lane_that_nobody_reads_has_no_holder() {
        let mut all = claims(1, &[], Some(1));
        spread(&mut all);
        assert_eq!(all[0].holder, None);
    }
}
