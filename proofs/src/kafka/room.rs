//! Where a scenario is played: a topic, a group and a ledger of its own, a load, members, and a watch from outside.

mod end;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gulo::dead_letter;
use gulo::prelude::*;
use gulo::transport::{TopicSpec, Topology, TopologyMode, Transport};
use tokio::time::sleep;

use super::cluster;
use super::traffic::{Pace, Sent, Traffic};
use super::verdict::Evidence;
use super::watch::Watch;
use crate::eye::Eye;
use crate::ledger::{Entry, Kind, Reader, Writer};
use crate::member::{self, Member};
use crate::node::Options;
use crate::{Trouble, now};

const LOOK_AGAIN: Duration = Duration::from_millis(30);
/// For what must come, if it comes at all.
const PATIENCE: Duration = Duration::from_secs(40);

/// Members: a killed one keeps its partitions so long.
pub(super) const SESSION: Duration = Duration::from_secs(3);
pub(super) const AT_A_TIME: usize = 16;
pub(super) const COMMIT_EVERY: usize = 200;
pub(super) const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// What a crash may repeat, as promised: what was finished since the last commit, and what was in work.
pub(super) const CRASH: usize = COMMIT_EVERY + AT_A_TIME;

/// How a room is furnished.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) partitions: u32,
    /// There may be so many later.
    pub(super) most_partitions: u32,
    pub(super) settings: Vec<(&'static str, &'static str)>,
    pub(super) letter_settings: Vec<(&'static str, &'static str)>,
    pub(super) pace: Pace,
    /// Where the publisher finds the brokers, where that is not where all do.
    pub(super) publisher: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            partitions: 6,
            most_partitions: 6,
            settings: Vec::new(),
            letter_settings: Vec::new(),
            pace: Pace::default(),
            publisher: None,
        }
    }
}

pub(super) struct Room {
    pub(super) name: String,
    pub(super) servers: String,
    pub(super) eye: Eye,
    pub(super) topic: Arc<str>,
    pub(super) group: String,
    pub(super) letters: Arc<str>,
    pub(super) traffic: Traffic,
    folder: PathBuf,
    marks: Writer,
    reader: Reader,
    watch: Watch,
    /// When the last fault was over.
    healed: u64,
    began: u64,
    /// Every stop that was asked for was in peace.
    clean: bool,
    topics: Vec<TopicSpec>,
}

pub(super) fn options() -> Options {
    Options {
        session: SESSION,
        at_a_time: AT_A_TIME,
        commit_every: COMMIT_EVERY,
        commit_interval: COMMIT_INTERVAL,
        ..Options::default()
    }
}

impl Room {
    pub(super) async fn open(parent: &Path, servers: &str, name: &str, setup: Setup) -> Result<Self, Trouble> {
        let topic: Arc<str> = format!("{name}-{:x}", now()).into();
        let (group, folder, eye) = (format!("{topic}-group"), parent.join(name), Eye::new(servers));
        let letters = dead_letter::topic_name(&topic, &group);
        let owned = |settings: &[(&str, &str)]| settings.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        let topics = vec![
            TopicSpec {
                partitions: Some(setup.partitions),
                settings: owned(&setup.settings),
                ..TopicSpec::new(topic.clone())
            },
            TopicSpec { settings: owned(&setup.letter_settings), ..TopicSpec::new(letters.clone()) },
        ];
        make(servers, &topics).await?;
        let publisher = setup.publisher.as_deref().unwrap_or(servers);
        let publisher = KafkaTransport::new(KafkaConfig::new(publisher)).publisher().await?;
        std::fs::create_dir_all(&folder)?;
        let ledger = member::ledger(&folder);
        Ok(Self {
            name: name.into(),
            servers: servers.into(),
            traffic: Traffic::new(publisher, topic.clone(), setup.pace),
            marks: Writer::open(&ledger)?,
            reader: Reader::open(&ledger)?,
            watch: Watch::begin(&eye, (&topic, &group, setup.most_partitions), &ledger)?,
            eye,
            topic,
            group,
            letters,
            folder,
            healed: now(),
            began: now(),
            clean: true,
            topics,
        })
    }

    /// Makes its topics again, those that are missing.
    pub(super) async fn make_topics(&self) -> Result<(), Trouble> {
        make(&self.servers, &self.topics).await
    }

    /// The same while the old one is still being deleted.
    pub(super) async fn make_topics_until_there(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A topic that is on its way out passes for one that is there.
            self.make_topics().await?;
            sleep(LOOK_AGAIN).await;
            let empty = self.eye.ends(&self.topic).is_ok_and(|ends| ends.values().all(|end| *end == 0));
            if empty {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err("the topic was not made again".into());
            }
        }
    }

    /// One that knows the topic as it is now.
    pub(super) async fn new_publisher(&mut self) -> Result<(), Trouble> {
        self.traffic.publisher = KafkaTransport::new(KafkaConfig::new(&self.servers)).publisher().await?;
        Ok(())
    }

    // --- members

    pub(super) fn member(&self) -> Result<Member, Trouble> {
        self.member_with(&options())
    }

    pub(super) fn member_with(&self, options: &Options) -> Result<Member, Trouble> {
        self.member_at(options, &self.servers)
    }

    pub(super) fn member_at(&self, options: &Options, servers: &str) -> Result<Member, Trouble> {
        Member::start(&self.folder, &self.topic, &self.group, options, Some(servers))
    }

    pub(super) fn kill(&self, member: Member) -> Result<(), Trouble> {
        let pid = member.pid();
        member.kill()?;
        Ok(self.marks.mark(Kind::Gone, pid)?)
    }

    /// Asks it to stop; where it does not do so in peace, the row says so.
    pub(super) fn stop(&mut self, member: Member) -> Result<(), Trouble> {
        let pid = member.pid();
        self.clean &= tokio::task::block_in_place(|| member.stop())?;
        Ok(self.marks.mark(Kind::Gone, pid)?)
    }

    pub(super) fn freeze(&self, member: &Member) -> Result<(), Trouble> {
        cluster::signal(member.pid(), "STOP")?;
        Ok(self.marks.mark(Kind::Stopped, member.pid())?)
    }

    pub(super) fn wake(&self, member: &Member) -> Result<(), Trouble> {
        self.marks.mark(Kind::Woke, member.pid())?;
        cluster::signal(member.pid(), "CONT")
    }

    // --- waiting

    pub(super) async fn a_while(&self, seconds: f64) {
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// The member has begun something since now.
    pub(super) async fn at_work(&mut self, member: &mut Member) -> Result<(), Trouble> {
        self.follow()?;
        let (known, pid) = (self.reader.entries.len(), member.pid());
        self.until("a member does not handle anything", |room| {
            member.must_live()?;
            let begun = |entry: &Entry| entry.process == pid && entry.kind == Kind::Began;
            Ok(room.reader.entries[known..].iter().any(begun))
        })
        .await
    }

    /// No key has a backlog any more.
    pub(super) async fn caught_up(&mut self) -> Result<(), Trouble> {
        let from = now();
        self.until("the backlog does not go", |room| {
            let sent = Sent { at: room.traffic.sent().at.clone(), ..Sent::default() };
            let entries = room.reader.entries.clone();
            Ok(Evidence { sent, entries, ..Evidence::default() }.caught_up(from))
        })
        .await
    }

    /// Everything that was confirmed so far is handled, or dead.
    pub(super) async fn all_handled(&mut self) -> Result<(), Trouble> {
        self.until("something is never handled", |room| {
            let (handled, sent) = (room.handled(), room.traffic.sent());
            Ok(sent.confirmed().all(|id| handled.contains(&id) || sent.poison.contains(&id)))
        })
        .await
    }

    pub(super) fn handled_count(&self) -> usize {
        self.handled().len()
    }

    fn handled(&self) -> std::collections::HashSet<(usize, usize)> {
        crate::judge::effects(&self.reader.entries).map(crate::judge::step).collect()
    }

    pub(super) async fn until(
        &mut self,
        otherwise: &str,
        mut there: impl FnMut(&Self) -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.follow()?;
            if there(self)? {
                return Ok(());
            }
            sleep(LOOK_AGAIN).await;
        }
        Err(otherwise.into())
    }

    fn follow(&mut self) -> Result<(), Trouble> {
        self.reader.follow()?;
        Ok(())
    }

    pub(super) fn entries(&mut self) -> Result<&[Entry], Trouble> {
        self.follow()?;
        Ok(&self.reader.entries)
    }

    /// From now on recovery counts.
    pub(super) fn healed(&mut self) {
        self.healed = now();
    }

    /// What was committed of the topic so far says nothing of what follows.
    pub(super) fn forget_commits(&self) {
        self.watch.forget();
    }
}

async fn make(servers: &str, topics: &[TopicSpec]) -> Result<(), Trouble> {
    let broker: Box<dyn Transport> = Box::new(KafkaTransport::new(KafkaConfig::new(servers)));
    let topology = Topology { mode: TopologyMode::Create, topics: topics.to_vec(), groups: Vec::new() };
    Ok(broker.ensure(&topology).await?)
}
