//! Exchanges and queues are deleted under a group at work.

use super::World;
use super::broker::{busy, busy_two};
use super::room::{BY_CRASH, CRASH, Room, Setup};
use crate::member::Member;
use crate::rows::{Bounds, Row};
use crate::{Trouble, now};

/// The topic is gone: what is published meanwhile is refused by its name. Then an operator makes it again.
pub(super) async fn exchange_deleted(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, only) = busy(world, name, Setup::default()).await?;
    // Many are on their way when it happens: of none of them it is known whether it was stored before.
    room.traffic.end().await?;
    let (server, topic) = (room.server.clone(), room.topic.clone());
    let deleting =
        tokio::spawn(async move { server.delete_exchange(&topic).await.map_err(|trouble| trouble.to_string()) });
    while !deleting.is_finished() {
        room.traffic.burst(40).await;
    }
    deleting.await??;
    room.a_while(1.0).await;
    room.traffic.begin();
    room.a_while(1.0).await;
    room.make_topology().await?;
    room.healed();
    room.caught_up().await?;
    let bounds = Bounds { duplicates: 0, because: "", stall: 7.0, recovery: 10.0 };
    let (mut row, evidence) = room.finish(vec![only], bounds).await?;
    let (refused, said) = (evidence.sent.refused.len(), &evidence.sent.said);
    let named = said.keys().filter(|said| said.starts_with("Refused")).all(|said| said.contains("`exchange-deleted-"));
    let told = format!("{refused}, {}", if named { "by name" } else { "not by name" });
    row.claim("refused meanwhile", told, "> 0, by name", refused > 0 && named);
    Ok(row)
}

/// What was in it is gone with it; whoever read it makes it again.
pub(super) async fn queue_deleted(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let (mut room, first, second) = busy_two(world, name, Setup::default()).await?;
    let from = now();
    room.server.delete_queue(&room.queue).await?;
    room.healed();
    room.caught_up().await?;
    let (heard, said) = heard_of(&room, [&first, &second], from)?;
    let gone = room.gone_with_queue(heard)?;
    let bounds = Bounds { duplicates: CRASH, because: BY_CRASH, stall: 5.0, recovery: 5.0 };
    let (mut row, evidence) = room.finish(vec![second, first], bounds).await?;
    row.fact("gone with the queue", gone);
    row.fact("refused until it was there again", evidence.sent.refused.len());
    let names = said.iter().filter(|said| said.contains("was deleted")).count();
    // Health is looked at now and then, and one may be well again between two looks.
    row.claim("members that name it in their health", names.to_string(), "1 or 2", names > 0);
    Ok(row)
}

/// When the first of them heard of it, and what each said.
fn heard_of(room: &Room, members: [&Member; 2], from: u64) -> Result<(u64, Vec<String>), Trouble> {
    let (mut first, mut said) = (now(), Vec::new());
    for member in members {
        let words = room.health_since(member.pid(), from)?;
        let word = words.into_iter().find(|(_, word)| !word.ends_with("well"));
        if let Some((at, word)) = word {
            first = first.min(at);
            said.push(word);
        }
    }
    Ok((first, said))
}
