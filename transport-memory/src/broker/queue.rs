//! The queue shape: a group's queue for one topic, and what one member has out of it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::SystemTime;

use bytes::Bytes;
use gulo_bus_core::message::Message;
use tokio::time::Instant;

use crate::broker::later;

/// A message in a queue.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its place in the order of publishing, among all of its topic.
    pub(crate) id: u64,
    pub(crate) message: Message,
    pub(crate) redelivered: u32,
    not_before: Option<Instant>,
    expires_at: Option<Instant>,
}

impl Item {
    /// Turns the sender's wishes into moments; a received message carries none.
    pub(crate) fn new(id: u64, mut message: Message, now: Instant) -> Self {
        let wishes = std::mem::take(&mut message.send);
        let wait = |at: SystemTime| at.duration_since(SystemTime::now()).ok();
        Self {
            id,
            message,
            redelivered: 0,
            not_before: wishes.deliver_at.and_then(wait).map(|wait| later(now, wait)),
            expires_at: wishes.expires.map(|expires| later(now, expires)),
        }
    }

    fn expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A group's queue. What is out with members is not in here, but its keys are.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    ready: BTreeMap<u64, Item>,
    delayed: BTreeMap<(Instant, u64), Item>,
    /// Which member has messages of a key out, and how many: no other one gets a message of that key meanwhile, so
    /// that order per key holds among competing members.
    held: HashMap<Bytes, (u64, usize)>,
}

impl Queue {
    /// Puts an item at its place by order of publishing; where its time has not come, that is when it comes.
    pub(crate) fn push(&mut self, item: Item, now: Instant) {
        match item.not_before {
            Some(at) if at > now => drop(self.delayed.insert((at, item.id), item)),
            _ => drop(self.ready.insert(item.id, item)),
        }
    }

    /// Takes out what `member` may have now, at most `max`; drops what has expired.
    pub(crate) fn take(&mut self, member: u64, max: usize, now: Instant) -> Vec<Item> {
        self.promote(now);
        let (mut taken, mut expired) = (Vec::new(), Vec::new());
        for item in self.ready.values() {
            if taken.len() >= max {
                break;
            }
            if item.expired(now) {
                expired.push(item.id);
            } else if hold(&mut self.held, item, member) {
                taken.push(item.id);
            }
        }
        expired.iter().for_each(|id| drop(self.ready.remove(id)));
        taken.iter().filter_map(|id| self.ready.remove(id)).collect()
    }

    fn promote(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let item = entry.remove();
            self.ready.insert(item.id, item);
        }
    }

    /// An item that was out is so no more. Returns whether its key is free for others now.
    pub(crate) fn let_go(&mut self, item: &Item) -> bool {
        let Some(key) = &item.message.key else { return false };
        let Some((_, count)) = self.held.get_mut(key) else { return false };
        *count = count.saturating_sub(1);
        let free = *count == 0;
        if free {
            self.held.remove(key);
        }
        free
    }

    /// Puts back at its old place what was out and not settled.
    pub(crate) fn give_back(&mut self, item: Item) {
        self.let_go(&item);
        self.put_back(item);
    }

    /// As [`give_back`](Self::give_back), for an item that had been settled, its key let go then.
    pub(crate) fn put_back(&mut self, mut item: Item) {
        item.redelivered = item.redelivered.saturating_add(1);
        self.ready.insert(item.id, item);
    }

    /// When the next delayed item becomes ready.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// All items waiting, delayed ones too, that have not expired.
    pub(crate) fn waiting(&self, now: Instant) -> impl Iterator<Item = &Item> {
        self.ready.values().chain(self.delayed.values()).filter(move |item| !item.expired(now))
    }
}

/// Holds the key of `item` for `member`; not where another one has it.
fn hold(held: &mut HashMap<Bytes, (u64, usize)>, item: &Item, member: u64) -> bool {
    let Some(key) = &item.message.key else { return true };
    let (holder, count) = held.entry(key.clone()).or_insert((member, 0));
    let ours = *holder == member;
    *count += usize::from(ours);
    ours
}

/// What one lane has out of a queue.
#[derive(Debug, Default)]
pub(crate) struct QueueFeed {
    /// Number of the front of `out`.
    first: u64,
    /// From the oldest unsettled delivery on; `None` where it is settled.
    out: VecDeque<Option<Item>>,
    /// Done, and not yet durable: a crash brings them back.
    pub(crate) done: Vec<Item>,
}

impl QueueFeed {
    /// Deliveries from the oldest unsettled one on.
    pub(crate) fn span(&self) -> usize {
        self.out.len()
    }

    /// Takes in a delivery; returns its number.
    pub(crate) fn arrive(&mut self, item: Item) -> u64 {
        self.out.push_back(Some(item));
        self.first + self.out.len() as u64 - 1
    }

    /// Takes out the delivery of `seq`, unless it was taken before or never was.
    pub(crate) fn finish(&mut self, seq: u64) -> Option<Item> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        let item = self.out.get_mut(index)?.take();
        while let Some(None) = self.out.front() {
            self.out.pop_front();
            self.first += 1;
        }
        item
    }

    /// What is out and not settled.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = &Item> {
        self.out.iter().flatten()
    }

    /// Ends the lane: what is unsettled, and what is done but not durable.
    pub(crate) fn dissolve(self) -> (impl Iterator<Item = Item>, Vec<Item>) {
        (self.out.into_iter().flatten(), self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: u64, key: &'static str) -> Item {
        Item::new(id, Message::new("t", "p").key(key), Instant::now())
    }

    fn ids(items: &[Item]) -> Vec<u64> {
        items.iter().map(|item| item.id).collect()
    }

    #[test]
    fn a_key_that_is_out_with_one_member_is_not_handed_to_another() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (id, key) in [(0, "a"), (1, "a"), (2, "b")] {
            queue.push(item(id, key), now);
        }
        let first = queue.take(1, 1, now);
        assert_eq!(ids(&first), [0]);
        assert_eq!(ids(&queue.take(2, 9, now)), [2]);
        assert!(queue.let_go(&first[0]));
        assert_eq!(ids(&queue.take(2, 9, now)), [1]);
    }

    #[test]
    fn what_comes_back_stands_at_its_old_place() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        (0..3).for_each(|id| queue.push(item(id, "a"), now));
        let out = queue.take(1, 2, now);
        out.into_iter().rev().for_each(|item| queue.give_back(item));
        let again = queue.take(2, 9, now);
        assert_eq!(ids(&again), [0, 1, 2]);
        assert_eq!(again.iter().map(|item| item.redelivered).collect::<Vec<_>>(), [1, 1, 0]);
    }

    #[test]
    fn a_number_finishes_once() {
        let mut feed = QueueFeed::default();
        assert_eq!((feed.arrive(item(7, "a")), feed.arrive(item(9, "a"))), (0, 1));
        assert_eq!(feed.finish(1).map(|item| item.id), Some(9));
        assert_eq!(feed.span(), 2);
        assert!(feed.finish(1).is_none() && feed.finish(u64::MAX).is_none());
        assert_eq!(feed.finish(0).map(|item| item.id), Some(7));
        assert_eq!(feed.span(), 0);
        assert!(feed.finish(0).is_none());
    }
}
