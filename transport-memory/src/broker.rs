//! The broker: what all clones of a transport, its publishers and its sources share.
//!
//! One lock, held for short synchronous changes only. Who waits does so on a `Notify` of its own, or on the gate that
//! says whether the broker can be reached.

pub(crate) mod group;
pub(crate) mod log;
pub(crate) mod queue;
mod topic;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{Control, Inbox, LaneEvent, SubscribeSpec};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::config::{MemoryConfig, Shape};
use crate::fault::Script;
use group::{Group, GroupId, Matcher, Member, Settled};
use queue::Item;
use topic::Topic;

/// The topics by name.
pub(crate) type TopicMap = BTreeMap<Arc<str>, Topic>;

/// The name under which errors speak of this transport.
pub(crate) const NAME: &str = "memory";

/// What stands between clients and the broker.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gate {
    /// Since when it is away.
    pub(crate) down: Option<SystemTime>,
    /// Publishes are held back.
    pub(crate) held: bool,
}

impl Gate {
    pub(crate) fn takes_publishes(&self) -> bool {
        self.down.is_none() && !self.held
    }
}

/// All of what changes, under one lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) topics: TopicMap,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) script: Script,
    next_member: u64,
}

/// What a source finds when it looks.
pub(crate) enum Look {
    /// There was something.
    Found,
    /// Nothing; look again when woken, or then.
    Wait(Option<Instant>),
    /// It is no member any more.
    Gone,
}

/// The broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: MemoryConfig,
    pub(crate) gate: watch::Sender<Gate>,
    state: Mutex<State>,
}

impl Broker {
    pub(crate) fn new(config: MemoryConfig) -> Self {
        let mut state = State::default();
        if let Some(topic) = config.dead_letter.clone().filter(|_| config.shape == Shape::Queue) {
            state.create(&config, topic, None);
        }
        Self { config, gate: watch::Sender::new(Gate::default()), state: Mutex::new(state) }
    }

    /// A panic elsewhere while the lock was held does not spread: every change leaves the state whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.gate.borrow().down.is_some()
    }

    /// Waits until the broker can be reached; `false` where it is still away at `deadline`.
    pub(crate) async fn up_by(&self, deadline: Instant) -> bool {
        let mut gate = self.gate.subscribe();
        tokio::time::timeout_at(deadline, gate.wait_for(|gate| gate.down.is_none())).await.is_ok()
    }

    /// A new member; returns its group, number and what wakes it.
    pub(crate) fn join(&self, group: Option<Arc<str>>, spec: SubscribeSpec, matcher: Matcher) -> Joined {
        let mut state = self.lock();
        let number = state.next_member;
        state.next_member += 1;
        let id = group.map_or(GroupId::Solo(number), GroupId::Named);
        if self.config.shape == Shape::Queue {
            matcher.names().iter().for_each(|name| state.bind(&self.config, &id, name));
        }
        let member = Member::new(spec, matcher);
        let wake = member.wake.clone();
        let group = state.groups.entry(id.clone()).or_insert_with(|| Group::new(self.config.shape));
        group.members.insert(number, member);
        if !self.is_down() {
            self.touch(&mut state, &id, Group::rebalance);
            state.groups.values().for_each(Group::wake_all);
        }
        Joined { group: id, number, wake }
    }

    /// Runs `change` on a group, after what was due on it. While the broker is away nothing of a group moves.
    pub(crate) fn touch(&self, state: &mut State, id: &GroupId, change: impl FnOnce(&mut Group, &TopicMap, Instant)) {
        let now = Instant::now();
        let State { topics, groups, .. } = state;
        let Some(group) = groups.get_mut(id) else { return };
        if !self.is_down() {
            group.tick(topics, now);
        }
        change(group, topics, now);
    }

    /// What there is for a member, into `inbox`.
    pub(crate) fn look(&self, id: &GroupId, member: u64, inbox: &mut Inbox, room: usize) -> Look {
        let (events, deliveries) = (inbox.events.len(), inbox.deliveries.len());
        let (down, mut look) = (self.is_down(), Look::Gone);
        self.touch(&mut self.lock(), id, |group, topics, now| {
            let Some(changed) = group.members.get_mut(&member).map(|member| notice(member, down)) else { return };
            inbox.events.extend(changed);
            group.fill(member, topics, inbox, if down { 0 } else { room }, now);
            look = match (inbox.events.len(), inbox.deliveries.len()) == (events, deliveries) {
                false => Look::Found,
                true if down => Look::Wait(None),
                true => Look::Wait(group.next_timer(member, now, room)),
            };
        });
        look
    }

    /// Takes verdicts of a member in.
    pub(crate) fn settle(&self, id: &GroupId, member: u64, batch: &mut Vec<Settlement>) -> Result<()> {
        let (mut settled, mut state) = (Settled::default(), self.lock());
        let can = self.config.capabilities();
        self.touch(&mut state, id, |group, _, now| {
            settled = group.settle(member, batch.drain(..), |capability| can.has(capability), now);
            if settled.frees_others {
                group.wake_all();
            }
        });
        batch.clear();
        // The other half: what has become due by these verdicts.
        self.touch(&mut state, id, |_, _, _| ());
        settled.rejected.into_iter().for_each(|item| self.dead_letter(&mut state, item));
        settled.unsupported.map_or(Ok(()), |capability| can.require(NAME, capability))
    }

    fn dead_letter(&self, state: &mut State, item: Item) {
        let Some(topic) = self.config.dead_letter.clone() else { return };
        let message = Message { topic: topic.clone(), ..item.message };
        // The topic exists since the broker does, and keeps what no group is bound to.
        state.append(&self.config, message, SystemTime::now());
        state.wake_readers(&[topic]);
    }

    /// Takes a command of a member in.
    pub(crate) fn control(&self, id: &GroupId, member: u64, command: Control) {
        let mut state = self.lock();
        self.touch(&mut state, id, |group, _, _| group.control(member, command));
        self.touch(&mut state, id, |_, _, _| ());
    }

    /// A member goes; `durable`: what it settled is committed first. Without that, as much is lost as in a crash.
    pub(crate) fn leave(&self, id: &GroupId, member: u64, durable: bool) {
        let mut state = self.lock();
        self.touch(&mut state, id, |group, topics, now| {
            if durable {
                group.commit(member);
            }
            group.leave(member, topics, now);
        });
        if matches!(id, GroupId::Solo(_)) {
            state.groups.remove(id);
        }
    }

    /// Everybody looks again, after a change of the gate.
    pub(crate) fn wake_all(&self) {
        let mut state = self.lock();
        let ids: Vec<GroupId> = state.groups.keys().cloned().collect();
        for id in ids.iter().filter(|_| !self.is_down()) {
            self.touch(&mut state, id, Group::rebalance);
        }
        state.groups.values().for_each(Group::wake_all);
    }
}

/// A member that has joined.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) group: GroupId,
    pub(crate) number: u64,
    pub(crate) wake: Arc<Notify>,
}

fn notice(member: &mut Member, down: bool) -> Option<LaneEvent> {
    match (std::mem::replace(&mut member.degraded, down), down) {
        (false, true) => Some(LaneEvent::Degraded(away())),
        (true, false) => Some(LaneEvent::Recovered),
        _ => None,
    }
}

/// `now + wait`, or so far off that it makes no difference: a configured time is never too long to add.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(wait.min(FAR)).unwrap_or(now)
}

/// The error of a broker that is away.
pub(crate) fn away() -> Error {
    Error::new(ErrorKind::Unavailable, "the memory broker is away: a fault switched it off")
        .help("`Faults::up` brings it back")
}
