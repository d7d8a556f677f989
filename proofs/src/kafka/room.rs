//! Where a scenario is played: a topic, a group and a ledger of its own, a load, members, and a watch from outside.

mod end;

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gulo::dead_letter;
use gulo::prelude::*;
use gulo::transport::{TopicSpec, Topology, TopologyMode, Transport};
use tokio::time::sleep;

use super::watch::Watch;
use crate::eye::Eye;
use crate::member;
use crate::node::Options;
use crate::scene::{LOOK_AGAIN, PATIENCE, Scene};
use crate::traffic::{Pace, Traffic};
use crate::{Trouble, now};

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
    scene: Scene,
    pub(super) eye: Eye,
    pub(super) letters: Arc<str>,
    watch: Watch,
    topics: Vec<TopicSpec>,
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
        let (group, eye) = (format!("{topic}-group"), Eye::new(servers));
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
        let traffic = Traffic::new(publisher, topic.clone(), setup.pace);
        let scene = Scene::open(parent, name, servers, (topic.clone(), group.clone()), traffic, options())?;
        let watch = Watch::begin(&eye, (&topic, &group, setup.most_partitions), &member::ledger(&scene.folder))?;
        Ok(Self { scene, eye, letters, watch, topics })
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
