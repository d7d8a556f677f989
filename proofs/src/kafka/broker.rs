//! Brokers die, stop and lead no longer; connections break.

use std::time::Duration;

use gulo_conformance::Mode;

use super::World;
use super::group::busy_two;
use super::room::{AT_A_TIME, CRASH, Room, SESSION, Setup, options};
use crate::Trouble;
use crate::member::Member;
use crate::node::Options;
use crate::rows::{Bounds, Row};
use crate::step::Brings;

/// Nobody can commit while the broker is away, and a member loses its partitions when its session ends meanwhile.
const AWAY: Bounds = Bounds {
    duplicates: 2 * CRASH,
    because: "of two members each 200 finished since the last commit, 16 in work",
    stall: 20.0,
    recovery: 20.0,
};
/// Of which some are: the controller may hear of the node first.
const FENCINGS: usize = 40;
/// Others lead on, and the group lives.
const ONE_OF_THREE: Bounds =
    Bounds { because: "200 finished since the last commit, 16 in work, of either member", ..AWAY };

/// `kill -9` of the only broker, and a start: the sessions of all members have ended by then.
pub(super) async fn restart(world: &mut World, name: &str, [one, other]: [Options; 2]) -> Result<Row, Trouble> {
    let servers = world.one().await?.servers();
    let mut room = Room::open(&world.folder, &servers, name, Setup::default()).await?;
    let (mut first, mut second) = (room.member_with(&one)?, room.member_with(&other)?);
    room.traffic.begin();
    room.at_work(&mut first).await?;
    room.at_work(&mut second).await?;
    room.a_while(1.0).await;
    world.one().await?.kill(0)?;
    room.a_while(0.5).await;
    world.one().await?.restart(0).await?;
    room.healed();
    room.at_work(&mut first).await?;
    room.at_work(&mut second).await?;
    room.caught_up().await?;
    Ok(room.finish(vec![second, first], AWAY).await?.0)
}

/// Stopped (SIGSTOP) for so many seconds.
pub(super) async fn frozen(world: &mut World, name: &str, seconds: f64) -> Result<Row, Trouble> {
    let (mut room, mut first, second) = busy_two(world, name, &options()).await?;
    world.one().await?.signal(0, "STOP")?;
    room.a_while(seconds).await;
    world.one().await?.signal(0, "CONT")?;
    room.healed();
    room.at_work(&mut first).await?;
    room.a_while(2.0).await;
    room.caught_up().await?;
    Ok(room.finish(vec![second, first], AWAY).await?.0)
}

/// It stands still again and again for a moment that is longer than its own session, and not longer than a member's.
pub(super) async fn fenced(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let servers = world.fragile().await?.servers();
    let mut room = Room::open(&world.folder, &servers, name, Setup::default()).await?;
    let (mut first, mut second) = (room.member()?, room.member()?);
    room.traffic.begin();
    room.at_work(&mut first).await?;
    for _ in 0..FENCINGS {
        world.fragile().await?.signal(0, "STOP")?;
        room.a_while(0.6).await;
        world.fragile().await?.signal(0, "CONT")?;
        room.healed();
        room.at_work(&mut first).await?;
        room.at_work(&mut second).await?;
        room.caught_up().await?;
    }
    Ok(room.finish(vec![second, first], AWAY).await?.0)
}

async fn busy_on_three(world: &mut World, name: &str) -> Result<(Room, [Member; 2], usize), Trouble> {
    let servers = world.three().await?.servers();
    let mut room = Room::open(&world.folder, &servers, name, Setup::default()).await?;
    let (mut first, mut second) = (room.member()?, room.member()?);
    room.traffic.begin();
    room.at_work(&mut first).await?;
    room.at_work(&mut second).await?;
    room.a_while(1.0).await;
    let leader = room.eye.leader(&room.topic, 0)?;
    Ok((room, [first, second], leader as usize - 1))
}

/// One of three is killed, the leader of a partition; two in-sync replicas are enough.
pub(super) async fn one_of_three(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, [mut first, second], leader) = busy_on_three(world, name).await?;
    room.healed();
    world.three().await?.kill(leader)?;
    room.a_while(4.0).await;
    room.at_work(&mut first).await?;
    room.caught_up().await?;
    let result = room.finish(vec![second, first], ONE_OF_THREE).await;
    whole_again(world, leader).await?;
    Ok(result?.0)
}

/// One of three is stopped in peace and started again: what it led moves away, and back.
pub(super) async fn leader_moves(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, [mut first, second], leader) = busy_on_three(world, name).await?;
    room.healed();
    world.three().await?.stop(leader).await?;
    room.at_work(&mut first).await?;
    let moved = room.eye.leader(&room.topic, 0)? as usize - 1;
    whole_again(world, leader).await?;
    room.a_while(2.0).await;
    room.caught_up().await?;
    let (mut row, _) = room.finish(vec![second, first], ONE_OF_THREE).await?;
    let told = format!("from {} to {}", leader + 1, moved + 1);
    row.claim("the leader of partition 0", told, "another", moved != leader);
    Ok(row)
}

/// The publisher's connections are cut, again and again.
pub(super) async fn cut_produce(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (servers, proxy) = (world.one().await?.servers(), world.proxy().await?);
    let way = world.one().await?.faulty().1;
    let setup = Setup { publisher: Some(way), ..Setup::default() };
    let mut room = Room::open(&world.folder, &servers, name, setup).await?;
    let mut only = room.member()?;
    room.traffic.begin();
    room.at_work(&mut only).await?;
    for _ in 0..4 {
        proxy.set(Mode::Refuse).await;
        room.a_while(0.2).await;
        proxy.set(Mode::Open).await;
        room.a_while(1.3).await;
    }
    room.healed();
    room.caught_up().await?;
    let bounds = Bounds { duplicates: 0, because: "", stall: 5.0, recovery: 5.0 };
    Ok(room.finish(vec![only], bounds).await?.0)
}

/// A member's connections are cut, again and again, while it commits all the time.
pub(super) async fn cut_commit(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (servers, proxy) = (world.one().await?.servers(), world.proxy().await?);
    let way = world.one().await?.faulty().1;
    let mut room = Room::open(&world.folder, &servers, name, Setup::default()).await?;
    let often = Options { commit_every: 10, commit_interval: Duration::from_millis(20), ..options() };
    let mut only = room.member_at(&often, &way)?;
    room.traffic.begin();
    room.at_work(&mut only).await?;
    for _ in 0..8 {
        proxy.set(Mode::Refuse).await;
        room.a_while(0.15).await;
        proxy.set(Mode::Open).await;
        room.a_while(0.5).await;
    }
    room.healed();
    room.caught_up().await?;
    // The member stays one, so it keeps its partitions.
    let bounds = Bounds { duplicates: 0, because: "", stall: 5.0, recovery: 5.0 };
    Ok(room.finish(vec![only], bounds).await?.0)
}

/// One member hears nothing for longer than its session, while the other hears everything. It has fetched so much that it
/// has work for longer than that: what it goes on with when its session is over, the other handles too.
pub(super) async fn isolated(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (servers, proxy) = (world.one().await?.servers(), world.proxy().await?);
    let way = world.one().await?.faulty().1;
    let mut setup = Setup::default();
    (setup.pace.rate, setup.pace.script) = (2, |_| Some(Brings::Takes(50)));
    let mut room = Room::open(&world.folder, &servers, name, setup).await?;
    let few = Options { at_a_time: 6, ..options() };
    let (mut first, mut second) = (room.member_with(&few)?, room.member_at(&few, &way)?);
    room.traffic.begin();
    room.at_work(&mut first).await?;
    room.at_work(&mut second).await?;
    room.traffic.burst(60).await;
    room.a_while(0.3).await;
    proxy.set(Mode::Freeze).await;
    room.a_while(SESSION.as_secs_f64() + 2.5).await;
    proxy.set(Mode::Open).await;
    room.healed();
    room.at_work(&mut second).await?;
    room.a_while(1.0).await;
    room.caught_up().await?;
    // Six at a time, 50 ms each.
    let bounds = Bounds {
        duplicates: 120 * 7 / 2 + 6,
        because: "120 a second for a session and a commit, for the member cannot commit and does not know, and 6 in work",
        stall: SESSION.as_secs_f64() + 5.0,
        recovery: 25.0,
    };
    Ok(room.finish(vec![second, first], bounds).await?.0)
}

/// One of three is away, and the topic wants all three: the brokers refuse every write, as with a full disk, and heal.
pub(super) async fn refused(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, [mut first, second], leader) = busy_on_three(world, name).await?;
    let other = (leader + 1) % 3;
    world.three().await?.kill(other)?;
    room.at_work(&mut first).await?;
    room.caught_up().await?;
    room.a_while(4.0).await;
    room.eye.set(&room.topic, &[("min.insync.replicas", "3")]).await?;
    room.a_while(1.0).await;
    let at_rest = room.eye.ends(&room.topic)?;
    room.a_while(3.0).await;
    let meanwhile: i64 = room.eye.ends(&room.topic)?.values().sum::<i64>() - at_rest.values().sum::<i64>();
    room.eye.set(&room.topic, &[("min.insync.replicas", "2")]).await?;
    room.healed();
    room.caught_up().await?;
    let result = room.finish(vec![second, first], ONE_OF_THREE).await;
    whole_again(world, other).await?;
    let mut row = result?.0;
    row.claim("messages taken while they are refused", meanwhile.to_string(), "0: they were", meanwhile == 0);
    Ok(row)
}

/// The same for what groups commit: nothing can be committed for a while. Then a hand-over.
pub(super) async fn refused_commits(world: &mut World, name: &str) -> Result<Row, Trouble> {
    const OFFSETS: &str = "__consumer_offsets";
    let of_topic = |replicas: &'static str| {
        let own = [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", "104857600")];
        [&own[..], &[("min.insync.replicas", replicas)]].concat()
    };
    let (mut room, [mut first, second], leader) = busy_on_three(world, name).await?;
    let other = (leader + 1) % 3;
    world.three().await?.kill(other)?;
    room.at_work(&mut first).await?;
    room.caught_up().await?;
    // Until it is out of the in-sync replicas.
    room.a_while(4.0).await;
    room.eye.set(OFFSETS, &of_topic("3")).await?;
    room.a_while(1.0).await;
    let before = room.eye.committed(&room.topic, &room.group);
    room.a_while(4.0).await;
    let after = room.eye.committed(&room.topic, &room.group);
    room.eye.set(OFFSETS, &of_topic("2")).await?;
    room.healed();
    room.caught_up().await?;
    let mut third = room.member()?;
    room.at_work(&mut third).await?;
    room.caught_up().await?;
    let bounds = Bounds {
        duplicates: 384 * 4 + 2 * AT_A_TIME,
        because: "384 a second for a session and a commit, in which nothing can be committed, and what was in work",
        stall: 30.0,
        recovery: 25.0,
    };
    let result = room.finish(vec![third, second, first], bounds).await;
    whole_again(world, other).await?;
    let mut row = result?.0;
    let (still, told) = match (&before, &after) {
        (Ok(before), Ok(after)) => (before == after, "something"),
        // The coordinator that cannot write does not answer what it had written either.
        _ => (true, "nothing, and no answer what was"),
    };
    let told = if before.is_ok() && still { "nothing" } else { told };
    row.claim("committed while commits are refused", told, "nothing: they were", still);
    Ok(row)
}

async fn whole_again(world: &mut World, at: usize) -> Result<(), Trouble> {
    world.three().await?.restart(at).await?;
    world.three().await?.all_serve().await
}
