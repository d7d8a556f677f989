//! Exactly once: messages are read, transformed and published in transactions by processes that are killed, stopped and fenced in
//! the middle. At the end every result must stand in the other topic once, in the order of its key, for whoever reads what is
//! committed; and for whoever reads everything there must be more, or nothing was ever taken back and nothing was proven.

mod cost;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gulo::message::Message;
use gulo::prelude::*;
use gulo::transport::{TopicSpec, Topology, TopologyMode, Transport};
use serde::Serialize;
use tokio::time::sleep;

use crate::Trouble;
use crate::eye::Eye;
use crate::record::Record;
use crate::report::Report;

use worker::{Name, Worker};

pub(crate) use worker::run as transform;

const PARTITIONS: u32 = 6;
const KEYS: usize = 60;
/// Messages of a transaction at most.
const PIECE: usize = 50;
const FOLDER: &str = "target/prove";
/// For all to be through, after the last trouble.
const PATIENCE: Duration = Duration::from_secs(90);

/// How much trouble.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Plan {
    /// Kills of the only worker, of one of two, and rivals of one id.
    kills: usize,
    kills_of_two: usize,
    rivals: usize,
    /// Messages a second.
    rate: usize,
}

pub(crate) const LONG: Plan = Plan { kills: 30, kills_of_two: 10, rivals: 6, rate: 1200 };
pub(crate) const QUICK: Plan = Plan { kills: 8, kills_of_two: 2, rivals: 2, rate: 1200 };

/// By the clock alone a slow machine may kill none in the middle of a transaction.
const AT_WORK: usize = 3;

/// Where everything of a run is.
pub(crate) struct Places {
    run: String,
    input: Arc<str>,
    output: Arc<str>,
    group: String,
    folder: PathBuf,
}

impl Places {
    fn id(&self, name: Name) -> String {
        format!("{}-{}", self.run, name.id)
    }
}

const ONE: Name = Name { id: "one", is_static: true };
const LEFT: Name = Name { id: "left", is_static: false };
const RIGHT: Name = Name { id: "right", is_static: false };

/// Whether all claims hold.
#[tokio::main]
pub(crate) async fn prove(plan: &Plan) -> Result<bool, Trouble> {
    let run = format!("prove-once-{}", uuid::Uuid::now_v7().simple());
    let folder = Path::new(FOLDER).join(&run);
    std::fs::create_dir_all(&folder)?;
    let (input, output) = (format!("{run}-in").into(), format!("{run}-out").into());
    let places = Places { group: format!("{run}-group"), run, input, output, folder };
    let transport = KafkaTransport::new(KafkaConfig::from_env()?.linger(Duration::from_millis(1)));
    let topics = [&places.input, &places.output]
        .map(|name| TopicSpec { partitions: Some(PARTITIONS), ..TopicSpec::new(Arc::clone(name)) });
    transport.ensure(&Topology { mode: TopologyMode::Create, topics: topics.into(), groups: Vec::new() }).await?;

    let report = play(plan, &places, &transport).await?;
    let path = Path::new(FOLDER).join("exactly-once.json");
    report.write(&path)?;
    println!("\n{}", report.table());
    println!("{}: {}", if report.ok { "all of it holds" } else { "FAILED" }, path.display());
    if report.ok {
        Eye::from_env().delete(&[places.input, places.output]).await?;
        std::fs::remove_dir_all(&places.folder)?;
    } else {
        println!("the workers' logs: {}", places.folder.display());
    }
    Ok(report.ok)
}

async fn play(plan: &Plan, places: &Places, transport: &KafkaTransport) -> Result<Report, Trouble> {
    let publisher = transport.publisher().await?;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let (topic, rate) = (Arc::clone(&places.input), plan.rate);
    let load = tokio::spawn(async move {
        let mut number = 0;
        // A tenth of a second's at a time.
        while !*stopped.borrow_and_update() {
            let due = Instant::now() + Duration::from_millis(100);
            let batch = (number..number + rate / 10).map(|number| message(&topic, number)).collect();
            publisher.publish(batch).await.map_err(|unsent| unsent.to_string())?;
            number += rate / 10;
            sleep(due.saturating_duration_since(Instant::now())).await;
        }
        Ok::<usize, String>(number)
    });
    let begun = Instant::now();
    trouble(plan, places).await?;
    stop.send_replace(true);
    let published = load.await??;
    println!("6/6 until all is through");
    let worker = Worker::start(places, LEFT)?;
    let records = until_through(places, published).await?;
    worker.stop()?;
    let mut report = Report::new("exactly-once");
    report.fact("plan", plan);
    report.fact("seconds", begun.elapsed().as_secs());
    judge(&mut report, places, published, &records)?;
    for cost in cost::measure(places).await? {
        println!("{}", serde_json::to_string(&cost)?);
        report.fact(&format!("messages a second, {} at a time", cost.piece()), cost);
    }
    Ok(report)
}

fn message(topic: &Arc<str>, number: usize) -> Message {
    Message::new(Arc::clone(topic), number.to_string()).key(format!("key-{}", number % KEYS))
}

/// Different each time, and the same in each run: somewhere in the middle of what a worker does.
fn moment(number: usize) -> Duration {
    Duration::from_millis(600 + (number as u64 * 7919) % 900)
}

async fn trouble(plan: &Plan, places: &Places) -> Result<(), Trouble> {
    let worker = Worker::start(places, ONE)?;
    until_at_work(places).await?;
    worker.kill()?;
    println!("1/6 one worker, killed {} times", plan.kills);
    for number in 0..plan.kills {
        let worker = Worker::start(places, ONE)?;
        sleep(moment(number)).await;
        worker.kill()?;
    }
    println!("2/6 two workers of a group, one of them killed {} times", plan.kills_of_two);
    let left = Worker::start(places, LEFT)?;
    for number in 0..plan.kills_of_two {
        let right = Worker::start(places, RIGHT)?;
        // Until it has lanes: the dead one's have to time out first.
        sleep(Duration::from_secs(4) + moment(number)).await;
        right.kill()?;
    }
    println!("3/6 a worker that sleeps past its session and wakes up");
    let right = Worker::start(places, RIGHT)?;
    sleep(Duration::from_secs(4)).await;
    right.signal("-STOP")?;
    sleep(Duration::from_secs(6)).await;
    right.signal("-CONT")?;
    sleep(Duration::from_secs(3)).await;
    println!("4/6 {} times a rival of the same id", plan.rivals);
    for number in 0..plan.rivals {
        let rival = Worker::start(places, LEFT)?;
        sleep(Duration::from_secs(2) + moment(number)).await;
        rival.kill()?;
    }
    left.stop()?;
    right.stop()?;
    println!("5/6 {AT_WORK} times as soon as something of it stands there");
    for _ in 0..AT_WORK {
        let worker = Worker::start(places, ONE)?;
        until_it_has_written(places).await?;
        worker.kill()?;
    }
    Ok(())
}

/// Waits until there is more than now, committed or not.
async fn until_it_has_written(places: &Places) -> Result<(), Trouble> {
    let written = || -> Result<i64, Trouble> { Ok(Eye::from_env().ends(&places.output)?.values().sum()) };
    let (before, deadline) = (written()?, Instant::now() + PATIENCE / 3);
    while written()? == before {
        if Instant::now() > deadline {
            return Err(format!("the worker does not do anything: see its log in {}", places.folder.display()).into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits for the first results.
async fn until_at_work(places: &Places) -> Result<(), Trouble> {
    let deadline = Instant::now() + PATIENCE / 3;
    while Eye::from_env().read(&places.output)?.is_empty() {
        if Instant::now() > deadline {
            return Err(format!("the worker does not do anything: see its log in {}", places.folder.display()).into());
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Waits until as many results are committed as there are messages, or nothing more comes.
async fn until_through(places: &Places, published: usize) -> Result<Vec<Record>, Trouble> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let records = Eye::from_env().read(&places.output)?;
        if distinct(&records) >= published || Instant::now() > deadline {
            return Ok(records);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn number(record: &Record) -> Option<usize> {
    std::str::from_utf8(record.payload.as_deref()?).ok()?.parse().ok()
}

fn distinct(records: &[Record]) -> usize {
    records.iter().filter_map(number).collect::<BTreeSet<_>>().len()
}

fn judge(report: &mut Report, places: &Places, published: usize, records: &[Record]) -> Result<(), Trouble> {
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    records.iter().filter_map(number).for_each(|number| *seen.entry(number).or_default() += 1);
    let lost: Vec<usize> = (0..published).filter(|number| !seen.contains_key(number)).collect();
    let twice: Vec<usize> = seen.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number).collect();
    report.none("messages without a result", lost.len(), lost.first().map(usize::to_string));
    report.none("results that stand there twice", twice.len(), twice.first().map(usize::to_string));
    let disorder = disorder(records);
    report.none("results out of their key's order", disorder.len(), disorder.first().map(usize::to_string));
    let eye = Eye::from_env();
    let left: i64 = eye.ends(&places.input)?.values().sum::<i64>()
        - eye.committed(&places.input, &places.group)?.values().sum::<i64>();
    report.none("messages behind the group's positions", usize::try_from(left.max(0))?, None);
    let all = eye.read_uncommitted(&places.output)?.len();
    let back = all.saturating_sub(records.len());
    report.claim("results that were taken back", back.to_string(), ">= 1, or nothing was cut off", back > 0);
    report.fact("messages", published);
    report.fact("results, taken back ones included", all);
    Ok(())
}

/// Numbers that stand behind a later one of their key. A key is in one partition, so the order there is its order.
fn disorder(records: &[Record]) -> Vec<usize> {
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    let is_late = |number: &usize| last.insert(number % KEYS, *number).is_some_and(|before| before > *number);
    records.iter().filter_map(number).filter(is_late).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(numbers: &[usize]) -> Vec<Record> {
        let record = |(at, number): (usize, &usize)| Record {
            partition: 0,
            offset: at as i64,
            timestamp: 0,
            key: None,
            payload: Some(number.to_string().into_bytes()),
            headers: Vec::new(),
        };
        numbers.iter().enumerate().map(record).collect()
    }

    #[test]
    fn who_stands_behind_a_later_one_of_its_key_is_found() {
        assert_eq!(disorder(&records(&[0, 60, 1, 120, 61])), Vec::<usize>::new());
        assert_eq!(disorder(&records(&[60, 0, 1])), [0]);
        assert_eq!(distinct(&records(&[1, 1, 2])), 2);
    }
}
