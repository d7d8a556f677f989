//! The broker lets nothing in, or waits no longer for an acknowledgement.

use std::time::Duration;

use super::World;
use super::broker::busy;
use super::room::{CRASH, Room, Setup};
use crate::member::Member;
use crate::rows::{Bounds, Row};
use crate::step::Brings;
use crate::traffic::usual;
use crate::{Trouble, now};

/// An alarm of memory. There is a backlog by then, and it must get smaller: acknowledgements are let in.
pub(super) async fn blocked(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let mut setup = Setup { publish_timeout: Duration::from_secs(3), ..Setup::default() };
    setup.pace.script = |_| Some(Brings::Takes(25));
    let (room, only) = busy(world, name, setup).await?;
    let server = room.server.clone();
    let played = under_alarm(room, only).await;
    // Whatever came of it: others want to publish.
    server.alarm(false).await?;
    played
}

async fn under_alarm(mut room: Room, only: Member) -> Result<Row, Trouble> {
    room.traffic.burst(60).await;
    let from = now();
    room.server.alarm(true).await?;
    room.a_while(7.0).await;
    let (said, left) = (room.said_since(from), room.in_queue().await?.unwrap_or(usize::MAX));
    let meanwhile = room.traffic.sent().said.clone();
    room.server.alarm(false).await?;
    room.healed();
    room.caught_up().await?;
    let bounds = Bounds { duplicates: 0, because: "", stall: 15.0, recovery: 5.0 };
    let mut row = room.finish(vec![only], bounds).await?.0;
    let status = said.iter().find(|said| said.starts_with("Blocked")).map_or("nothing", String::as_str);
    row.claim("status meanwhile", status, "blocked, and why", status.contains("memory"));
    row.claim("left in the queue meanwhile", left.to_string(), "0: members go on and acknowledge", left == 0);
    let told = meanwhile.keys().filter(|said| said.contains("lets nothing in")).count();
    let late: usize = meanwhile.values().sum();
    let claim = "publishes that failed by their deadline, with the cause";
    row.claim(claim, format!("{late}, {told} causes"), "> 0", late > 0 && told == meanwhile.len());
    Ok(row)
}

/// One handler is stuck for twice as long as the broker waits. The channel is closed under all of them.
pub(super) async fn ack_timeout(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let server = world.server().await?.clone();
    server.ack_timeout(3000).await?;
    let mut setup = Setup::default();
    setup.pace.script = |id| match id {
        (0, 40) => Some(Brings::StuckUntil(now() + 8_000_000)),
        id => usual(id),
    };
    let played = stuck(world, name, setup).await;
    server.usual_ack_timeout().await?;
    played
}

async fn stuck(world: &mut World, name: &str, setup: Setup) -> Result<Row, Trouble> {
    let (mut room, only) = busy(world, name, setup).await?;
    room.a_while(11.0).await;
    room.healed();
    room.caught_up().await?;
    let health = room.health_since(only.pid(), 0)?;
    // Closed after three to four seconds, and again with what was delivered again.
    let bounds = Bounds {
        duplicates: 3 * CRASH,
        because: "each time the channel is closed, 200 finished and not yet acknowledged, 16 in work",
        stall: 5.0,
        recovery: 5.0,
    };
    let mut row = room.finish(vec![only], bounds).await?.0;
    let named: Vec<_> = health.iter().filter(|(_, said)| said.contains("consumer_timeout")).collect();
    let told = named.first().map_or("nothing", |(_, said)| said.as_str());
    row.claim("the member's health", told, "names the cause", !named.is_empty());
    row.fact("channels closed", named.len());
    Ok(row)
}
