//! What a group has not settled: not yet handed out, out with a member, or given back.

use std::ops::Range;

use gulo_bus_core::message::{Message, Origin};
use gulo_bus_core::settle::Run;
use tokio::time::Instant;

use super::{Group, Place, partition};
use crate::broker::TopicMap;
use crate::broker::log::Partition;
use crate::lane::{Feed, PlaceId};

impl Group {
    /// Whether every message there is for the group is settled, durably or not.
    pub(crate) fn is_settled(&self, topics: &TopicMap, now: Instant) -> bool {
        let logs_are = self.logs(topics).all(|(id, place, log)| self.open(id, place, log).next().is_none());
        logs_are && self.queued(now).next().is_none()
    }

    /// All that is not: place after place, in the order of its log or queue.
    pub(crate) fn unsettled(&self, topics: &TopicMap, now: Instant) -> Vec<(Origin, Message)> {
        let of_log = |(id, place, log): (&PlaceId, &Place, _)| {
            let log: &Partition = log;
            let found = self.open(id, place, log).filter_map(|offset| {
                let origin = Origin { topic: id.0.clone(), partition: Some(id.1), offset: Some(offset) };
                log.get(offset).map(|message| (origin, message.clone()))
            });
            found.collect::<Vec<_>>()
        };
        let mut queued: Vec<_> = self.queued(now).map(|item| (item.id, item.message.clone())).collect();
        queued.sort_by(|(one, first), (other, second)| (&first.topic, one).cmp(&(&second.topic, other)));
        let of_queue = queued
            .into_iter()
            .map(|(_, message)| (Origin { topic: message.topic.clone(), partition: None, offset: None }, message));
        self.logs(topics).flat_map(of_log).chain(of_queue).collect()
    }

    fn logs<'a>(&'a self, topics: &'a TopicMap) -> impl Iterator<Item = (&'a PlaceId, &'a Place, &'a Partition)> {
        self.places.iter().filter_map(|(id, place)| Some((id, place, partition(topics, id)?)))
    }

    /// The offsets of a log that are not settled.
    fn open(&self, id: &PlaceId, place: &Place, log: &Partition) -> impl Iterator<Item = i64> + use<> {
        let lane = self.members.values().find_map(|member| member.lanes.of(id));
        let (from, settled) = match lane.map(|lane| &lane.feed) {
            Some(Feed::Log(feed)) => {
                (feed.ledger.first_unfinished().unwrap_or(feed.next), feed.ledger.finished_above())
            }
            // Nobody has it: what is not durable is as if it had never been settled.
            _ => (place.position(), place.finished.clone()),
        };
        without(from.max(log.start())..log.end(), settled)
    }

    /// What stands in queues or is out of them.
    fn queued(&self, now: Instant) -> impl Iterator<Item = &crate::broker::queue::Item> {
        let lanes = self.members.values().flat_map(|member| member.lanes.iter());
        let out = lanes.filter_map(|lane| match &lane.feed {
            Feed::Queue(feed) => Some(feed.unsettled()),
            Feed::Log(_) => None,
        });
        self.queues.values().flat_map(move |queue| queue.waiting(now)).chain(out.flatten())
    }
}

/// `offsets` but for those in `runs`, which rise.
fn without(offsets: Range<i64>, runs: Vec<Run>) -> impl Iterator<Item = i64> {
    let mut runs = runs.into_iter().peekable();
    offsets.filter(move |offset| {
        while runs.next_if(|run| run.last < *offset).is_some() {}
        runs.peek().is_none_or(|run| *offset < run.first)
    })
}
