//! The broker dies, stops and stands still; connections break.

use gulo_conformance::Mode;

use super::World;
use super::room::{BY_CRASH, BY_LOSS, CRASH, HEARTBEAT, Room, Setup, WINDOW};
use crate::member::Member;
use crate::rows::{Bounds, Row};
use crate::{Trouble, now};

/// Connections break at once, and with them goes what was not acknowledged.
const AWAY: Bounds = Bounds { duplicates: CRASH, because: BY_CRASH, stall: 25.0, recovery: 10.0 };
/// Until it is noticed that nobody answers, and until all is made anew.
const UNHEARD: Bounds = Bounds { duplicates: WINDOW, because: BY_LOSS, stall: 15.0, recovery: 10.0 };

/// A room in which one member handles a load.
pub(super) async fn busy(world: &mut World, name: &str, setup: Setup) -> Result<(Room, Member), Trouble> {
    let mut room = Room::open(world, name, setup).await?;
    let mut first = room.member()?;
    room.traffic.begin();
    room.at_work(&mut first).await?;
    room.a_while(1.0).await;
    Ok((room, first))
}

/// The same with a second one that waits for its turn.
pub(super) async fn busy_two(world: &mut World, name: &str, setup: Setup) -> Result<(Room, Member, Member), Trouble> {
    let (mut room, first) = busy(world, name, setup).await?;
    let mut second = room.member()?;
    room.joined(&mut second).await?;
    room.caught_up().await?;
    Ok((room, first, second))
}

/// `kill -9`, and a start.
pub(super) async fn killed(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, first, second) = busy_two(world, name, Setup::default()).await?;
    let from = now();
    room.server.kill().await?;
    room.a_while(0.5).await;
    room.server.again().await?;
    room.healed();
    room.caught_up().await?;
    let said = room.said_since(from);
    let mut row = room.finish(vec![second, first], AWAY).await?.0;
    down_and_up(&mut row, &said);
    Ok(row)
}

pub(super) async fn restarted(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, first, second) = busy_two(world, name, Setup::default()).await?;
    let from = now();
    room.server.stop().await?;
    room.server.again().await?;
    room.healed();
    room.caught_up().await?;
    let said = room.said_since(from);
    let mut row = room.finish(vec![second, first], AWAY).await?.0;
    down_and_up(&mut row, &said);
    Ok(row)
}

/// Stopped (SIGSTOP) for longer than two heartbeats.
pub(super) async fn paused(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, first, second) = busy_two(world, name, Setup::default()).await?;
    let from = now();
    room.server.pause().await?;
    room.a_while(HEARTBEAT.as_secs_f64() * 3.0).await;
    room.server.resume().await?;
    room.healed();
    room.caught_up().await?;
    let said = room.said_since(from);
    let mut row = room.finish(vec![second, first], UNHEARD).await?.0;
    down_and_up(&mut row, &said);
    Ok(row)
}

/// The status names a cause, and is well again.
fn down_and_up(row: &mut Row, said: &[String]) {
    let cause = said.iter().find(|said| said.starts_with("Down")).map_or("nothing", String::as_str);
    let well = said.last().is_none_or(|last| last == "Up");
    let told = format!("{}{}", reason(cause), if well { ", then up" } else { "" });
    row.claim("status", told, "down with a cause, then up", cause != "nothing" && well);
}

/// Without the time, which says nothing to who reads it.
fn reason(status: &str) -> &str {
    status.split_once("reason: ").map_or(status, |(_, reason)| reason.trim_end_matches(" }"))
}

/// By the broker, as an operator would.
pub(super) async fn cut_all(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, first, second) = busy_two(world, name, Setup::default()).await?;
    for _ in 0..3 {
        room.server.cut().await?;
        room.a_while(1.0).await;
    }
    room.healed();
    room.caught_up().await?;
    let bounds = Bounds {
        duplicates: 3 * CRASH,
        because: "three times 200 finished and not yet acknowledged, 16 in work",
        stall: 5.0,
        recovery: 5.0,
    };
    Ok(room.finish(vec![second, first], bounds).await?.0)
}

/// The publisher's connections are cut, again and again.
pub(super) async fn cut_publish(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let proxy = world.proxy().await?;
    let setup = Setup { way: Some(proxy.address().into()), ..Setup::default() };
    let (mut room, only) = busy(world, name, setup).await?;
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

/// A member's connections are cut, again and again.
pub(super) async fn cut_consume(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let proxy = world.proxy().await?;
    let mut room = Room::open(world, name, Setup::default()).await?;
    let mut only = room.member_at(&room.options, &super::server::url(proxy.address()))?;
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
    let bounds = Bounds {
        duplicates: 8 * CRASH,
        because: "eight times 200 finished and not yet acknowledged, 16 in work",
        stall: 5.0,
        recovery: 5.0,
    };
    Ok(room.finish(vec![only], bounds).await?.0)
}

/// Bytes of the publisher neither arrive nor are refused.
pub(super) async fn half_open_publish(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let proxy = world.proxy().await?;
    let setup = Setup { way: Some(proxy.address().into()), ..Setup::default() };
    let (mut room, only) = busy(world, name, setup).await?;
    let from = now();
    proxy.set(Mode::Freeze).await;
    room.a_while(HEARTBEAT.as_secs_f64() * 3.0).await;
    let said = room.said_since(from);
    proxy.set(Mode::Open).await;
    room.healed();
    room.caught_up().await?;
    let mut row = room.finish(vec![only], Bounds { duplicates: 0, because: "", ..UNHEARD }).await?.0;
    let told = said.last().map_or("nothing", |said| reason(said));
    row.claim("status meanwhile", told, "down: nothing was heard", told.contains("two heartbeats"));
    Ok(row)
}

/// The same of the member that reads; the other takes over.
pub(super) async fn half_open_consume(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let proxy = world.proxy().await?;
    let mut room = Room::open(world, name, Setup::default()).await?;
    let mut first = room.member_at(&room.options, &super::server::url(proxy.address()))?;
    room.traffic.begin();
    room.at_work(&mut first).await?;
    let mut second = room.member()?;
    room.joined(&mut second).await?;
    room.caught_up().await?;
    proxy.set(Mode::Freeze).await;
    room.at_work(&mut second).await?;
    room.a_while(HEARTBEAT.as_secs_f64()).await;
    proxy.set(Mode::Open).await;
    room.healed();
    room.a_while(2.0).await;
    room.caught_up().await?;
    Ok(room.finish(vec![second, first], UNHEARD).await?.0)
}
