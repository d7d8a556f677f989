//! What happens around the load, whatever the broker: members that are processes, the ledger they write, and the waiting for
//! what they do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::ledger::{Entry, Kind, Reader, Writer};
use crate::member::{self, Member};
use crate::node::Options;
use crate::traffic::{Sent, Traffic};
use crate::verdict::Evidence;
use crate::{Trouble, now};

pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(30);
/// For what must come, if it comes at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Scene {
    pub(crate) name: String,
    /// Where members find the broker, unless they are told otherwise.
    pub(crate) servers: String,
    pub(crate) topic: Arc<str>,
    pub(crate) group: String,
    pub(crate) traffic: Traffic,
    /// How members are, unless they are told otherwise.
    pub(crate) options: Options,
    pub(crate) folder: PathBuf,
    marks: Writer,
    pub(crate) reader: Reader,
    /// When the last fault was over.
    pub(crate) healed: u64,
    pub(crate) began: u64,
    /// Every stop that was asked for was in peace.
    pub(crate) clean: bool,
}

impl Scene {
    pub(crate) fn open(
        parent: &Path,
        name: &str,
        servers: &str,
        (topic, group): (Arc<str>, String),
        traffic: Traffic,
        options: Options,
    ) -> Result<Self, Trouble> {
        let folder = parent.join(name);
        std::fs::create_dir_all(&folder)?;
        let ledger = member::ledger(&folder);
        let (marks, reader) = (Writer::open(&ledger)?, Reader::open(&ledger)?);
        let (name, servers, clean) = (name.into(), servers.into(), true);
        let (healed, began) = (now(), now());
        Ok(Self { name, servers, topic, group, traffic, options, folder, marks, reader, healed, began, clean })
    }

    // --- members

    pub(crate) fn member(&self) -> Result<Member, Trouble> {
        self.member_with(&self.options)
    }

    pub(crate) fn member_with(&self, options: &Options) -> Result<Member, Trouble> {
        self.member_at(options, &self.servers)
    }

    pub(crate) fn member_at(&self, options: &Options, servers: &str) -> Result<Member, Trouble> {
        Member::start(&self.folder, &self.topic, &self.group, options, Some(servers))
    }

    /// Its end is written down when it can write nothing more and nobody else has noticed yet: who takes over may begin before
    /// we are told that it is dead.
    pub(crate) fn kill(&self, member: Member) -> Result<(), Trouble> {
        member.halt()?;
        self.marks.mark(Kind::Gone, member.pid())?;
        member.kill()
    }

    /// Asks it to stop; where it does not do so in peace, the row says so.
    pub(crate) fn stop(&mut self, member: Member) -> Result<(), Trouble> {
        let pid = member.pid();
        self.clean &= tokio::task::block_in_place(|| member.stop())?;
        Ok(self.marks.mark(Kind::Gone, pid)?)
    }

    pub(crate) fn freeze(&self, member: &Member) -> Result<(), Trouble> {
        member::signal(member.pid(), "STOP")?;
        Ok(self.marks.mark(Kind::Stopped, member.pid())?)
    }

    pub(crate) fn wake(&self, member: &Member) -> Result<(), Trouble> {
        self.marks.mark(Kind::Woke, member.pid())?;
        member::signal(member.pid(), "CONT")
    }

    // --- waiting

    pub(crate) async fn a_while(&self, seconds: f64) {
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// The member has begun something since now.
    pub(crate) async fn at_work(&mut self, member: &mut Member) -> Result<(), Trouble> {
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
    pub(crate) async fn caught_up(&mut self) -> Result<(), Trouble> {
        let from = now();
        self.until("the backlog does not go", |room| {
            let sent = Sent { at: room.traffic.sent().at.clone(), ..Sent::default() };
            let entries = room.reader.entries.clone();
            Ok(Evidence { sent, entries, ..Evidence::default() }.caught_up(from))
        })
        .await
    }

    /// Everything that was confirmed so far is handled, or dead.
    pub(crate) async fn all_handled(&mut self) -> Result<(), Trouble> {
        self.until("something is never handled", |room| {
            let (handled, sent) = (room.handled(), room.traffic.sent());
            Ok(sent.confirmed().all(|id| handled.contains(&id) || sent.poison.contains(&id)))
        })
        .await
    }

    pub(crate) fn handled_count(&self) -> usize {
        self.handled().len()
    }

    fn handled(&self) -> std::collections::HashSet<(usize, usize)> {
        crate::judge::effects(&self.reader.entries).map(crate::judge::step).collect()
    }

    pub(crate) async fn until(
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

    pub(crate) fn entries(&mut self) -> Result<&[Entry], Trouble> {
        self.follow()?;
        Ok(&self.reader.entries)
    }

    /// From now on recovery counts.
    pub(crate) fn healed(&mut self) {
        self.healed = now();
    }
}
