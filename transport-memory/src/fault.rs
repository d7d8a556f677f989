//! Makes the broker misbehave, and looks into it: for tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gulo_bus_core::message::{Message, Origin};
use gulo_bus_core::transport::Outcome;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::broker::group::{Group, GroupId};

/// Switches of a [`MemoryTransport`](crate::MemoryTransport)'s broker, and windows into it; all clones share them. None
/// of them waits.
///
/// ```
/// # use gulo_bus_core::message::Message;
/// # use gulo_bus_core::transport::{Outcome, TopicSpec, Topology, TopologyMode, Transport};
/// # use gulo_transport_memory::MemoryTransport;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = MemoryTransport::new();
/// # let topics = vec![TopicSpec::new("users")];
/// # transport.ensure(&Topology { mode: TopologyMode::Create, topics, groups: Vec::new() }).await?;
/// let publisher = transport.publisher().await?;
/// transport.faults().lose_acknowledgements(1);
/// let unsent = publisher.publish(vec![Message::new("users", "x")]).await.unwrap_err();
/// assert_eq!(unsent.failed[0].outcome, Outcome::Unknown);        // it may have arrived,
/// assert_eq!(transport.faults().messages("users").len(), 1);     // and it has
///
/// transport.faults().down();                                     // for 30 s and more of the paused clock
/// let unsent = publisher.publish(vec![Message::new("users", "y")]).await.unwrap_err();
/// assert_eq!(unsent.failed[0].outcome, Outcome::NotSent);
/// transport.faults().up();
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
///
/// There are more: [`refuse`](Self::refuse), [`fail`](Self::fail), the same for one topic, and
/// [`hold_publishes`](Self::hold_publishes); for readers [`lose`](Self::lose), [`crash`](Self::crash) and
/// [`forget_before`](Self::forget_before).
///
/// ```
/// # use gulo_bus_core::message::Message;
/// # use gulo_bus_core::transport::{
/// #     Inbox, LaneEvent, Outcome, SubscribeSpec, TopicSpec, Topology, TopologyMode, Transport,
/// # };
/// # use gulo_transport_memory::MemoryTransport;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let transport = MemoryTransport::new();
/// # let topics = vec![TopicSpec::new("users"), TopicSpec::new("orders")];
/// # transport.ensure(&Topology { mode: TopologyMode::Create, topics, groups: Vec::new() }).await?;
/// let (publisher, faults) = (transport.publisher().await?, transport.faults());
/// faults.refuse_on("orders", 1);
/// let batch = vec![Message::new("users", "x"), Message::new("orders", "y")];
/// let unsent = publisher.publish(batch).await.unwrap_err();
/// assert_eq!((unsent.failed.len(), unsent.failed[0].outcome), (1, Outcome::Refused));
///
/// let mut source = transport.subscribe(SubscribeSpec::group("email", ["users"])).await?;
/// let mut inbox = Inbox::default();
/// while inbox.deliveries.is_empty() {
///     source.recv(&mut inbox, 1).await?;
/// }
/// inbox.events.clear();
/// faults.lose("email");                                           // as where a session expires
/// source.recv(&mut inbox, 0).await?;
/// assert!(matches!(inbox.events[0], LaneEvent::Lost(_)));
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
///
/// What a group has done and what it has not:
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::message::Message;
/// # use gulo_bus_core::settle::Settlement;
/// # use gulo_bus_core::transport::{Inbox, SubscribeSpec, TopicSpec, Topology, TopologyMode, Transport};
/// # use gulo_transport_memory::MemoryTransport;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let transport = MemoryTransport::new();
/// # let topics = vec![TopicSpec { partitions: Some(1), ..TopicSpec::new("users") }];
/// # transport.ensure(&Topology { mode: TopologyMode::Create, topics, groups: Vec::new() }).await?;
/// let both = vec![Message::new("users", "x"), Message::new("users", "y")];
/// transport.publisher().await?.publish(both).await?;
/// let mut source = transport.subscribe(SubscribeSpec::group("email", ["users"])).await?;
/// let mut inbox = Inbox::default();
/// while inbox.deliveries.len() < 2 {
///     source.recv(&mut inbox, 2).await?;
/// }
/// source.settle(&mut vec![Settlement::done(inbox.deliveries[0].token)])?;
/// let faults = transport.faults();
/// assert_eq!((faults.members("email"), faults.unsettled("email").len()), (1, 1));
///
/// source.close(tokio::time::Instant::now() + Duration::from_secs(1)).await?; // makes it durable
/// assert_eq!((faults.committed("email", "users", 0), faults.lag("email")), (Some(1), 1));
/// assert!(!faults.is_settled(["email"]));
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Faults {
    broker: Arc<Broker>,
}

/// What publishes are going to meet.
#[derive(Debug, Default)]
pub(crate) struct Script {
    rules: Vec<Rule>,
    pub(crate) delay: Duration,
}

#[derive(Debug)]
struct Rule {
    fate: Outcome,
    topic: Option<Arc<str>>,
    left: usize,
}

impl Script {
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The fate of a message for `topic`, by the oldest rule that fits; that rule is then used up by one.
    pub(crate) fn fate(&mut self, topic: &str) -> Option<Outcome> {
        let fits = |rule: &Rule| rule.topic.as_ref().is_none_or(|only| **only == *topic);
        let index = self.rules.iter().position(fits)?;
        let rule = self.rules.get_mut(index)?;
        let fate = rule.fate;
        rule.left -= 1;
        if rule.left == 0 {
            self.rules.remove(index);
        }
        Some(fate)
    }
}

impl Faults {
    pub(crate) fn new(broker: Arc<Broker>) -> Self {
        Self { broker }
    }

    /// The next `count` messages published, to any topic, are refused.
    pub fn refuse(&self, count: usize) {
        self.rule(Outcome::Refused, None, count);
    }

    /// The next `count` messages published to `topic` are refused.
    pub fn refuse_on(&self, topic: impl Into<Arc<str>>, count: usize) {
        self.rule(Outcome::Refused, Some(topic.into()), count);
    }

    /// The next `count` messages published, to any topic, do not leave: *not sent*.
    pub fn fail(&self, count: usize) {
        self.rule(Outcome::NotSent, None, count);
    }

    /// The next `count` messages published to `topic` do not leave: *not sent*.
    pub fn fail_on(&self, topic: impl Into<Arc<str>>, count: usize) {
        self.rule(Outcome::NotSent, Some(topic.into()), count);
    }

    /// The next `count` messages published, to any topic, arrive, but their publisher hears nothing of it: *unknown*,
    /// at once.
    pub fn lose_acknowledgements(&self, count: usize) {
        self.rule(Outcome::Unknown, None, count);
    }

    /// The next `count` messages published to `topic` arrive, but their publisher hears nothing of it.
    pub fn lose_acknowledgements_on(&self, topic: impl Into<Arc<str>>, count: usize) {
        self.rule(Outcome::Unknown, Some(topic.into()), count);
    }

    fn rule(&self, fate: Outcome, topic: Option<Arc<str>>, left: usize) {
        if left > 0 {
            self.broker.lock().script.rules.push(Rule { fate, topic, left });
        }
    }

    /// Every publish from now on takes this long before the broker has it; zero ends that.
    pub fn delay_publishes(&self, delay: Duration) {
        self.broker.lock().script.delay = delay;
    }

    /// Publishes wait, up to their time-out, until [`release_publishes`](Self::release_publishes).
    pub fn hold_publishes(&self) {
        self.broker.gate.send_modify(|gate| gate.held = true);
    }

    /// Publishes that wait go on.
    pub fn release_publishes(&self) {
        self.broker.gate.send_modify(|gate| gate.held = false);
    }

    /// The broker goes away: publishes wait up to their time-out and fail as *not sent*, sources are degraded, groups
    /// stand still, verdicts do not become durable, a close ends at its deadline.
    pub fn down(&self) {
        self.broker.gate.send_modify(|gate| gate.down = gate.down.or_else(|| Some(SystemTime::now())));
        self.broker.wake_all();
    }

    /// The broker is back.
    pub fn up(&self) {
        self.broker.gate.send_modify(|gate| gate.down = None);
        self.broker.wake_all();
    }

    /// Takes all lanes of a group from their members without a hand-over. They come back under new epochs with what
    /// was not durably settled: verdicts that were not committed yet are lost, as they are when a session expires.
    pub fn lose(&self, group: &str) {
        self.on(group, |group, broker| broker_lose(group, broker, |_, _| true));
    }

    /// As [`lose`](Self::lose), for one partition of a topic; in the queue shape for the queue of the topic.
    pub fn lose_lane(&self, group: &str, topic: &str, partition: u32) {
        self.on(group, |group, broker| broker_lose(group, broker, |name, index| name == topic && index == partition));
    }

    /// All members of a group die at once: what they settled and what is not durable yet is lost, and their sources
    /// fail at the next call. (A source that is merely dropped dies in the same way.)
    pub fn crash(&self, group: &str) {
        self.on(group, |id, broker| {
            broker.touch(&mut broker.lock(), id, |group, topics, now| {
                let members: Vec<u64> = group.members.keys().copied().collect();
                members.into_iter().for_each(|member| group.leave(member, topics, now));
            });
        });
    }

    /// Forgets what stands before `offset` in a partition, as retention does; log shape.
    pub fn forget_before(&self, topic: &str, partition: u32, offset: i64) {
        let mut state = self.broker.lock();
        let log = state.topics.get_mut(topic).and_then(|topic| topic.partitions.get_mut(partition as usize));
        if let Some(log) = log {
            log.forget_before(offset);
        }
        state.wake_readers(&[topic.into()]);
    }

    fn on(&self, group: &str, change: impl FnOnce(&GroupId, &Broker)) {
        change(&GroupId::Named(group.into()), &self.broker);
    }

    /// What stands in `topic`. Log shape: all that is retained, partition after partition. Queue shape: what any
    /// group's queue still holds, out or not, each message once. In order of publishing; empty where there is no such
    /// topic.
    pub fn messages(&self, topic: &str) -> Vec<Message> {
        self.settled_up();
        self.broker.lock().messages(topic)
    }

    /// The offset from which a group would go on in a partition, where it has ever committed one; log shape.
    pub fn committed(&self, group: &str, topic: &str, partition: u32) -> Option<i64> {
        self.settled_up();
        let state = self.broker.lock();
        let group = state.groups.get(&GroupId::Named(group.into()))?;
        group.places.get(&(topic.into(), partition))?.committed
    }

    /// Messages that a group has not durably settled, those out with its members included; 0 where there is no such
    /// group.
    pub fn lag(&self, group: &str) -> u64 {
        self.settled_up();
        let state = self.broker.lock();
        let group = state.groups.get(&GroupId::Named(group.into()));
        group.map_or(0, |group| group.lag(&state.topics, Instant::now()))
    }

    /// Messages that a group has still to deal with: not handed out yet, or handed out and not settled; with where they
    /// stand, in the order of each log or queue. Unlike [`lag`](Self::lag) it does not wait for a commit: what is
    /// settled is not in it, durable or not, unless a crash undoes that.
    pub fn unsettled(&self, group: &str) -> Vec<(Origin, Message)> {
        let state = self.broker.lock();
        let group = state.groups.get(&GroupId::Named(group.into()));
        group.map_or_else(Vec::new, |group| group.unsettled(&state.topics, Instant::now()))
    }

    /// Whether there is nothing [`unsettled`](Self::unsettled) in any of `groups`, at one and the same moment: what a
    /// handler publishes before it ends cannot slip through between two looks.
    pub fn is_settled<'a>(&self, groups: impl IntoIterator<Item = &'a str>) -> bool {
        let (state, now) = (self.broker.lock(), Instant::now());
        let mut known = groups.into_iter().filter_map(|name| state.groups.get(&GroupId::Named(name.into())));
        known.all(|group| group.is_settled(&state.topics, now))
    }

    /// Members that a group has now.
    pub fn members(&self, group: &str) -> usize {
        self.broker.lock().groups.get(&GroupId::Named(group.into())).map_or(0, |group| group.members.len())
    }

    /// Lets what is due become durable before anyone looks.
    fn settled_up(&self) {
        let mut state = self.broker.lock();
        let groups: Vec<GroupId> = state.groups.keys().cloned().collect();
        groups.iter().for_each(|id| self.broker.touch(&mut state, id, |_, _, _| ()));
    }
}

fn broker_lose(id: &GroupId, broker: &Broker, which: impl Fn(&str, u32) -> bool) {
    broker.touch(&mut broker.lock(), id, |group: &mut Group, topics, now| {
        group.lose(|(topic, partition)| which(topic, *partition), topics, now);
    });
}
