//! Topics: how a message gets to the partition or the queues where it belongs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gulo_bus_core::message::Message;
use gulo_bus_core::transport::TopicSpec;
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

use super::State;
use super::group::{Group, GroupId, Member};
use super::log::{self, Partition};
use super::queue::Item;
use crate::config::{MemoryConfig, Shape};
use crate::topology::check_name;

/// A topic: its partitions in the log shape, next to nothing in the queue shape.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    pub(crate) partitions: Vec<Partition>,
    /// Where the next keyless message goes.
    turn: usize,
    /// Number of the next message; queue shape.
    next_id: u64,
    /// Messages wait here for the first group; queue shape.
    keep: bool,
    /// Waiting for the first group; queue shape.
    unrouted: VecDeque<Item>,
}

impl State {
    /// Makes a topic where there is none.
    pub(crate) fn create(&mut self, config: &MemoryConfig, name: Arc<str>, partitions: Option<u32>) {
        if self.topics.contains_key(&name) {
            return;
        }
        let count = match config.shape {
            Shape::Log => partitions.unwrap_or(config.partitions),
            Shape::Queue => 0,
        };
        let partitions = (0..count).map(|_| Partition::default()).collect();
        self.topics.insert(name, Topic { partitions, ..Topic::default() });
    }

    /// Keeps what no group reads yet, where that is asked for.
    pub(crate) fn keep(&mut self, spec: &TopicSpec) {
        if let Some(topic) = self.topics.get_mut(&spec.name) {
            topic.keep |= spec.keep;
        }
    }

    /// Groups take notice of topics that were made.
    pub(crate) fn rebalance_all(&mut self) {
        for group in self.groups.values_mut() {
            group.rebalance(&self.topics, Instant::now());
            group.wake_all();
        }
    }

    /// Makes the group's queue for a topic; the first group gets what waited there.
    pub(crate) fn bind(&mut self, config: &MemoryConfig, id: &GroupId, topic: &Arc<str>) {
        let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(config.shape));
        let queue = group.queues.entry(topic.clone()).or_default();
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.unrouted.drain(..).for_each(|item| queue.push(item, Instant::now()));
        }
    }

    /// Whether a message can be taken in, or why never; makes its topic where that is allowed.
    pub(crate) fn admit(&mut self, config: &MemoryConfig, message: &Message) -> Result<()> {
        let name = &message.topic;
        if config.create_on_publish && !self.topics.contains_key(name) {
            check_name(config.shape, name)?;
            self.create(config, name.clone(), None);
            self.rebalance_all();
        }
        let Some(topic) = self.topics.get(name) else {
            return Err(check_name(config.shape, name).err().unwrap_or_else(|| no_topic(name)));
        };
        let bound =
            || topic.keep || config.keeps(name) || self.groups.values().any(|group| group.queues.contains_key(name));
        match config.shape {
            Shape::Log => topic.admit(message),
            Shape::Queue if bound() => Ok(()),
            Shape::Queue => Err(unroutable(name)),
        }
    }

    /// Takes in a whole batch for one log, as most are; `false`, and nothing of it is taken, where each must be looked
    /// at.
    pub(crate) fn append_all(&mut self, config: &MemoryConfig, batch: &mut Vec<Message>, now: SystemTime) -> bool {
        let Some(name) = batch.first().map(|first| first.topic.clone()) else { return true };
        let same = |topic: &Arc<str>| Arc::ptr_eq(topic, &name) || *topic == name;
        let plain = |message: &Message| same(&message.topic) && message.send.partition.is_none();
        let topic = self.topics.get_mut(&name).filter(|_| config.shape == Shape::Log && batch.iter().all(plain));
        let Some(topic) = topic else { return false };
        let now = whole_milliseconds(now);
        for message in batch.iter_mut() {
            message.timestamp = Some(message.timestamp.map_or(now, whole_milliseconds));
        }
        match config.retain {
            Some(retain) => batch.iter_mut().for_each(|message| topic.append_retaining(message, None, retain)),
            None => batch.drain(..).for_each(|message| topic.append(message, None)),
        }
        batch.clear();
        true
    }

    /// Takes in a message that was [admitted](Self::admit).
    pub(crate) fn append(&mut self, config: &MemoryConfig, mut message: Message, now: SystemTime) {
        let Some(topic) = self.topics.get_mut(&message.topic) else { return };
        message.timestamp = Some(whole_milliseconds(message.timestamp.unwrap_or(now)));
        if config.shape == Shape::Log {
            let wish = std::mem::take(&mut message.send).partition;
            return match config.retain {
                Some(retain) => topic.append_retaining(&mut message, wish, retain),
                None => topic.append(message, wish),
            };
        }
        let (now, name) = (Instant::now(), message.topic.clone());
        let item = Item::new(topic.next_id, message, now);
        topic.next_id += 1;
        let queues = self.groups.values_mut().filter_map(|group| group.queues.get_mut(&name));
        if queues.map(|queue| queue.push(item.clone(), now)).count() == 0 {
            topic.unrouted.push_back(item);
        }
    }

    /// Readers of these topics look again.
    pub(crate) fn wake_readers(&self, topics: &[Arc<str>]) {
        let reads = |member: &&Member| topics.iter().any(|topic| member.matcher.matches(topic));
        let members = self.groups.values().flat_map(|group| group.members.values());
        members.filter(reads).for_each(|member| member.wake.notify_one());
    }

    /// What stands in a topic, in order: see [`Faults::messages`](crate::Faults::messages).
    pub(crate) fn messages(&self, name: &str) -> Vec<Message> {
        let Some(topic) = self.topics.get(name) else { return Vec::new() };
        let now = Instant::now();
        let held = self.groups.values().flat_map(|group| group.holds(name, now));
        let unique: BTreeMap<u64, Message> =
            held.chain(topic.unrouted.iter().cloned()).map(|item| (item.id, item.message)).collect();
        topic.partitions.iter().flat_map(Partition::iter).cloned().chain(unique.into_values()).collect()
    }
}

impl Topic {
    fn admit(&self, message: &Message) -> Result<()> {
        let count = self.partitions.len();
        match message.send.partition {
            Some(wish) if wish as usize >= count => {
                let text = format!("topic `{}` has {count} partitions, and none of number {wish}", message.topic);
                Err(Error::new(ErrorKind::Refused, text).help("they count from 0; or name none"))
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, message: Message, wish: Option<u32>) {
        if let Some(partition) = self.partition_for(&message, wish) {
            partition.append(message);
        }
    }

    fn append_retaining(&mut self, message: &mut Message, wish: Option<u32>, retain: usize) {
        if let Some(partition) = self.partition_for(message, wish) {
            partition.append_retaining(message, retain);
        }
    }

    #[inline]
    fn partition_for(&mut self, message: &Message, wish: Option<u32>) -> Option<&mut Partition> {
        let count = self.partitions.len();
        let index = match (wish, &message.key) {
            (Some(partition), _) => partition as usize,
            (None, Some(key)) => log::partition_of(key, count),
            (None, None) => {
                self.turn = (self.turn + 1) % count.max(1);
                self.turn
            }
        };
        self.partitions.get_mut(index)
    }
}

fn no_topic(name: &str) -> Error {
    Error::new(ErrorKind::Missing, format!("topic `{name}` does not exist"))
        .help("create it with `ensure`, or allow `create_on_publish`")
}

fn unroutable(name: &str) -> Error {
    Error::new(ErrorKind::Missing, format!("unroutable: no group is bound to topic `{name}`"))
        .help("bind one with `ensure`, or set `keep_unrouted`")
}

/// What brokers keep of a time.
fn whole_milliseconds(time: SystemTime) -> SystemTime {
    let whole = |since: Duration| since - Duration::from_nanos(u64::from(since.subsec_nanos() % 1_000_000));
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(time, |since| SystemTime::UNIX_EPOCH + whole(since))
}
