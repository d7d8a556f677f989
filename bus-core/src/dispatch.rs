//! Which message may begin: order per key, a bounded number at a time. Pure: it says what to run, the runner polls.
//!
//! A key is *held* from the moment one of its messages begins, or is chosen to begin next, until that message came to
//! its end, retries and waits included. What arrives for a held key queues behind it. A message that waits (for its
//! next attempt, or for its dead letter to be taken) gives its slot back and keeps its key.
//!
//! The happy path costs next to nothing: a message whose key is free ([`is_free`](Dispatcher::is_free)) is begun at
//! once, and only one that does not finish at its first poll takes its key, by [`hold`](Dispatcher::hold).

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::settle::Lane;

/// How many messages of a group are handled at a time, in one process.
///
/// ```
/// # use gulo_bus_core::bus::Concurrency;
/// let one_after_the_other = Concurrency::Sequential;
/// let many_keys = Concurrency::per_key(64);     // those of one key keep their order
/// let no_order = Concurrency::unordered(64);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// One after the other, in the order of arrival.
    Sequential,
    /// This many at a time, those of one key one after the other. Messages without a key have no order.
    PerKey(usize),
    /// This many at a time, in no order: first effects of one key may happen in any order.
    Unordered(usize),
}

impl Concurrency {
    /// Up to `handlers` at a time; messages of one key one after the other. A bus does not start with 0.
    pub const fn per_key(handlers: usize) -> Self {
        Self::PerKey(handlers)
    }

    /// Up to `handlers` at a time, order waived. A bus does not start with 0.
    pub const fn unordered(handlers: usize) -> Self {
        Self::Unordered(handlers)
    }

    /// How many at a time.
    pub(crate) const fn limit(self) -> usize {
        match self {
            Self::Sequential => 1,
            Self::PerKey(limit) | Self::Unordered(limit) => limit,
        }
    }
}

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What keeps its order: a key of one lane, or everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Order {
    All,
    Key(Lane, Bytes),
}

/// A message that was begun and did not end at once. Names it to the dispatcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(u64);

/// What is to run next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<J> {
    /// A message that begins. Its key is held for it already, under this slot.
    Begin(Slot, J),
    /// A message whose wait is over goes on.
    Resume(Slot),
}

#[derive(Debug)]
struct Held {
    lane: Lane,
    order: Option<Order>,
    /// Counts against the limit: false while it waits.
    running: bool,
}

/// See the [module](self). `J` is whatever the runner needs of a message.
#[derive(Debug)]
pub(crate) struct Dispatcher<J> {
    concurrency: Concurrency,
    running: usize,
    next_slot: u64,
    held: Map<Slot, Held>,
    /// What waits behind each held key.
    behind: Map<Order, VecDeque<(Lane, J)>>,
    /// May begin or go on as soon as there is a slot, in order.
    due: VecDeque<Due<J>>,
    /// Messages admitted and neither handed back nor ended.
    inside: usize,
}

#[derive(Debug)]
enum Due<J> {
    Begin(Lane, Slot, J),
    Resume(Lane, Slot),
}

impl<J> Due<J> {
    fn lane(&self) -> Lane {
        match self {
            Self::Begin(lane, ..) | Self::Resume(lane, _) => *lane,
        }
    }
}

impl<J> Dispatcher<J> {
    pub(crate) fn new(concurrency: Concurrency) -> Self {
        Self {
            concurrency,
            running: 0,
            next_slot: 0,
            held: Map::default(),
            behind: Map::default(),
            due: VecDeque::new(),
            inside: 0,
        }
    }

    /// Whether a message that arrives may begin at this moment. The caller polls it then, and either is done with it or
    /// calls [`hold`](Self::hold), before anything else is asked of the dispatcher. Else it goes to
    /// [`enqueue`](Self::enqueue).
    pub(crate) fn is_free(&self, lane: Lane, key: Option<&Bytes>) -> bool {
        let held = |order| self.behind.contains_key(&order);
        self.running < self.concurrency.limit()
            && self.due.is_empty()
            && (self.behind.is_empty() || !self.order(lane, key).is_some_and(held))
    }

    /// Takes in a message that may not begin at this moment.
    pub(crate) fn enqueue(&mut self, lane: Lane, key: Option<&Bytes>, job: J) {
        self.inside += 1;
        let order = self.order(lane, key);
        if let Some(queue) = order.as_ref().and_then(|order| self.behind.get_mut(order)) {
            return queue.push_back((lane, job));
        }
        let slot = self.take_key(lane, order);
        self.due.push_back(Due::Begin(lane, slot, job));
    }

    /// The message just begun did not end at its first poll: it holds its key and a slot.
    pub(crate) fn hold(&mut self, lane: Lane, key: Option<&Bytes>) -> Slot {
        let order = self.order(lane, key);
        let slot = self.take_key(lane, order);
        self.inside += 1;
        self.start(slot);
        slot
    }

    /// What may begin or go on now.
    pub(crate) fn next(&mut self) -> Option<Next<J>> {
        if self.running >= self.concurrency.limit() {
            return None;
        }
        let due = self.due.pop_front()?;
        Some(match due {
            Due::Begin(_, slot, job) => {
                self.start(slot);
                Next::Begin(slot, job)
            }
            Due::Resume(_, slot) => {
                self.start(slot);
                Next::Resume(slot)
            }
        })
    }

    /// It came to its end: its key goes to the message behind it.
    pub(crate) fn finish(&mut self, slot: Slot) {
        let Some(held) = self.held.remove(&slot) else { return };
        self.inside -= 1;
        self.running -= usize::from(held.running);
        let Some(order) = held.order else { return };
        let Some(queue) = self.behind.get_mut(&order) else { return };
        match queue.pop_front() {
            None => {
                self.behind.remove(&order);
            }
            Some((lane, job)) => {
                let next = self.new_slot();
                self.held.insert(next, Held { lane, order: Some(order), running: false });
                self.due.push_back(Due::Begin(lane, next, job));
            }
        }
    }

    /// It waits: its slot is free, its key is not. One after the other means that nothing else begins either.
    pub(crate) fn park(&mut self, slot: Slot) {
        if let Some(held) = self.held.get_mut(&slot)
            && std::mem::take(&mut held.running)
        {
            self.running -= 1;
        }
    }

    /// Its wait is over: it goes on when there is a slot, in turn with what has not begun. Before it, keys that fail
    /// for ever would leave nothing to the others.
    pub(crate) fn unpark(&mut self, slot: Slot) {
        if let Some(held) = self.held.get(&slot)
            && !held.running
        {
            self.due.push_back(Due::Resume(held.lane, slot));
        }
    }

    /// Forgets what has not begun of these lanes. Returns how many messages that were.
    pub(crate) fn forget_unbegun(&mut self, of: impl Fn(Lane) -> bool) -> usize {
        let before = self.inside;
        for queue in self.behind.values_mut() {
            let length = queue.len();
            queue.retain(|(lane, _)| !of(*lane));
            self.inside -= length - queue.len();
        }
        let begin = |due: &Due<J>| matches!(due, Due::Begin(..)) && of(due.lane());
        let chosen: Vec<Slot> = self.due.iter().filter(|due| begin(due)).map(Due::slot).collect();
        self.due.retain(|due| !begin(due));
        // Each held a key, which goes to a message of another lane, if any waits for it.
        chosen.into_iter().for_each(|slot| self.finish(slot));
        before - self.inside
    }

    /// Drops all of these lanes: what has not begun is gone, and the slots of what has are returned, ended.
    pub(crate) fn drop_lanes(&mut self, gone: impl Fn(Lane) -> bool) -> Vec<Slot> {
        self.forget_unbegun(&gone);
        self.due.retain(|due| !gone(due.lane()));
        let ended: Vec<Slot> = self.held.iter().filter(|(_, held)| gone(held.lane)).map(|(slot, _)| *slot).collect();
        ended.iter().for_each(|slot| self.finish(*slot));
        ended
    }

    /// Whether anything of the lane has begun and not ended.
    pub(crate) fn is_busy(&self, lane: Lane) -> bool {
        self.held.values().any(|held| held.lane == lane)
    }

    /// Whether something could begin or go on at once.
    pub(crate) fn is_ready(&self) -> bool {
        !self.due.is_empty() && self.running < self.concurrency.limit()
    }

    /// What has not begun, in no order: for reports, and not for every message.
    pub(crate) fn unbegun(&self) -> impl Iterator<Item = &J> {
        let chosen = self.due.iter().filter_map(|due| match due {
            Due::Begin(_, _, job) => Some(job),
            Due::Resume(..) => None,
        });
        self.behind.values().flatten().map(|(_, job)| job).chain(chosen)
    }

    /// Messages inside: running, waiting and queued.
    pub(crate) fn len(&self) -> usize {
        self.inside
    }

    fn order(&self, lane: Lane, key: Option<&Bytes>) -> Option<Order> {
        match (self.concurrency, key) {
            (Concurrency::Sequential, _) => Some(Order::All),
            (Concurrency::PerKey(_), Some(key)) => Some(Order::Key(lane, key.clone())),
            (Concurrency::PerKey(_), None) | (Concurrency::Unordered(_), _) => None,
        }
    }

    fn take_key(&mut self, lane: Lane, order: Option<Order>) -> Slot {
        let slot = self.new_slot();
        if let Some(order) = &order {
            self.behind.insert(order.clone(), VecDeque::new());
        }
        self.held.insert(slot, Held { lane, order, running: false });
        slot
    }

    fn new_slot(&mut self) -> Slot {
        self.next_slot += 1;
        Slot(self.next_slot)
    }

    fn start(&mut self, slot: Slot) {
        if let Some(held) = self.held.get_mut(&slot) {
            held.running = true;
            self.running += 1;
        }
    }
}

impl<J> Due<J> {
    fn slot(&self) -> Slot {
        match self {
            Self::Begin(_, slot, _) | Self::Resume(_, slot) => *slot,
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod together;
