//! What no queue takes comes back from the broker, on the channel on which thousands of others are confirmed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gulo::message::Message;
use gulo::prelude::*;
use gulo::transport::{Outcome, TopicSpec, Topology, Transport, Unsent};

use super::World;
use super::room::{Room, Setup};
use crate::rows::{Bounds, Row};
use crate::step::Step;
use crate::{Trouble, now};

/// So many messages a call, and so many calls at once: more than the window of the publisher.
const EACH: usize = 1000;
const CALLS: usize = 4;
/// Steps that nobody can read have numbers from here on.
const UNREAD: usize = 1_000_000;

/// Which of a thousand go where no queue is, a round each: every second one, bursts of ten and of a hundred, few, all, half.
const ROUNDS: [fn(usize) -> bool; 8] = [
    |at| at % 2 == 0,
    |at| at % 100 < 10,
    |at| at % 300 < 100,
    |at| at % 100 == 7,
    |_| true,
    |at| at < EACH / 2,
    |at| at >= EACH - 5,
    |at| at % 3 == 0,
];

/// What became of all of them.
#[derive(Default)]
struct Count {
    unread: usize,
    refused: usize,
    /// Confirmed although no queue took it; refused although one did.
    confirmed_wrongly: usize,
    refused_wrongly: usize,
    otherwise: usize,
}

pub(super) async fn mixed(world: &mut World, name: &str) -> Result<Row, Trouble> {
    let mut setup = Setup { publish_timeout: Duration::from_secs(30), ..Setup::default() };
    setup.pace.script = |_| None;
    let mut room = Room::open(world, name, setup).await?;
    let unread: Arc<str> = format!("{}-unread", room.topic).into();
    let topology =
        Topology { mode: TopologyMode::Create, topics: vec![TopicSpec::new(unread.clone())], groups: Vec::new() };
    room.transport.ensure(&topology).await?;
    let mut count = Count::default();
    for goes_nowhere in ROUNDS {
        round(&room, &unread, goes_nowhere, &mut count).await?;
    }
    room.healed();
    let only = room.member()?;
    let bounds = Bounds { duplicates: 0, because: "", stall: 0.0, recovery: 30.0 };
    let mut row = room.finish(vec![only], bounds).await?.0;
    let (unread, refused) = (count.unread, count.refused);
    row.claim("refused, of those no queue takes", format!("{refused} of {unread}"), "all", refused == unread);
    row.none("confirmed of those", count.confirmed_wrongly);
    row.none("refused of those that a queue takes", count.refused_wrongly);
    row.none("with another outcome", count.otherwise);
    Ok(row)
}

/// The calls are made at once, in this order: each is handed over when it is first polled, and steps of a key are in the order
/// of calls.
async fn round(
    room: &Room,
    unread: &Arc<str>,
    goes_nowhere: fn(usize) -> bool,
    count: &mut Count,
) -> Result<(), Trouble> {
    let (mut steps, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        let (of_call, messages): (Vec<Step>, Vec<Message>) =
            (0..EACH).map(|at| next(room, unread, at, goes_nowhere(at))).unzip();
        steps.push(of_call);
        calls.push(room.traffic.publisher.publish(messages));
    }
    for (steps, outcome) in steps.iter().zip(join_all(calls).await) {
        judge(room, steps, outcome, count);
    }
    Ok(())
}

fn next(room: &Room, unread: &Arc<str>, at: usize, goes_nowhere: bool) -> (Step, Message) {
    let key = at % room.traffic.pace.keys;
    if goes_nowhere {
        let step = Step { key, number: UNREAD + at, trouble: None };
        let message = step.message(unread);
        return (step, message);
    }
    let mut sent = room.traffic.sent();
    let step = Step { key, number: sent.at[key].len(), trouble: None };
    sent.at[key].push(now());
    let message = step.message(&room.topic);
    (step, message)
}

fn judge(room: &Room, steps: &[Step], outcome: Result<(), Unsent>, count: &mut Count) {
    let failed = outcome.err().map(|unsent| unsent.failed).unwrap_or_default();
    let refused: BTreeSet<usize> =
        failed.iter().filter(|failed| failed.outcome == Outcome::Refused).map(|failed| failed.index).collect();
    count.otherwise += failed.len() - refused.len();
    let unread = |index: usize| steps[index].number >= UNREAD;
    count.unread += (0..steps.len()).filter(|index| unread(*index)).count();
    count.refused += refused.iter().filter(|index| unread(**index)).count();
    count.refused_wrongly += refused.iter().filter(|index| !unread(**index)).count();
    let failed: BTreeSet<usize> = failed.iter().map(|failed| failed.index).collect();
    count.confirmed_wrongly += (0..steps.len()).filter(|index| unread(*index) && !failed.contains(index)).count();
    let known = failed.iter().filter(|index| !unread(**index)).map(|index| (steps[*index].key, steps[*index].number));
    room.traffic.sent().unknown.extend(known);
}
