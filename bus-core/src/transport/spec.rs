//! What is asked of a transport: topologies and subscriptions, as data.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The topics and groups that an application needs.
///
/// ```
/// # use gulo_bus_core::transport::{GroupSpec, TopicSpec, Topics, Topology, TopologyMode};
/// let topology = Topology {
///     mode: TopologyMode::Create,
///     topics: vec![TopicSpec { partitions: Some(12), ..TopicSpec::new("users") }],
///     groups: vec![GroupSpec { group: "email".into(), topics: Topics::Named(vec!["users".into()]) }],
/// };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Whether what is missing is made.
    pub mode: TopologyMode,
    /// Topics published to or read from, dead-letter topics included.
    pub topics: Vec<TopicSpec>,
    /// Who reads what. Brokers with queues bind them here, so that nothing published after `ensure` passes a group by.
    pub groups: Vec<GroupSpec>,
}

/// What to do about what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TopologyMode {
    /// Create it.
    #[default]
    Create,
    /// Only check; all that is missing is named in one error.
    Check,
}

/// A topic as it shall be, where it has to be created. One that exists is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions; `None` is the broker's default.
    pub partitions: Option<u32>,
    /// How many replicas; `None` is the broker's default.
    pub replication: Option<u16>,
    /// Whether it keeps messages that no group reads yet, as a dead-letter topic must. A log keeps them anyway; a
    /// broker of queues, on which a message without a queue is refused, makes one for it.
    pub keep: bool,
    /// The longest time ahead for which messages are published to it with a
    /// [delivery time](crate::message::SendOptions::deliver_at), where they are: what that takes is then made, or looked for, with
    /// the topic, and not with the first of them; and what would be too long is refused then.
    pub delayed: Option<Duration>,
    /// Settings of the topic in the broker's own words ([`retention.ms`], ..).
    ///
    /// [`retention.ms`]: https://kafka.apache.org/documentation/#topicconfigs
    pub settings: Vec<(String, String)>,
}

impl TopicSpec {
    /// A topic with the broker's defaults.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            partitions: None,
            replication: None,
            keep: false,
            delayed: None,
            settings: Vec::new(),
        }
    }
}

/// A group and what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpec {
    /// The group.
    pub group: Arc<str>,
    /// Its topics.
    pub topics: Topics,
}

/// Which topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// These.
    Named(Vec<Arc<str>>),
    /// All that match, those made later included: a regular expression over the whole name. Needs `patterns`.
    Pattern(String),
}

/// As what one reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A member of this group: members share the lanes, what is settled is remembered for the group.
    Group(Arc<str>),
    /// Alone: every lane, nothing remembered. Needs `solo`.
    Solo,
}

/// A place in a lane's log.
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// # use gulo_bus_core::bus::Subscription;
/// # use gulo_bus_core::transport::Position;
/// let only_new = Subscription::group("alerts").start(Position::Latest);
/// let since_yesterday = Position::At(SystemTime::now() - Duration::from_secs(24 * 3600)); // needs `history`
/// let repair = Subscription::group("repair").start(since_yesterday);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Where the group stands.
    Committed,
    /// The oldest message there is.
    Earliest,
    /// Behind the newest: only what comes from now on.
    Latest,
    /// The first message with this timestamp or a later one; the end where there is none.
    At(SystemTime),
    /// This offset.
    Offset(i64),
}

/// When verdicts are made durable, whichever comes first. Both are the bound of what a crash repeats, together with
/// the window.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_bus_core::bus::Subscription;
/// # use gulo_bus_core::transport::CommitPolicy;
/// let often = CommitPolicy { every: 100, interval: Duration::from_millis(200) };
/// let payments = Subscription::group("payments").commit(often);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitPolicy {
    /// After this many settled messages.
    pub every: usize,
    /// After this time.
    pub interval: Duration,
}

impl Default for CommitPolicy {
    /// 5,000 messages or one second.
    fn default() -> Self {
        Self { every: 5000, interval: Duration::from_secs(1) }
    }
}

/// A subscription, as the transport sees it.
///
/// ```
/// # use gulo_bus_core::transport::{Position, SubscribeSpec};
/// let member = SubscribeSpec::group("email", ["users"]);
/// let reader = SubscribeSpec { start: Position::Latest, ..SubscribeSpec::solo(["users"]) };
/// assert_eq!((member.window, reader.start), (2000, Position::Latest));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeSpec {
    /// What to read.
    pub topics: Topics,
    /// As what.
    pub member: Member,
    /// Where to begin: a group where it has nothing committed yet, a solo reader always. For a group `Committed` means
    /// the same as `Earliest`; a solo reader has nothing committed and is refused with it.
    pub start: Position,
    /// Deliveries of one lane out at a time, from its oldest unsettled one on.
    pub window: usize,
    /// When verdicts become durable.
    pub commit: CommitPolicy,
    /// How long lanes that move to another member may take to drain.
    pub drain: Duration,
}

impl SubscribeSpec {
    /// `member` reads `topics` from the beginning, with a window of 2,000 deliveries a lane and 10 s to drain.
    pub fn new(topics: Topics, member: Member) -> Self {
        Self {
            topics,
            member,
            start: Position::Earliest,
            window: 2000,
            commit: CommitPolicy::default(),
            drain: Duration::from_secs(10),
        }
    }

    /// The named topics, as a member of `group`.
    pub fn group<T: Into<Arc<str>>>(group: impl Into<Arc<str>>, topics: impl IntoIterator<Item = T>) -> Self {
        Self::new(Topics::Named(topics.into_iter().map(Into::into).collect()), Member::Group(group.into()))
    }

    /// The named topics, alone.
    pub fn solo<T: Into<Arc<str>>>(topics: impl IntoIterator<Item = T>) -> Self {
        Self::new(Topics::Named(topics.into_iter().map(Into::into).collect()), Member::Solo)
    }
}
