//! What passes between a member and its group: messages out, verdicts and commands in.

use gulo_bus_core::settle::{Lane, Settlement, Token, Verdict};
use gulo_bus_core::transport::{Capability, Control, Delivery, Inbox, LaneEvent};
use tokio::time::Instant;

use super::{Group, Member, partition};
use crate::broker::TopicMap;
use crate::broker::log::{LogFeed, Partition, Read};
use crate::broker::queue::{Item, Queue, QueueFeed};
use crate::lane::{Feed, Lanes, OpenLane, PlaceId, Wish};

/// What came of a batch of verdicts.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// To be dead-lettered.
    pub(crate) rejected: Vec<Item>,
    /// What a verdict asked for that this broker does not do.
    pub(crate) unsupported: Option<Capability>,
    /// Something became deliverable to other members.
    pub(crate) frees_others: bool,
}

impl Group {
    /// Hands `member` its events, and at most `room` messages.
    pub(crate) fn fill(&mut self, id: u64, topics: &TopicMap, inbox: &mut Inbox, room: usize, now: Instant) {
        let Some(member) = self.members.get_mut(&id) else { return };
        inbox.events.extend(member.events.drain(..));
        let (window, mut room) = (member.spec.window, room);
        for lane in member.lanes.in_turn(member.turn).filter(|lane| lane.delivers()) {
            let before = inbox.deliveries.len();
            match &mut lane.feed {
                Feed::Log(feed) => {
                    let Some(log) = partition(topics, &lane.place) else { continue };
                    from_log(lane.id, &lane.place, feed, log, inbox, room, window);
                }
                Feed::Queue(feed) => {
                    let Some(queue) = self.queues.get_mut(&lane.place.0) else { continue };
                    let max = room.min(window.saturating_sub(feed.span()));
                    let items = queue.take(id, max, now);
                    inbox.deliveries.extend(items.into_iter().map(|item| from_queue(lane.id, feed, item)));
                }
            }
            room = room.saturating_sub(inbox.deliveries.len() - before);
        }
        member.turn = member.turn.wrapping_add(1);
    }

    /// Takes verdicts in. Those for lanes that are over, or given twice, change nothing.
    pub(crate) fn settle(
        &mut self,
        id: u64,
        batch: impl Iterator<Item = Settlement>,
        can: impl Fn(Capability) -> bool,
        now: Instant,
    ) -> Settled {
        let mut settled = Settled::default();
        let Some(member) = self.members.get_mut(&id) else { return settled };
        let mut count = 0;
        for Settlement { token, verdict } in batch {
            let Some(lane) = member.lanes.get_mut(token.lane) else { continue };
            let needs = needs(verdict);
            if needs.is_some_and(|capability| !can(capability)) {
                settled.unsupported = settled.unsupported.or(needs);
                continue;
            }
            let queue = self.queues.get_mut(&lane.place.0);
            count += usize::from(apply(lane, queue, token.seq, verdict, &mut settled));
        }
        member.uncommitted += count;
        if count > 0 {
            member.since.get_or_insert(now);
        }
        settled
    }

    /// Takes a command in; what needs the broker is done by the next [`tick`](Self::tick).
    pub(crate) fn control(&mut self, id: u64, command: Control) {
        let Some(Member { lanes, events, .. }) = self.members.get_mut(&id) else { return };
        match command {
            Control::Pause(lane) => set_paused(lanes, lane, true).into_iter().for_each(|event| events.push_back(event)),
            Control::Resume(lane) => {
                set_paused(lanes, lane, false).into_iter().for_each(|event| events.push_back(event));
            }
            Control::Release(released) => {
                for lane in released {
                    if let Some(lane) = lanes.get_mut(lane) {
                        lane.wish = Some(Wish::Release);
                    }
                }
            }
            // One that is being given back moves nowhere.
            Control::Seek { lane, to } => {
                if let Some(lane) = lanes.get_mut(lane).filter(|lane| lane.draining.is_none() && lane.wish.is_none()) {
                    lane.wish = Some(Wish::Seek(to));
                }
            }
        }
    }
}

fn needs(verdict: Verdict) -> Option<Capability> {
    match verdict {
        Verdict::Done => None,
        Verdict::Requeue => Some(Capability::Requeue),
        Verdict::Reject => Some(Capability::Reject),
    }
}

/// Whether it counts as settled and waits for the commit. What goes back or elsewhere is durable at once.
fn apply(lane: &mut OpenLane, queue: Option<&mut Queue>, seq: u64, verdict: Verdict, settled: &mut Settled) -> bool {
    match (&mut lane.feed, queue) {
        (Feed::Log(feed), _) => {
            // One given twice is counted twice, and at worst brings the next commit forward.
            feed.ledger.finish(seq);
            true
        }
        (Feed::Queue(feed), Some(queue)) => {
            let Some(item) = feed.finish(seq) else { return false };
            settled.frees_others |= queue.let_go(&item) || verdict == Verdict::Requeue;
            match verdict {
                Verdict::Done => feed.done.push(item),
                Verdict::Requeue => queue.put_back(item),
                Verdict::Reject => settled.rejected.push(item),
            }
            verdict == Verdict::Done
        }
        (Feed::Queue(_), None) => false,
    }
}

fn set_paused(lanes: &mut Lanes, lane: Lane, paused: bool) -> Option<LaneEvent> {
    lanes.get_mut(lane)?.paused = paused;
    Some(if paused { LaneEvent::Paused(lane) } else { LaneEvent::Resumed(lane) })
}

fn from_log(
    lane: Lane,
    place: &PlaceId,
    feed: &mut LogFeed,
    log: &Partition,
    inbox: &mut Inbox,
    mut room: usize,
    window: usize,
) {
    while room > 0 {
        match feed.read(log, window) {
            Read::Nothing => return,
            Read::Gap { from, to } => inbox.events.push(LaneEvent::Gap { lane, from, to }),
            Read::Message { seq, offset, message } => {
                inbox.deliveries.push_back(Delivery {
                    message: message.clone(),
                    token: Token { lane, seq },
                    partition: Some(place.1),
                    offset: Some(offset),
                    redelivered: 0,
                });
                room -= 1;
            }
        }
    }
}

fn from_queue(lane: Lane, feed: &mut QueueFeed, item: Item) -> Delivery {
    let (message, redelivered) = (item.message.clone(), item.redelivered);
    let seq = feed.arrive(item);
    Delivery { message, token: Token { lane, seq }, partition: None, offset: None, redelivered }
}
