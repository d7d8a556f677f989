//! Topics and positions are changed under a group at work.

use std::time::{Duration, Instant};

use gulo_conformance::Mode;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use super::World;
use super::group::busy;
use super::room::{CRASH, Room, Setup, options};
use crate::Trouble;
use crate::member::Member;
use crate::node::Options;
use crate::record::Positions;
use crate::rows::{Bounds, Row};
use crate::step::{Brings, Step};
use crate::traffic::usual;
use crate::verdict::id_of;

const QUIET: Bounds = Bounds { duplicates: 0, because: "", stall: 6.0, recovery: 10.0 };
/// Members hear of new and deleted topics with this; five minutes by default.
const REFRESH: (&str, &str) = ("topic.metadata.refresh.interval.ms", "500");

async fn furnished(world: &mut World, name: &str, setup: Setup, options: &Options) -> Result<(Room, Member), Trouble> {
    let servers = world.one().await?.servers();
    let mut room = Room::open(&world.folder, &servers, name, setup).await?;
    let mut only = room.member_with(options)?;
    room.traffic.begin();
    room.at_work(&mut only).await?;
    Ok((room, only))
}

/// The topic of the dead letters is deleted, and made again later.
pub(super) async fn letters_again(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let mut setup = Setup::default();
    setup.pace.script = |(key, number)| match (key % 8, number % 40) {
        (3, 30) => Some(Brings::Poison),
        _ => usual((key, number)),
    };
    let (mut room, only) = furnished(world, name, setup, &options()).await?;
    room.eye.delete(std::slice::from_ref(&room.letters)).await?;
    room.until("no poison came", |room| Ok(room.traffic.sent().poison.len() >= 3)).await?;
    room.a_while(2.0).await;
    room.make_topics().await?;
    room.healed();
    let (eye, letters) = (room.eye.clone(), room.letters.clone());
    let taken = || Ok(eye.ends(&letters)?.values().sum::<i64>() >= 3);
    room.until("dead letters are not taken", |_| taken()).await?;
    room.caught_up().await?;
    let bounds = Bounds { recovery: 15.0, ..QUIET };
    let (mut row, evidence) = room.finish(vec![only], bounds).await?;
    let (dead, poison) = (evidence.dead().len(), evidence.sent.poison.len());
    row.claim("dead letters", dead.to_string(), poison.to_string(), dead == poison);
    Ok(row)
}

/// Nobody can move a group that has members. One without is put back by half, and then loses all its positions.
pub(super) async fn offsets(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, only) = busy(world, name, &options()).await?;
    room.a_while(1.0).await;
    let beginning = Positions::from([(0, 0)]);
    let moved = room.eye.put(&room.topic, &room.group, &beginning).is_ok();
    let deleted = room.eye.delete_group(&room.group).await.is_ok();
    room.stop(only)?;
    let half: Positions =
        room.eye.committed(&room.topic, &room.group)?.into_iter().map(|(at, end)| (at, end / 2)).collect();
    let again: i64 = half.values().sum();
    room.eye.put(&room.topic, &room.group, &half)?;
    let mut next = room.member()?;
    room.at_work(&mut next).await?;
    room.caught_up().await?;
    room.stop(next)?;
    let all: i64 = room.eye.committed(&room.topic, &room.group)?.values().sum();
    room.eye.delete_group(&room.group).await?;
    room.healed();
    let mut last = room.member()?;
    room.at_work(&mut last).await?;
    room.caught_up().await?;
    let bounds = Bounds {
        duplicates: (2 * again + all) as usize,
        because: "what lies behind the position it was put to, then all",
        stall: 6.0,
        recovery: 8.0,
    };
    let (mut row, _) = room.finish(vec![last], bounds).await?;
    row.claim("a group with members", format!("moved {moved}, deleted {deleted}"), "neither", !moved && !deleted);
    let least = (again + all) as usize;
    let repeated = row.duplicated.to_string();
    row.claim("all of that is handled again", repeated, format!(">= {least}"), row.duplicated >= least);
    Ok(row)
}

/// A topic is deleted and made again, in between or at once, with a member at work.
pub(super) async fn again(world: &mut World, name: &str, at_once: bool) -> Result<Row, Trouble> {
    // At once, a refresh does not see it missing: whatever is seen is seen by what fetches and commits are answered with.
    let options = if at_once { options() } else { options().with(REFRESH.0, REFRESH.1) };
    let (mut room, only) = furnished(world, name, Setup::default(), &options).await?;
    room.a_while(1.0).await;
    room.traffic.end().await?;
    room.all_handled().await?;
    // Its last commit.
    room.a_while(1.2).await;
    room.eye.delete(std::slice::from_ref(&room.topic)).await?;
    if !at_once {
        room.a_while(3.0).await;
    }
    room.make_topics_until_there().await?;
    room.healed();
    room.traffic.begin();
    room.caught_up().await?;
    // Until then the broker may show what was committed of the old one.
    room.a_while(1.2).await;
    room.forget_commits();
    room.a_while(1.0).await;
    let (row, _) = room.finish(vec![only], Bounds { stall: 8.0, recovery: 10.0, ..QUIET }).await?;
    Ok(row)
}

/// A topic is deleted and made again, and has grown past the positions of the old one before the member hears of anything. The
/// client reads on from there, until the member has asked which topic it is.
pub(super) async fn overtaken(world: &mut World, name: &str) -> Result<Row, Trouble> {
    const STEPS: usize = 60;
    let (servers, proxy) = (world.one().await?.servers(), world.proxy().await?);
    let way = world.one().await?.faulty().1;
    let mut room = Room::open(&world.folder, &servers, name, Setup::default()).await?;
    let mut only = room.member_at(&options(), &way)?;
    room.traffic.begin();
    room.at_work(&mut only).await?;
    room.a_while(1.0).await;
    room.traffic.end().await?;
    room.all_handled().await?;
    // Its last commit.
    room.a_while(1.2).await;
    let old = room.eye.ends(&room.topic)?;
    proxy.set(Mode::Refuse).await;
    room.eye.delete(std::slice::from_ref(&room.topic)).await?;
    room.make_topics_until_there().await?;
    room.new_publisher().await?;
    room.traffic.burst(STEPS).await;
    let new = room.eye.ends(&room.topic)?;
    let before: i64 = new.keys().map(|at| old.get(at).copied().unwrap_or(0)).sum();
    proxy.set(Mode::Open).await;
    room.healed();
    room.all_handled().await?;
    room.traffic.begin();
    room.caught_up().await?;
    room.a_while(1.2).await;
    room.forget_commits();
    room.a_while(1.0).await;
    let most = STEPS * room.traffic.pace.keys;
    let because = "what stands behind the old positions, and is read before it is known that the topic is another one";
    let bounds = Bounds { duplicates: most, because, stall: 12.0, recovery: 20.0 };
    let (mut row, _) = room.finish(vec![only], bounds).await?;
    row.disorder_allowed = most;
    let past = old.iter().all(|(at, end)| new.get(at).is_some_and(|new| new > end));
    row.claim(
        "it had grown past the old positions",
        format!("{before} before them"),
        "> 0 before each",
        past && before > 0,
    );
    Ok(row)
}

/// From six partitions to ten. The load pauses meanwhile, for keys move to other partitions.
pub(super) async fn grown(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let options = options().with(REFRESH.0, REFRESH.1);
    let setup = Setup { most_partitions: 10, ..Setup::default() };
    let (mut room, only) = furnished(world, name, setup, &options).await?;
    room.a_while(1.0).await;
    room.traffic.end().await?;
    room.all_handled().await?;
    room.eye.grow(&room.topic, 10).await?;
    // The publisher's client hears of them within its own refresh; a new one knows them.
    room.new_publisher().await?;
    room.healed();
    room.traffic.begin();
    room.caught_up().await?;
    let (mut row, evidence) = room.finish(vec![only], QUIET).await?;
    let used: std::collections::BTreeSet<i32> = evidence.log.iter().map(|record| record.partition).collect();
    row.claim("partitions in use", used.len().to_string(), "> 6", used.len() > 6);
    Ok(row)
}

/// Transactions, some of which are aborted, and compaction: offsets with holes, some of them at the very end. One member is
/// killed in the middle.
pub(super) async fn holes(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let servers = world.one().await?.servers();
    let settings = vec![
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "200"),
        ("max.compaction.lag.ms", "200"),
    ];
    let mut setup = Setup { settings, ..Setup::default() };
    setup.pace.script = |_| None;
    let mut room = Room::open(&world.folder, &servers, name, setup).await?;
    fill(&room, 90).await?;
    let (ends, standing) = compacted(&room).await?;
    let mut first = room.member()?;
    room.until("nothing is handled", |room| Ok(room.handled_count() > standing / 3)).await?;
    room.kill(first)?;
    room.healed();
    first = room.member()?;
    let count = standing;
    room.until("not all is handled", |room| Ok(room.handled_count() >= count)).await?;
    let bounds = Bounds { duplicates: CRASH, because: "200 finished since the last commit, 16 in work", ..QUIET };
    let (mut row, evidence) = room.finish(vec![first], bounds).await?;
    row.messages = standing;
    row.claim("offsets without a message", (ends - standing as i64).to_string(), "> 0", ends > standing as i64);
    let aborted = evidence.entries.iter().filter(|entry| entry.number >= ABORTED).count();
    row.none("handlers begun for what was aborted", aborted);
    Ok(row)
}

/// Steps of aborted transactions have numbers from here on.
const ABORTED: usize = 1_000_000;

/// Rounds of a transaction each, every third of them aborted.
async fn fill(room: &Room, rounds: usize) -> Result<(), Trouble> {
    let mut config = room.eye.config();
    config.set("transactional.id", &room.group).set("partitioner", "murmur2_random");
    let producer: FutureProducer = config.create()?;
    let patience = Duration::from_secs(10);
    producer.init_transactions(patience)?;
    for round in 0..rounds {
        let aborted = round % 3 == 2;
        producer.begin_transaction()?;
        for key in 0..room.traffic.pace.keys {
            let number = if aborted { ABORTED + round } else { round };
            // Each key has a step in every eighth round, and compaction leaves the last of those that it has seen.
            let (key, trouble) = (key * 8 + round % 8, Some(Brings::Takes(30)));
            send(&producer, room, &Step { key, number, trouble }).await?;
        }
        match aborted {
            true => producer.abort_transaction(patience)?,
            false => producer.commit_transaction(patience)?,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn send(producer: &FutureProducer, room: &Room, step: &Step) -> Result<(), Trouble> {
    let message = step.message(&room.topic);
    let headers = message
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (name, value)| headers.insert(Header { key: name, value }));
    let key = crate::step::key_name(step.key);
    let partition = (step.key % 6) as i32;
    let record = FutureRecord::to(&room.topic).key(&key).headers(headers).partition(partition);
    let payload = message.payload.unwrap_or_default();
    producer.send(record.payload(&payload[..]), Duration::from_secs(10)).await.map_err(|(error, _)| error)?;
    Ok(())
}

/// Waits until compaction has taken something, and says how long the log is and how much stands in it.
async fn compacted(room: &Room) -> Result<(i64, usize), Trouble> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let before = room.eye.read(&room.topic)?.len();
    let mut standing = before;
    let mut steady = 0;
    while steady < 4 && Instant::now() < deadline {
        room.a_while(0.5).await;
        let now = room.eye.read(&room.topic)?.iter().filter_map(id_of).count();
        steady = if now == standing && now < before { steady + 1 } else { 0 };
        standing = now;
    }
    Ok((room.eye.ends(&room.topic)?.values().sum(), standing))
}
