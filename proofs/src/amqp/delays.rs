//! Messages wait for their time, and the broker in which they wait is killed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gulo::message::{Message, SendOptions};

use super::World;
use super::room::{Room, Setup, WINDOW};
use crate::judge::{effects, step};
use crate::rows::{Bounds, Row};
use crate::scene::PATIENCE;
use crate::step::Step;
use crate::traffic::Pace;
use crate::{Trouble, now};

/// So many, each of a key of its own, the first one due after this, the others one behind the other.
const MESSAGES: usize = 400;
const FIRST: Duration = Duration::from_secs(2);
const EACH: Duration = Duration::from_millis(30);
/// What finds no way while the broker recovers, exchanges after queues, it tries again after three minutes.
const TRIED_AGAIN: usize = 200;
/// RabbitMQ moves so many at a time from one queue to the next: when it dies, some of them are in both.
const MOVING: usize = 32 * 8;

pub(super) async fn killed(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let pace = Pace { keys: MESSAGES + 1, ..Pace::default() };
    let setup = Setup { pace, publish_timeout: Duration::from_secs(30), ..Setup::default() };
    let mut room = Room::open(world, name, setup).await?;
    let mut only = room.member()?;
    room.joined(&mut only).await?;
    // What they wait in is made for the first one.
    send(&room, vec![MESSAGES], Duration::ZERO).await?;
    send(&room, (0..MESSAGES).collect(), FIRST).await?;
    room.a_while(5.0).await;
    let before = room.entries().map(|entries| effects(entries).count())?;
    room.server.kill().await?;
    room.a_while(0.5).await;
    room.server.again().await?;
    room.healed();
    for _ in 0..TRIED_AGAIN / PATIENCE.as_secs() as usize {
        if room.all_handled().await.is_ok() {
            break;
        }
    }
    let because = "a window of 400, and what was moving from queue to queue";
    let bounds = Bounds { duplicates: WINDOW + MOVING, because, stall: 0.0, recovery: TRIED_AGAIN as f64 };
    let (mut row, evidence) = room.finish(vec![only], bounds).await?;
    let due = |key: usize, number: usize| evidence.sent.at[key][number];
    let early = effects(&evidence.entries).map(|effect| (step(effect), effect.at));
    row.none("early", early.filter(|((key, number), at)| *at < due(*key, *number)).count());
    let some = before > 10 && before < MESSAGES - 10;
    row.claim("handled when it was killed", before.to_string(), "some, not all", some);
    Ok(row)
}

/// One message of each of `keys`, which is taken for sent when it is due.
async fn send(room: &Room, keys: Vec<usize>, first: Duration) -> Result<(), Trouble> {
    let first = Duration::from_micros(now()) + first;
    let mut batch: Vec<Message> = Vec::new();
    for (place, key) in keys.into_iter().enumerate() {
        let due = first + EACH * place as u32;
        let number = room.traffic.sent().at[key].len();
        room.traffic.sent().at[key].push(due.as_micros() as u64);
        let send = SendOptions { deliver_at: Some(at(due)), ..SendOptions::default() };
        let step = Step { key, number, trouble: None };
        batch.push(Message { send: send.into(), ..step.message(&room.topic) });
    }
    room.traffic.publisher.publish(batch).await.map_err(|unsent| unsent.to_string().into())
}

fn at(since: Duration) -> SystemTime {
    UNIX_EPOCH + since
}
