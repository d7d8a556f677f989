//! Consumer groups: who is in them, which lanes each member has, what is settled, and when that becomes durable.

mod assign;
mod deliver;
mod matcher;
mod unsettled;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gulo_bus_core::settle::{Lane, Run};
use gulo_bus_core::transport::{LaneEvent, SubscribeSpec};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::broker::TopicMap;
use crate::broker::queue::Queue;
use crate::config::Shape;
use crate::lane::{Feed, Lanes, OpenLane, PlaceId, Wish};

pub(crate) use deliver::Settled;
pub(crate) use matcher::Matcher;

/// A group, or the private one of a solo reader.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GroupId {
    Named(Arc<str>),
    Solo(u64),
}

/// Where a group stands in one partition, and who has it; log shape.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) committed: Option<i64>,
    /// What is finished behind that, and need not come again.
    finished: Vec<Run>,
    /// Where it began: decided once, when the group first saw the partition, so that `Latest` cannot skip what comes
    /// in between two owners.
    start: i64,
    owner: Option<u64>,
    target: Option<u64>,
}

impl Place {
    /// Where the next owner begins.
    pub(crate) fn position(&self) -> i64 {
        self.committed.unwrap_or(self.start)
    }
}

/// One source.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) spec: SubscribeSpec,
    pub(crate) matcher: Matcher,
    pub(crate) wake: Arc<Notify>,
    pub(crate) events: VecDeque<LaneEvent>,
    /// Has been told that the broker is away.
    pub(crate) degraded: bool,
    lanes: Lanes,
    turn: usize,
    /// Settled since the last commit, and since when.
    uncommitted: usize,
    since: Option<Instant>,
}

impl Member {
    pub(crate) fn new(spec: SubscribeSpec, matcher: Matcher) -> Self {
        Self {
            spec,
            matcher,
            wake: Arc::default(),
            events: VecDeque::new(),
            degraded: false,
            lanes: Lanes::default(),
            turn: 0,
            uncommitted: 0,
            since: None,
        }
    }

    fn commit_due(&self, now: Instant) -> bool {
        let policy = self.spec.commit;
        let waited = |since: Instant| now.saturating_duration_since(since) >= policy.interval;
        self.uncommitted >= policy.every.max(1) || self.since.is_some_and(waited)
    }
}

/// A group with its members.
#[derive(Debug)]
pub(crate) struct Group {
    shape: Shape,
    pub(crate) places: BTreeMap<PlaceId, Place>,
    pub(crate) queues: BTreeMap<Arc<str>, Queue>,
    pub(crate) members: BTreeMap<u64, Member>,
}

impl Group {
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, places: BTreeMap::new(), queues: BTreeMap::new(), members: BTreeMap::new() }
    }

    /// Everyone has something to look at.
    pub(crate) fn wake_all(&self) {
        self.members.values().for_each(|member| member.wake.notify_one());
    }

    /// Does all that has become due: commits, what members asked for, lanes taken at the end of their drain. There is
    /// no timer behind it: it runs before anything else looks at the group, which comes to the same.
    pub(crate) fn tick(&mut self, topics: &TopicMap, now: Instant) {
        let due = |(id, member): (&u64, &Member)| member.commit_due(now).then_some(*id);
        let due: Vec<u64> = self.members.iter().filter_map(due).collect();
        due.into_iter().for_each(|id| self.commit(id));
        let ending = self.lanes_where(|lane| lane.wish.is_some() || lane.draining.is_some_and(|at| at <= now));
        if ending.is_empty() {
            return;
        }
        for (member, lane) in ending {
            self.commit(member);
            self.fulfil(member, lane, topics);
        }
        self.rebalance(topics, now);
        self.wake_all();
    }

    /// Closes a lane whose verdicts are durable; a seek opens it again at once.
    fn fulfil(&mut self, id: u64, lane: Lane, topics: &TopicMap) {
        let Some(ended) = self.end_lane(id, lane, LaneEvent::Closed) else { return };
        let Some(Wish::Seek(to)) = ended.wish else { return };
        let Some(place) = self.places.get(&ended.place) else { return };
        let Some(partition) = partition(topics, &ended.place) else { return };
        let at = partition.locate(to, place.position());
        self.open_at(id, &ended.place, at, Vec::new());
    }

    /// Makes durable what `member` settled.
    pub(crate) fn commit(&mut self, member: u64) {
        let Some(member) = self.members.get_mut(&member) else { return };
        (member.uncommitted, member.since) = (0, None);
        for lane in member.lanes.iter_mut() {
            match &mut lane.feed {
                Feed::Queue(feed) => feed.done.clear(),
                Feed::Log(feed) => {
                    let place = self.places.get_mut(&lane.place);
                    if let Some(place) = place {
                        place.committed = feed.ledger.watermark().or(place.committed);
                        place.finished = feed.ledger.finished_above();
                    }
                }
            }
        }
    }

    /// Ends a lane as it stands: what of it is not committed is as if it had never been settled.
    fn end_lane(&mut self, id: u64, lane: Lane, event: fn(Lane) -> LaneEvent) -> Option<OpenLane> {
        let member = self.members.get_mut(&id)?;
        let mut ended = member.lanes.close(lane)?;
        member.events.push_back(event(lane));
        if let Some(place) = self.places.get_mut(&ended.place) {
            place.owner = None;
        }
        if let (Feed::Queue(feed), Some(queue)) = (&mut ended.feed, self.queues.get_mut(&ended.place.0)) {
            let (unsettled, done) = std::mem::take(feed).dissolve();
            unsettled.for_each(|item| queue.give_back(item));
            done.into_iter().for_each(|item| queue.put_back(item));
        }
        Some(ended)
    }

    /// Takes lanes away without a hand-over; what was not durable is lost with them.
    pub(crate) fn lose(&mut self, which: impl Fn(&PlaceId) -> bool, topics: &TopicMap, now: Instant) {
        for (member, lane) in self.lanes_where(|lane| which(&lane.place)) {
            self.end_lane(member, lane, LaneEvent::Lost);
        }
        self.rebalance(topics, now);
        self.wake_all();
    }

    /// A member goes, its verdicts as durable as they are.
    pub(crate) fn leave(&mut self, id: u64, topics: &TopicMap, now: Instant) {
        for (_, lane) in self.lanes_where(|_| true).into_iter().filter(|(member, _)| *member == id) {
            self.end_lane(id, lane, LaneEvent::Lost);
        }
        let Some(member) = self.members.remove(&id) else { return };
        // It may wait in `recv`, when a fault threw it out.
        member.wake.notify_one();
        self.rebalance(topics, now);
        self.wake_all();
    }

    fn lanes_where(&self, which: impl Fn(&OpenLane) -> bool) -> Vec<(u64, Lane)> {
        let which = &which;
        let of = |(id, member): (&u64, &Member)| {
            let id = *id;
            member.lanes.iter().filter(|lane| which(lane)).map(|lane| (id, lane.id)).collect::<Vec<_>>()
        };
        self.members.iter().flat_map(of).collect()
    }

    /// The next moment at which something happens by itself for `member`: a drain ends, or a delayed message is due.
    pub(crate) fn next_timer(&self, member: u64, now: Instant, room: usize) -> Option<Instant> {
        let drains = self.members.values().flat_map(|member| member.lanes.iter().filter_map(|lane| lane.draining));
        let matcher = self.members.get(&member).filter(|_| room > 0).map(|member| &member.matcher);
        let mine = |name: &Arc<str>| matcher.is_some_and(|matcher| matcher.matches(name));
        let due = self.queues.iter().filter(|(name, _)| mine(name)).filter_map(|(_, queue)| queue.next_due());
        drains.chain(due).filter(|at| *at > now).min()
    }

    /// Messages not durably settled.
    pub(crate) fn lag(&self, topics: &TopicMap, now: Instant) -> u64 {
        let behind = |(id, place): (&PlaceId, &Place)| {
            partition(topics, id).map_or(0, |log| (log.end() - place.position().max(log.start())).max(0) as u64)
        };
        let waiting: usize = self.queues.values().map(|queue| queue.waiting(now).count()).sum();
        let out = self.members.values().flat_map(|member| member.lanes.iter()).map(|lane| match &lane.feed {
            Feed::Queue(feed) => feed.unsettled().count() + feed.done.len(),
            Feed::Log(_) => 0,
        });
        self.places.iter().map(behind).sum::<u64>() + (waiting + out.sum::<usize>()) as u64
    }

    /// What its queue for `topic` still holds, out or not, in no order.
    pub(crate) fn holds(&self, topic: &str, now: Instant) -> Vec<crate::broker::queue::Item> {
        let out = self.members.values().flat_map(|member| member.lanes.iter());
        let out = out.filter(|lane| *lane.place.0 == *topic).filter_map(|lane| match &lane.feed {
            Feed::Queue(feed) => Some(feed.unsettled().chain(&feed.done)),
            Feed::Log(_) => None,
        });
        let waiting = self.queues.get(topic).into_iter().flat_map(|queue| queue.waiting(now));
        waiting.chain(out.flatten()).cloned().collect()
    }
}

fn partition<'a>(topics: &'a TopicMap, (name, index): &PlaceId) -> Option<&'a crate::broker::log::Partition> {
    topics.get(name)?.partitions.get(*index as usize)
}
