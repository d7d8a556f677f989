//! One run: a topic, a group, a ledger, and what is left of them at the end.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gulo::dead_letter;
use gulo::transport::{Publisher, TopicSpec, Topology, TopologyMode, Transport};
use tokio::time::sleep;

use super::PARTITIONS;
use crate::Trouble;
use crate::eye::{self, Eye};
use crate::judge::{effects, step};
use crate::ledger::{Entry, Reader};
use crate::load::{KEYS, Load, Sent};
use crate::member::{self, Member};
use crate::node::{Health, Options};
use crate::record::Record;

const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// For what must come, if it comes at all.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Stage {
    pub(super) topic: Arc<str>,
    pub(super) group: String,
    letters: Arc<str>,
    folder: PathBuf,
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) eye: Eye,
    reader: Reader,
    /// Messages in the topic of the dead letters that are none.
    probes: i64,
    handled: HashSet<(usize, usize)>,
}

/// What a run left.
#[derive(Default)]
pub(super) struct Run {
    pub(super) group: String,
    pub(super) sent: Sent,
    pub(super) entries: Vec<Entry>,
    /// What stands in its topic, and in that of its dead letters.
    pub(super) records: Vec<Record>,
    pub(super) letters: Vec<Record>,
    /// The node stopped in peace.
    pub(super) stopped: bool,
    /// Messages behind the committed positions afterwards.
    pub(super) uncommitted: i64,
}

impl Stage {
    /// Makes the topics. That of the dead letters takes nothing over `limit` bytes, until [`let_in`](Self::let_in).
    pub(super) async fn open(
        broker: &dyn Transport,
        folder: &Path,
        name: &str,
        limit: Option<usize>,
    ) -> Result<Self, Trouble> {
        let group = format!("{name}-group");
        let letters = dead_letter::topic_name(name, &group);
        let settings = limit.map(|bytes| (eye::LARGEST.to_owned(), bytes.to_string())).into_iter().collect();
        let topics = vec![
            TopicSpec { partitions: Some(PARTITIONS), ..TopicSpec::new(name) },
            TopicSpec { settings, ..TopicSpec::new(Arc::clone(&letters)) },
        ];
        broker.ensure(&Topology { mode: TopologyMode::Create, topics, groups: Vec::new() }).await?;
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let (reader, publisher) = (Reader::open(member::ledger(&folder))?, broker.publisher().await?);
        let (eye, handled) = (Eye::from_env(), HashSet::new());
        Ok(Self { topic: name.into(), group, letters, folder, publisher, eye, reader, probes: 0, handled })
    }

    pub(super) fn topics(&self) -> Vec<Arc<str>> {
        vec![Arc::clone(&self.topic), Arc::clone(&self.letters)]
    }

    /// A node, a load, and the wait until all is handled.
    pub(super) async fn run(&mut self, load: &Load) -> Result<Run, Trouble> {
        let mut node = self.node(Health::Faulty)?;
        let sent = load.first(&*self.publisher).await?;
        self.at_work(&mut node).await?;
        let sent = load.steady(&*self.publisher, sent).await?;
        self.all_handled(&mut node, &sent).await?;
        self.end(node, sent)
    }

    pub(super) fn node(&self, health: Health) -> Result<Member, Trouble> {
        Member::start(&self.folder, &self.topic, &self.group, &Options { health, ..Options::default() }, None)
    }

    /// The first step of each key is handled.
    pub(super) async fn at_work(&mut self, node: &mut Member) -> Result<(), Trouble> {
        match self.until(node, |stage| Ok(stage.handled.len() == KEYS)).await? {
            true => Ok(()),
            false => Err("the node does not handle anything".into()),
        }
    }

    /// Waits for an effect of every step and for the dead letters; where they do not come, the judge will see.
    pub(super) async fn all_handled(&mut self, node: &mut Member, sent: &Sent) -> Result<(), Trouble> {
        let (steps, dead) = (sent.to_be_handled(), sent.dead.len() as i64);
        self.until(node, |stage| Ok(stage.handled.len() >= steps && (dead == 0 || stage.letters_taken()? >= dead)))
            .await?;
        Ok(())
    }

    pub(super) fn letters_taken(&self) -> Result<i64, Trouble> {
        Ok(self.eye.ends(&self.letters)?.values().sum::<i64>() - self.probes)
    }

    /// The topic of the dead letters takes them from now on.
    pub(super) async fn let_in(&mut self) -> Result<(), Trouble> {
        self.eye.let_in(&self.letters).await?;
        self.probes += 1;
        Ok(())
    }

    /// Polls until `there`, and says whether it came so far in time.
    pub(super) async fn until(
        &mut self,
        node: &mut Member,
        there: impl Fn(&Self) -> Result<bool, Trouble>,
    ) -> Result<bool, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            node.must_live()?;
            self.follow()?;
            if there(self)? {
                return Ok(true);
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(false)
    }

    pub(super) fn follow(&mut self) -> Result<(), Trouble> {
        let known = self.reader.follow()?;
        self.handled.extend(effects(&self.reader.entries[known..]).map(step));
        Ok(())
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.reader.entries
    }

    /// Stops the node and gathers what is left.
    pub(super) fn end(&mut self, node: Member, sent: Sent) -> Result<Run, Trouble> {
        let stopped = node.stop()?;
        self.follow()?;
        let committed: i64 = self.eye.committed(&self.topic, &self.group)?.values().sum();
        let uncommitted = self.eye.ends(&self.topic)?.values().sum::<i64>() - committed;
        let (records, letters) = (self.eye.read(&self.topic)?, self.eye.read(&self.letters)?);
        let (group, entries) = (self.group.clone(), self.entries().to_vec());
        Ok(Run { group, sent, entries, records, letters, stopped, uncommitted })
    }
}
