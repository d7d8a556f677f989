//! The failure path: what trouble with one key does to the others, and what `kill -9` in the middle of it costs.

mod killed;
mod peace;
mod stage;
mod troubled;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gulo::prelude::*;
use gulo::transport::Transport;
use serde::Serialize;

use crate::Trouble;
use crate::eye::Eye;
use crate::judge::{self, effects};
use crate::ledger::Entry;
use crate::load::{KEYS, Load, Role};
use crate::report::Report;

use stage::{Run, Stage};

/// How long everything takes. The claims are the same whatever stands here.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Plan {
    /// Steps of each key a second.
    rate: usize,
    /// Seconds before the trouble; for one key to fail; for one to be stuck; and after that.
    lead: usize,
    fail: usize,
    stuck: usize,
    tail: usize,
    /// Seconds of load in the run that is killed.
    killed: usize,
}

pub(crate) const LONG: Plan = Plan { rate: 20, lead: 3, fail: 5, stuck: 20, tail: 5, killed: 20 };
/// At twice the rate the window fills in half the time.
pub(crate) const QUICK: Plan = Plan { rate: 40, lead: 2, fail: 2, stuck: 8, tail: 3, killed: 14 };

/// The window of a lane, as documented: the default of `Subscription::window`.
const WINDOW: usize = 2000;
const PARTITIONS: u32 = 8;
const FOLDER: &str = "target/prove";
/// Seconds from the end of a trouble until its key or lane has no backlog any more.
const RECOVERY: f64 = 5.0;

/// The keys of each partition.
type LaneKeys = BTreeMap<u32, Vec<usize>>;

/// Who has which trouble, each on a lane of its own; the stuck one on the lane with the most keys.
#[derive(Debug, Clone, Copy)]
struct Cast {
    stuck: usize,
    failing: usize,
    poison: usize,
    panicking: usize,
    undecodable: usize,
}

/// Whether all claims hold.
#[tokio::main]
pub(crate) async fn prove(plan: &Plan) -> Result<bool, Trouble> {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let folder = Path::new(FOLDER).join(format!("failure-{id}"));
    std::fs::create_dir_all(&folder)?;
    let broker: Arc<dyn Transport> = Arc::new(KafkaTransport::new(KafkaConfig::from_env()?));
    let stage = async |name: &str, limit| Stage::open(&*broker, &folder, &format!("prove-{name}-{id}"), limit).await;
    let (mut calm, mut troubled) = (stage("calm", None).await?, stage("troubled", None).await?);
    let mut killed = stage("killed", Some(killed::LETTER_BYTES)).await?;

    let report = play(plan, &mut calm, &mut troubled, &mut killed).await?;
    let path = Path::new(FOLDER).join("failure.json");
    report.write(&path)?;
    println!("\n{}", report.table());
    println!("{}: {}", if report.ok { "all of it holds" } else { "FAILED" }, path.display());
    if report.ok {
        Eye::from_env().delete(&[&calm, &troubled, &killed].map(Stage::topics).concat()).await?;
        std::fs::remove_dir_all(&folder)?;
    } else {
        println!("what the nodes wrote: {}", folder.display());
    }
    Ok(report.ok)
}

async fn play(plan: &Plan, calm: &mut Stage, troubled: &mut Stage, killed: &mut Stage) -> Result<Report, Trouble> {
    let (mut report, seconds) = (Report::new("failure"), plan.lead + plan.stuck + plan.tail);
    report.fact("plan", plan);
    println!("{KEYS} keys, {} steps of each a second, {PARTITIONS} partitions", plan.rate);
    println!("1/3 undisturbed: {seconds} s");
    let calm = calm.run(&plan.load(&calm.topic, seconds, Vec::new())).await?;
    let lanes = lanes_of(&calm.entries);
    let cast = Cast::of(&lanes)?;
    println!("2/3 with trouble: {seconds} s");
    let troubled = troubled.run(&plan.load(&troubled.topic, seconds, cast.roles(plan))).await?;
    println!("3/3 killed in the middle: {} s", plan.killed);
    let killed = killed::run(killed, plan, &cast, &lanes).await?;
    for (run, name) in [(&calm, "undisturbed"), (&troubled, "trouble")] {
        peace::judge(&mut report, run, name);
        report.none(format!("{name}: duplicates"), judge::duplicates(&run.entries).values().sum(), None);
    }
    troubled::judge(&mut report, plan, &calm, &troubled, &cast, &lanes);
    killed::judge(&mut report, &killed, &cast, &lanes);
    Ok(report)
}

impl Plan {
    fn load(&self, topic: &Arc<str>, seconds: usize, cast: Vec<(usize, Role)>) -> Load {
        // Step 0 of each key comes before the steady part.
        Load { topic: Arc::clone(topic), rate: self.rate, seconds, trouble_at: 1 + self.lead * self.rate, cast }
    }
}

impl Cast {
    fn of(lanes: &LaneKeys) -> Result<Self, Trouble> {
        let mut all: Vec<&Vec<usize>> = lanes.values().collect();
        all.sort_by_key(|keys| std::cmp::Reverse(keys.len()));
        let firsts: Vec<usize> = all.iter().filter_map(|keys| keys.first().copied()).collect();
        match firsts[..] {
            [stuck, failing, poison, panicking, undecodable, ..] => {
                Ok(Self { stuck, failing, poison, panicking, undecodable })
            }
            _ => Err("the keys lie on too few partitions".into()),
        }
    }

    fn roles(&self, plan: &Plan) -> Vec<(usize, Role)> {
        let seconds = |seconds: usize| Duration::from_secs(seconds as u64);
        vec![
            (self.stuck, Role::Stuck(seconds(plan.stuck))),
            (self.failing, Role::Fails(seconds(plan.fail))),
            (self.poison, Role::Poison),
            (self.panicking, Role::Panics),
            (self.undecodable, Role::Undecodable),
        ]
    }

    fn has(&self, key: usize) -> bool {
        [self.stuck, self.failing, self.poison, self.panicking, self.undecodable].contains(&key)
    }
}

fn lanes_of(entries: &[Entry]) -> LaneKeys {
    let mut lanes = LaneKeys::new();
    for effect in effects(entries).filter(|effect| effect.number == 0) {
        lanes.entry(effect.partition).or_default().push(effect.key);
    }
    lanes.values_mut().for_each(|keys| keys.sort_unstable());
    lanes
}

fn lane_of(lanes: &LaneKeys, key: usize) -> u32 {
    lanes.iter().find(|(_, keys)| keys.contains(&key)).map_or(0, |(lane, _)| *lane)
}

/// Microseconds as seconds.
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
