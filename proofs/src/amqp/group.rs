//! Members come, go, die and sleep. One reads the queue, the others wait for their turn.

use super::World;
use super::broker::{busy, busy_two};
use super::room::{BY_CRASH, CRASH, HEARTBEAT, Room, Setup};
use crate::member::Member;
use crate::node::Options;
use crate::rows::{Bounds, Row};
use crate::step::Brings;
use crate::traffic::usual;
use crate::{Trouble, verdict};

/// A hand-over: nothing is repeated, and nobody waits for long.
const PEACE: Bounds = Bounds { duplicates: 0, because: "", stall: 2.0, recovery: 3.0 };
/// Its connection breaks with it, and the broker sees that at once.
const DEATH: Bounds = Bounds { duplicates: CRASH, because: BY_CRASH, stall: 2.0, recovery: 3.0 };

/// What is in work where a member stops comes to its end.
async fn peaceful(room: Room, members: Vec<Member>, bounds: Bounds) -> Result<Row, Trouble> {
    let (mut row, evidence) = room.finish(members, bounds).await?;
    row.none("handlers dropped in the middle", verdict::dropped(&evidence.entries));
    Ok(row)
}

pub(super) async fn join(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, first) = busy(world, name, Setup::default()).await?;
    room.healed();
    let mut second = room.member()?;
    room.joined(&mut second).await?;
    room.a_while(1.0).await;
    room.caught_up().await?;
    peaceful(room, vec![second, first], PEACE).await
}

pub(super) async fn leave(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, first, mut second) = busy_two(world, name, Setup::default()).await?;
    room.healed();
    room.stop(first)?;
    room.at_work(&mut second).await?;
    room.caught_up().await?;
    peaceful(room, vec![second], PEACE).await
}

pub(super) async fn kill(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, first, mut second) = busy_two(world, name, Setup::default()).await?;
    room.healed();
    room.kill(first)?;
    room.at_work(&mut second).await?;
    room.caught_up().await?;
    Ok(room.finish(vec![second], DEATH).await?.0)
}

/// Stopped for longer than its heartbeat, and woken when the other has its turn.
///
/// It has been given much that it has not begun when it falls asleep: whatever it begins of that when it wakes is too late.
pub(super) async fn zombie(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let mut setup = Setup::default();
    (setup.pace.rate, setup.pace.script) = (2, |id| match usual(id) {
        Some(Brings::FailsTimes(times)) => Some(Brings::FailsTimes(times)),
        _ => Some(Brings::Takes(25)),
    });
    let mut room = Room::open(world, name, setup).await?;
    room.options = Options { at_a_time: 6, ..room.options.clone() };
    let mut first = room.member()?;
    room.traffic.begin();
    room.at_work(&mut first).await?;
    let mut second = room.member()?;
    room.joined(&mut second).await?;
    room.traffic.burst(40).await;
    room.a_while(0.3).await;
    room.healed();
    room.freeze(&first)?;
    room.at_work(&mut second).await?;
    room.caught_up().await?;
    room.a_while(1.0).await;
    room.wake(&first)?;
    room.a_while(2.0).await;
    // It has joined anew by then, and has its turn when the other goes.
    room.stop(second)?;
    room.at_work(&mut first).await?;
    room.caught_up().await?;
    // The broker gives it up after two heartbeats, and the burst lies in between.
    let patience = HEARTBEAT.as_secs_f64() * 2.0;
    let bounds = Bounds { stall: patience + 3.0, recovery: patience + 20.0, ..DEATH };
    let (mut row, evidence) = room.finish(vec![first], bounds).await?;
    let undead = verdict::begun_by_the_undead(&evidence.entries);
    row.none("handlers that the woken member began for what the other had", undead.len());
    row.shown("undead", undead.into_iter());
    Ok(row)
}

/// Stopped and started again, ten times.
pub(super) async fn restarts(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, mut only) = busy(world, name, Setup::default()).await?;
    room.healed();
    for _ in 0..10 {
        room.stop(only)?;
        only = room.member()?;
        room.at_work(&mut only).await?;
    }
    room.caught_up().await?;
    peaceful(room, vec![only], Bounds { recovery: 20.0, ..PEACE }).await
}
