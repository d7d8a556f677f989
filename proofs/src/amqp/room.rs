//! Where a scenario is played: a topic, a group and its queue, a load that insists, members, and what the transport of the
//! load says of the broker meanwhile.

use std::collections::HashSet;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gulo::dead_letter;
use gulo::prelude::*;
use gulo::transport::{GroupSpec, TopicSpec, Topics, Topology, Transport};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::World;
use super::server::{Server, url};
use crate::judge::{effects, step};
use crate::member::{self, Member};
use crate::node::{Options, diary};
use crate::rows::{Bounds, Row, seconds};
use crate::scene::{LOOK_AGAIN, PATIENCE, Scene};
use crate::traffic::{Pace, Traffic};
use crate::verdict::{self, Evidence};
use crate::{Trouble, now};

pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);
pub(super) const AT_A_TIME: usize = 16;
pub(super) const WINDOW: usize = 400;
const COMMIT_EVERY: usize = 200;
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// What a crash of a member may repeat, as promised: what was finished and not told, and what was in work.
pub(super) const CRASH: usize = COMMIT_EVERY + AT_A_TIME;
pub(super) const BY_CRASH: &str = "200 finished and not yet acknowledged, 16 in work";
/// Acknowledgements have no answer: of those under way when a connection breaks nobody knows.
pub(super) const BY_LOSS: &str = "a window of 400, whose acknowledgements are under way";

/// How a room is furnished.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) pace: Pace,
    /// Where the publisher finds the broker, where that is a way that can be cut.
    pub(super) way: Option<String>,
    pub(super) publish_timeout: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self { pace: Pace::default(), way: None, publish_timeout: Duration::from_secs(5) }
    }
}

pub(super) struct Room {
    scene: Scene,
    pub(super) server: Server,
    /// The publisher's.
    pub(super) transport: AmqpTransport,
    pub(super) queue: String,
    said: Arc<Mutex<Vec<(u64, String)>>>,
    listening: JoinHandle<()>,
}

impl Deref for Room {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut Scene {
        &mut self.scene
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

pub(super) fn options() -> Options {
    Options {
        on: crate::node::On::Amqp,
        session: HEARTBEAT,
        at_a_time: AT_A_TIME,
        window: Some(WINDOW),
        commit_every: COMMIT_EVERY,
        commit_interval: COMMIT_INTERVAL,
        ..Options::default()
    }
}

impl Room {
    pub(super) async fn open(world: &mut World, name: &str, setup: Setup) -> Result<Self, Trouble> {
        let server = world.server().await?.clone();
        let topic: Arc<str> = format!("{name}-{:x}", now()).into();
        let group = format!("{topic}-group");
        let address = setup.way.unwrap_or_else(|| server.address());
        let config = AmqpConfig::new(&url(&address)).heartbeat(HEARTBEAT).publish_timeout(setup.publish_timeout);
        let transport = AmqpTransport::new(config);
        make(&transport, &topic, &group).await?;
        let traffic = Traffic::new(transport.publisher().await?, topic.clone(), setup.pace).insisting();
        let queue = format!("{topic}.{group}");
        let scene = Scene::open(&world.folder, name, &server.url(), (topic, group), traffic, options())?;
        let said = Arc::default();
        let listening = tokio::spawn(listen(transport.clone(), Arc::clone(&said)));
        Ok(Self { scene, server, transport, queue, said, listening })
    }

    /// What is missing of it is made.
    pub(super) async fn make_topology(&self) -> Result<(), Trouble> {
        make(&self.transport, &self.topic, &self.group).await
    }

    /// Until its bus has started: it waits for its turn, for one member at a time reads the queue.
    pub(super) async fn joined(&mut self, member: &mut Member) -> Result<(), Trouble> {
        let there = diary(&member::ledger(&self.folder), member.pid());
        self.until("a member does not start", |_| {
            member.must_live()?;
            Ok(there.exists())
        })
        .await
    }

    /// Each word that the transport of the load has said of the broker since `from`.
    pub(super) fn said_since(&self, from: u64) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter(|(at, _)| *at >= from).map(|(_, status)| status.clone()).collect()
    }

    /// The same of a member, and what its group said.
    pub(super) fn health_since(&self, process: u32, from: u64) -> Result<Vec<(u64, String)>, Trouble> {
        let text = std::fs::read_to_string(diary(&member::ledger(&self.folder), process))?;
        let said = |line: &str| {
            let (at, said) = line.split_once(' ')?;
            let at = at.parse::<u64>().ok()?;
            (at >= from).then(|| (at, said.to_owned()))
        };
        Ok(text.lines().filter_map(said).collect())
    }

    /// What was published before `then` and is not handled by now was in a queue that is no more, and nobody has it. How many.
    pub(super) fn gone_with_queue(&mut self, then: u64) -> Result<usize, Trouble> {
        let entries = self.entries()?;
        let handled: HashSet<_> = effects(entries).map(step).collect();
        let mut sent = self.traffic.sent();
        let before = |(key, number): &(usize, usize)| sent.at[*key][*number] < then;
        let gone: Vec<_> = sent.confirmed().filter(|id| before(id) && !handled.contains(id)).collect();
        sent.unknown.extend(&gone);
        Ok(gone.len())
    }

    /// What is in its queue, those that are out too.
    pub(super) async fn in_queue(&self) -> Result<Option<usize>, Trouble> {
        Ok(self.server.queues().await?.get(&self.queue).copied())
    }

    /// Ends the load, waits until all is handled, stops all members in peace, and judges.
    pub(super) async fn finish(mut self, members: Vec<Member>, bounds: Bounds) -> Result<(Row, Evidence), Trouble> {
        self.traffic.end().await?;
        // What never comes is for the judge to see.
        let came = self.all_handled().await;
        for member in members {
            self.stop(member)?;
        }
        let left = self.left().await?;
        self.entries()?;
        let sent = std::mem::take(&mut *self.traffic.sent());
        let entries = std::mem::take(&mut self.reader.entries);
        let evidence = Evidence { sent, entries, ..Evidence::default() };
        let mut row = self.row(&evidence, bounds);
        if let Err(trouble) = came {
            row.claim("all is handled", trouble.to_string(), "in time", false);
        }
        let stop = format!("{}, {left} in the queue", if self.clean { "in peace" } else { "not in peace" });
        row.claim("stop", stop, "in peace, 0 in the queue", self.clean && left == 0);
        Ok((row, evidence))
    }

    /// What the broker counts is right a few seconds after its start only.
    async fn left(&self) -> Result<usize, Trouble> {
        let deadline = Instant::now() + PATIENCE / 4;
        loop {
            let left = self.in_queue().await?.ok_or("its queue is not there")?;
            if left == 0 || Instant::now() > deadline {
                return Ok(left);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn row(&self, evidence: &Evidence, bounds: Bounds) -> Row {
        let (lost, disorder) = (evidence.never_stored(), evidence.disorder());
        let mut row = Row {
            scenario: self.name.clone(),
            messages: evidence.sent.all().count(),
            lost: lost.len(),
            duplicated: evidence.duplicates(),
            disorder: disorder.len(),
            disorder_allowed: 0,
            committed_too_far: None,
            stall: seconds(evidence.longest_stall()),
            recovery: seconds(evidence.recovery(self.healed)),
            bounds,
            claims: Vec::new(),
            facts: serde_json::Map::new(),
            sent_again: evidence.sent.sent_again,
            seconds: seconds(now() - self.began),
            ok: false,
        };
        row.fact("broker", self.server.version());
        row.fact("said of the broker", self.said_since(0));
        row.fact("unknown to the publisher", evidence.sent.unknown.len());
        row.fact("refused", evidence.sent.refused.len());
        row.fact("said of what was not published", &evidence.sent.said);
        row.shown("lost", lost.iter().map(|id| format!("{id:?} was confirmed and is never handled")));
        row.shown("disorder", disorder.iter().cloned());
        row.none("handled although refused", handled_although_refused(evidence));
        row.fact("handlers dropped in the middle", verdict::dropped(&evidence.entries));
        row
    }
}

/// What was sent again after an unknown outcome and refused then may well be there from the first time.
fn handled_although_refused(evidence: &Evidence) -> usize {
    let sent = &evidence.sent;
    let handled: HashSet<_> = effects(&evidence.entries).map(step).collect();
    sent.refused.iter().filter(|id| handled.contains(id) && !sent.doubtful.contains(id)).count()
}

/// The topic with the group's queue, and that of its dead letters, which keeps them.
async fn make(transport: &AmqpTransport, topic: &Arc<str>, group: &str) -> Result<(), Trouble> {
    let letters = TopicSpec { keep: true, ..TopicSpec::new(dead_letter::topic_name(topic, group)) };
    let group = GroupSpec { group: group.into(), topics: Topics::Named(vec![topic.clone()]) };
    let topics = vec![TopicSpec::new(topic.clone()), letters];
    Ok(transport.ensure(&Topology { mode: TopologyMode::Create, topics, groups: vec![group] }).await?)
}

/// Writes down what `transport` says of the broker, each time it is something else.
async fn listen(transport: AmqpTransport, said: Arc<Mutex<Vec<(u64, String)>>>) {
    loop {
        let status = format!("{:?}", transport.status());
        {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.last().is_none_or(|(_, last)| *last != status) {
                said.push((now(), status));
            }
        }
        sleep(LOOK_AGAIN / 3).await;
    }
}
