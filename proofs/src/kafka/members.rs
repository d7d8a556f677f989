//! Other ways to be a member: with an id of one's own (`group.instance.id`), and by the new protocol (KIP-848).

use super::World;
use super::group::busy;
use super::room::{CRASH, Room, SESSION, Setup, options};
use crate::node::Options;
use crate::rows::{Bounds, Row};
use crate::{Trouble, verdict};

/// A member with a name of its own.
pub(super) fn named(name: &str) -> Options {
    options().with("group.instance.id", name)
}

/// By the new protocol.
pub(super) fn new_protocol() -> Options {
    options().with("group.protocol", "consumer")
}

/// A named member is killed, or stops, and comes back within its session: nothing moves, the other never has its partitions.
pub(super) async fn comes_back(world: &mut World, name: &str, kill: bool) -> Result<Row, Trouble> {
    let servers = world.one().await?.servers();
    let mut room = Room::open(&world.folder, &servers, name, Setup::default()).await?;
    let (mut first, mut second) = (room.member_with(&named("one"))?, room.member_with(&named("two"))?);
    room.traffic.begin();
    room.at_work(&mut first).await?;
    room.at_work(&mut second).await?;
    room.a_while(1.0).await;
    let known = room.entries()?.len();
    let (one, two) = (first.pid(), second.pid());
    room.healed();
    match kill {
        true => room.kill(second)?,
        false => room.stop(second)?,
    }
    room.a_while(0.5).await;
    let mut again = room.member_with(&named("two"))?;
    room.at_work(&mut again).await?;
    room.caught_up().await?;
    let three = again.pid();
    let bounds = Bounds {
        duplicates: if kill { CRASH } else { 0 },
        because: if kill { "200 finished since the last commit, 16 in work" } else { "" },
        stall: SESSION.as_secs_f64() + 2.0,
        recovery: SESSION.as_secs_f64() + 2.0,
    };
    room.traffic.end().await?;
    room.all_handled().await?;
    let after = verdict::partitions_of(&room.entries()?[known..], one);
    let (row, evidence) = room.finish(vec![again, first], bounds).await?;
    let before = verdict::partitions_of(&evidence.entries, two);
    let back = verdict::partitions_of(&evidence.entries, three);
    let mut row = row;
    let told = format!("{} of {}, {} taken by the other", back.len(), before.len(), after.intersection(&back).count());
    let same = back.is_subset(&before) && after.is_disjoint(&back);
    row.claim("partitions of the one that came back", told, "its own, none moved", same);
    Ok(row)
}

/// A member is killed and started again at once: by its name where it has one. How long until there is no backlog?
pub(super) async fn kill_and_restart(world: &mut World, name: &str, options: Options) -> Result<Row, Trouble> {
    let (mut room, only) = busy(world, name, &options).await?;
    room.a_while(1.0).await;
    room.healed();
    room.kill(only)?;
    let mut again = room.member_with(&options)?;
    room.at_work(&mut again).await?;
    room.caught_up().await?;
    let bounds = Bounds {
        duplicates: CRASH,
        because: "200 finished since the last commit, 16 in work",
        stall: SESSION.as_secs_f64() + 5.0,
        recovery: SESSION.as_secs_f64() + 7.0,
    };
    Ok(room.finish(vec![again], bounds).await?.0)
}
