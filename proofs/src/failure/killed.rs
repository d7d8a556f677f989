//! `kill -9` in the middle of everything: a handler stuck, a key failing, a dead letter that the broker does not take.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::stage::{Run, Stage};
use super::{Cast, LaneKeys, Plan, RECOVERY, WINDOW, lane_of, peace, seconds};
use crate::judge::{self, Offsets, effects};
use crate::ledger::{Entry, Kind};
use crate::load::Role;
use crate::member::Member;
use crate::node::{AT_A_TIME, COMMIT, Health, SESSION};
use crate::pace;
use crate::record::Positions;
use crate::report::Report;
use crate::{Trouble, now};

/// The topic of the dead letters takes nothing larger before the node is killed. Not even the cut copy of the poison, for the
/// payload alone is larger.
pub(super) const LETTER_BYTES: usize = 200;
/// Handled behind the stuck message on its lane before the node is killed.
const BEHIND: usize = 500;
/// From the end of the dead member's session to the first new effect.
const TAKE_OVER: f64 = 3.0;

/// What was so when the node was killed.
pub(super) struct Killed {
    run: Run,
    /// Whether everything that was meant to be in trouble then was.
    middle: bool,
    at: u64,
    /// How many entries there were, what was committed, and how many dead letters stood there.
    entries: usize,
    committed: Positions,
    letters: i64,
}

pub(super) async fn run(stage: &mut Stage, plan: &Plan, cast: &Cast, lanes: &LaneKeys) -> Result<Killed, Trouble> {
    let for_ever = Duration::from_secs(3600);
    let roles =
        vec![(cast.stuck, Role::Stuck(for_ever)), (cast.failing, Role::Fails(for_ever)), (cast.poison, Role::Poison)];
    let load = plan.load(&stage.topic, plan.killed, roles);
    let mut node = stage.node(Health::Faulty)?;
    let sent = load.first(&*stage.publisher).await?;
    stage.at_work(&mut node).await?;
    let publisher = stage.publisher.clone();
    let number = load.trouble_at;
    let steady = tokio::spawn(async move { load.steady(&*publisher, sent).await });

    let lane = lane_of(lanes, cast.stuck);
    let middle = stage.until(&mut node, |stage| Ok(in_the_middle(stage.entries(), cast, number, lane))).await?;
    let (mut next, killed) = kill(stage, node).await?;
    let sent = steady.await??;
    stage.all_handled(&mut next, &sent).await?;
    Ok(Killed { middle, run: stage.end(next, sent)?, ..killed })
}

/// All three are in trouble, and much was finished behind the stuck one.
fn in_the_middle(entries: &[Entry], cast: &Cast, number: usize, lane: u32) -> bool {
    let has = |key: usize, kind| entries.iter().any(|e| e.kind == kind && (e.key, e.number) == (key, number));
    has(cast.stuck, Kind::Began)
        && has(cast.failing, Kind::Failed)
        && has(cast.poison, Kind::Failed)
        && effects(entries).filter(|e| e.partition == lane && e.number >= number).count() >= BEHIND
}

/// Kills the node, looks at what is there, mends what was broken, and starts another.
async fn kill(stage: &mut Stage, node: Member) -> Result<(Member, Killed), Trouble> {
    node.kill()?;
    let at = now();
    stage.follow()?;
    let entries = stage.entries().len();
    let committed = stage.eye.committed(&stage.topic, &stage.group)?;
    let letters = stage.letters_taken()?;
    stage.let_in().await?;
    let next = stage.node(Health::Repaired)?;
    Ok((next, Killed { run: Run::default(), middle: false, at, entries, committed, letters }))
}

pub(super) fn judge(report: &mut Report, killed: &Killed, cast: &Cast, lanes: &LaneKeys) {
    let Killed { run, middle, at, entries, committed, letters } = killed;
    peace::judge(report, run, "kill -9");
    let answer = if *middle { "yes" } else { "no" };
    report.claim("kill -9: in the middle of all three troubles", answer, "yes", *middle);
    report.none("kill -9: dead letters taken before it", *letters as usize, None);
    let before = &run.entries[..*entries];
    let mut offsets = Offsets::new();
    run.records.iter().for_each(|record| offsets.entry(record.partition as u32).or_default().push(record.offset));
    let too_far = judge::committed_too_far(committed, &offsets, &judge::finished(before));
    report.none("kill -9: lanes committed beyond something unfinished", too_far.len(), None);
    duplicates(report, run, cast, lanes);
    let expected = above(before, committed);
    report.fact("finished above the committed positions when it was killed", expected);
    recovery(report, run, *at, *entries);
}

/// What was finished at the kill and lies above what was committed.
fn above(before: &[Entry], committed: &Positions) -> usize {
    let beyond = |e: &&Entry| committed.get(&(e.partition as i32)).is_none_or(|end| e.offset >= *end);
    effects(before).filter(beyond).map(judge::step).collect::<HashSet<_>>().len()
}

/// On a lane with an unfinished message what was finished above it, at most the window; on the others what was finished since
/// the last commit, and what was in work.
fn duplicates(report: &mut Report, run: &Run, cast: &Cast, lanes: &LaneKeys) {
    let repeated = judge::duplicates(&run.entries);
    let held: BTreeSet<u32> = [cast.stuck, cast.failing, cast.poison].map(|key| lane_of(lanes, key)).into();
    let on_held = held.iter().map(|lane| repeated.get(lane).copied().unwrap_or_default());
    let most = on_held.max().unwrap_or_default();
    let claim = "kill -9: duplicates, worst lane with trouble";
    report.claim(claim, most.to_string(), format!("<= {WINDOW}, the window"), most <= WINDOW);
    let rest: usize = repeated.iter().filter(|(lane, _)| !held.contains(lane)).map(|(_, count)| *count).sum();
    let bound = COMMIT.every + AT_A_TIME;
    let claim = "kill -9: duplicates, all other lanes together";
    let required = format!("<= {bound}, a commit and what was in work");
    report.claim(claim, rest.to_string(), required, rest <= bound);
    let (all, bound) = (repeated.values().sum::<usize>(), held.len() * WINDOW + bound);
    report.claim("kill -9: duplicates, all", all.to_string(), format!("<= {bound}"), all <= bound);
}

fn recovery(report: &mut Report, run: &Run, at: u64, entries: usize) {
    let after = &run.entries[entries..];
    let first = effects(after).map(|e| e.at).min();
    let took = first.map_or(f64::INFINITY, |first| seconds(first - at));
    report.at_most(
        "kill -9: to the first new effect, session of 6 s included",
        took,
        SESSION.as_secs_f64() + TAKE_OVER,
        " s",
    );
    let from = first.unwrap_or(at);
    let caught_up = (0..run.sent.at.len()).map(|key| pace::caught_up(after, &run.sent.at, key, from));
    // One that never caught up is the slowest of all.
    let took = caught_up.map(|at| at.map_or(f64::INFINITY, |at| seconds(at - from))).fold(0.0, f64::max);
    report.at_most("kill -9: from there until there is no backlog", took, RECOVERY, " s");
}
