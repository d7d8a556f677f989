//! Members come, go, die and sleep.

use super::World;
use super::room::{CRASH, Room, SESSION, Setup, options};
use crate::member::Member;
use crate::node::Options;
use crate::rows::{Bounds, Row};
use crate::step::Brings;
use crate::traffic::usual;
use crate::{Trouble, verdict};

/// A hand-over: nothing is repeated, and nobody waits for long.
const PEACE: Bounds = Bounds { duplicates: 0, because: "", stall: 5.0, recovery: 8.0 };
/// A member dies: the group waits for its session.
const DEATH: Bounds = Bounds {
    duplicates: CRASH,
    because: "200 finished since the last commit, 16 in work",
    stall: SESSION.as_secs() as f64 + 5.0,
    recovery: SESSION.as_secs() as f64 + 7.0,
};

/// A room in which one member handles a load.
pub(super) async fn busy(world: &mut World, name: &str, options: &Options) -> Result<(Room, Member), Trouble> {
    let servers = world.one().await?.servers();
    let mut room = Room::open(&world.folder, &servers, name, Setup::default()).await?;
    let mut first = room.member_with(options)?;
    room.traffic.begin();
    room.at_work(&mut first).await?;
    Ok((room, first))
}

/// The same with two, both at work.
pub(super) async fn busy_two(
    world: &mut World,
    name: &str,
    options: &Options,
) -> Result<(Room, Member, Member), Trouble> {
    let (mut room, first) = busy(world, name, options).await?;
    let mut second = room.member_with(options)?;
    room.at_work(&mut second).await?;
    room.caught_up().await?;
    Ok((room, first, second))
}

/// What is in work where partitions move or a member stops comes to its end.
async fn peaceful(room: Room, members: Vec<Member>, bounds: Bounds) -> Result<Row, Trouble> {
    let (mut row, evidence) = room.finish(members, bounds).await?;
    row.none("handlers dropped in the middle", verdict::dropped(&evidence.entries));
    Ok(row)
}

pub(super) async fn join(world: &mut World, name: &str, options: Options) -> Result<Row, Trouble> {
    let (mut room, first) = busy(world, name, &options).await?;
    room.a_while(0.5).await;
    room.healed();
    let mut second = room.member_with(&options)?;
    room.at_work(&mut second).await?;
    room.caught_up().await?;
    peaceful(room, vec![second, first], PEACE).await
}

pub(super) async fn leave(world: &mut World, name: &str, options: Options) -> Result<Row, Trouble> {
    let (mut room, first, second) = busy_two(world, name, &options).await?;
    room.healed();
    room.stop(second)?;
    room.caught_up().await?;
    peaceful(room, vec![first], PEACE).await
}

pub(super) async fn kill(world: &mut World, name: &str, options: Options) -> Result<Row, Trouble> {
    let (mut room, first, second) = busy_two(world, name, &options).await?;
    room.a_while(0.3).await;
    room.healed();
    room.kill(second)?;
    room.caught_up().await?;
    Ok(room.finish(vec![first], DEATH).await?.0)
}

/// Stopped for longer than its session, and woken when others have its partitions.
///
/// It has fetched much that it has not begun when it falls asleep: whatever it begins of that when it wakes is too late.
pub(super) async fn zombie(world: &mut World, name: &str, options: Options) -> Result<Row, Trouble> {
    let servers = world.one().await?.servers();
    let mut setup = Setup::default();
    (setup.pace.rate, setup.pace.script) = (2, |id| match usual(id) {
        Some(Brings::FailsTimes(times)) => Some(Brings::FailsTimes(times)),
        _ => Some(Brings::Takes(25)),
    });
    let mut room = Room::open(&world.folder, &servers, name, setup).await?;
    let options = Options { at_a_time: 6, ..options };
    let (mut first, mut second) = (room.member_with(&options)?, room.member_with(&options)?);
    room.traffic.begin();
    room.at_work(&mut first).await?;
    room.at_work(&mut second).await?;
    room.a_while(1.0).await;
    room.traffic.burst(40).await;
    room.a_while(0.3).await;
    room.healed();
    room.freeze(&second)?;
    room.caught_up().await?;
    room.a_while(1.0).await;
    room.wake(&second)?;
    // It has joined anew by then.
    room.at_work(&mut second).await?;
    room.a_while(1.5).await;
    room.caught_up().await?;
    // Two rebalances, and the second sleeper lies in between.
    let bounds = Bounds { recovery: 25.0, ..DEATH };
    let (mut row, evidence) = room.finish(vec![second, first], bounds).await?;
    let undead = verdict::begun_by_the_undead(&evidence.entries);
    row.none("handlers that the woken member began for what others had", undead.len());
    row.shown("undead", undead.into_iter());
    Ok(row)
}

/// Others come and go, five rebalances in a row, each as soon as the one before is through.
pub(super) async fn five(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, first) = busy(world, name, &options()).await?;
    room.healed();
    let mut second = room.member()?;
    room.at_work(&mut second).await?;
    let mut third = room.member()?;
    room.at_work(&mut third).await?;
    room.stop(second)?;
    let mut fourth = room.member()?;
    room.at_work(&mut fourth).await?;
    room.stop(third)?;
    room.caught_up().await?;
    peaceful(room, vec![fourth, first], Bounds { recovery: 20.0, ..PEACE }).await
}

/// Told to stop while the group rebalances: handlers take long, so the drain of the one that gives partitions up does too.
pub(super) async fn stop_in_rebalance(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let servers = world.one().await?.servers();
    let mut setup = Setup::default();
    setup.pace.script = |(key, number)| match number % 20 {
        7 => Some(Brings::Takes(1500)),
        _ => usual((key, number)),
    };
    let mut room = Room::open(&world.folder, &servers, name, setup).await?;
    let (mut first, mut second) = (room.member()?, room.member()?);
    room.traffic.begin();
    room.at_work(&mut first).await?;
    room.at_work(&mut second).await?;
    room.a_while(1.0).await;
    let mut third = room.member()?;
    // It may be over before it is seen.
    for _ in 0..5 {
        if rebalances(&room).await? {
            break;
        }
        room.stop(third)?;
        third = room.member()?;
    }
    room.healed();
    room.stop(second)?;
    room.at_work(&mut third).await?;
    // Keys whose step takes 1.5 s are behind again and again.
    let bounds = Bounds { stall: 8.0, recovery: 15.0, ..PEACE };
    peaceful(room, vec![third, first], bounds).await
}

/// Stopped and started again, ten times.
pub(super) async fn restarts(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, mut only) = busy(world, name, &options()).await?;
    room.healed();
    for _ in 0..10 {
        room.stop(only)?;
        only = room.member()?;
        room.at_work(&mut only).await?;
    }
    room.caught_up().await?;
    peaceful(room, vec![only], Bounds { recovery: 20.0, ..PEACE }).await
}

/// Handlers that take longer than `max.poll.interval.ms`, some of which keep their thread.
pub(super) async fn slow(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let servers = world.one().await?.servers();
    let mut setup = Setup::default();
    setup.pace.script = |(key, number)| match (key, number) {
        (0, 3) => Some(Brings::Takes(22_000)),
        (1, 40) => Some(Brings::Blocks(21_000)),
        id => usual(id),
    };
    let mut room = Room::open(&world.folder, &servers, name, setup).await?;
    let options = options().with("max.poll.interval.ms", "20000").with("session.timeout.ms", "3000");
    let (mut first, mut second) = (room.member_with(&options)?, room.member_with(&options)?);
    room.traffic.begin();
    room.at_work(&mut first).await?;
    room.at_work(&mut second).await?;
    room.healed();
    room.a_while(24.0).await;
    room.caught_up().await?;
    // The one that blocks keeps the partitions of its member waiting; all of it was said so.
    let bounds = Bounds { stall: 24.0, recovery: 35.0, ..PEACE };
    Ok(room.finish(vec![second, first], bounds).await?.0)
}

/// Keys are parked, for the topic of the dead letters takes none; a hand-over, a stop and a restart repeat nothing all the same.
pub(super) async fn parked(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let servers = world.one().await?.servers();
    let mut setup = Setup { letter_settings: vec![(crate::eye::LARGEST, "100")], ..Setup::default() };
    setup.pace.script = |(key, number)| match (key % 8, number) {
        (3, 20) => Some(Brings::Poison),
        _ => usual((key, number)),
    };
    let mut room = Room::open(&world.folder, &servers, name, setup).await?;
    let mut first = room.member()?;
    room.traffic.begin();
    room.at_work(&mut first).await?;
    room.until("nothing is parked", |room| Ok(room.traffic.sent().poison.len() == 3)).await?;
    room.a_while(1.5).await;
    let mut second = room.member()?;
    room.at_work(&mut second).await?;
    room.a_while(1.0).await;
    room.stop(first)?;
    room.a_while(0.5).await;
    room.stop(second)?;
    let refused = room.letters_taken()?;
    room.eye.set(&room.letters, &[(crate::eye::LARGEST, "1048588")]).await?;
    room.healed();
    let mut third = room.member()?;
    room.at_work(&mut third).await?;
    room.a_while(1.0).await;
    let letters = room.traffic.sent().poison.len();
    let bounds = Bounds { stall: 4.0, recovery: 10.0, ..PEACE };
    let (mut row, evidence) = room.finish(vec![third], bounds).await?;
    row.none("dead letters taken while they were refused", refused as usize);
    let taken = evidence.dead().len();
    row.claim("dead letters", taken.to_string(), format!("{letters}, each once"), taken == letters);
    row.none("dead letters repeated", evidence.letters_twice());
    Ok(row)
}

/// Whether the group is seen to rebalance within the next seconds.
async fn rebalances(room: &Room) -> Result<bool, Trouble> {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(3);
    while std::time::Instant::now() < until {
        if room.eye.group_state(&room.group)? == "PreparingRebalance" {
            return Ok(true);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Ok(false)
}
