//! What ledger, log and samples say of one scenario. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::judge::{effects, step};
use crate::ledger::{Entry, Kind};
use crate::record::{Positions, Record, Sample};
use crate::step::Step;
use crate::traffic::{Id, Sent};

/// From when it was published to its effect, in microseconds: what takes longer is a backlog. Three attempts take less.
const LATE: u64 = 500_000;

/// Everything there is to judge by.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) sent: Sent,
    pub(crate) entries: Vec<Entry>,
    pub(crate) samples: Vec<Sample>,
    /// What stands in the log, and in that of the dead letters.
    pub(crate) log: Vec<Record>,
    pub(crate) letters: Vec<Record>,
}

impl Evidence {
    pub(crate) fn dead(&self) -> HashSet<Id> {
        self.letters.iter().filter_map(id_of).collect()
    }

    pub(crate) fn logged(&self) -> BTreeMap<Id, (u32, i64)> {
        let place = |record: &Record| Some((id_of(record)?, (record.partition as u32, record.offset)));
        self.log.iter().filter_map(place).collect()
    }

    /// What stands in the log and neither had an effect nor is dead.
    pub(crate) fn unhandled(&self) -> BTreeSet<Id> {
        let (handled, dead): (HashSet<Id>, _) = (effects(&self.entries).map(step).collect(), self.dead());
        self.logged().into_keys().filter(|id| !handled.contains(id) && !dead.contains(id)).collect()
    }

    /// What the publisher confirmed and neither stands in the log nor has ever been handled.
    pub(crate) fn never_stored(&self) -> BTreeSet<Id> {
        let (logged, handled): (_, HashSet<Id>) = (self.logged(), effects(&self.entries).map(step).collect());
        self.sent.confirmed().filter(|id| !logged.contains_key(id) && !handled.contains(id)).collect()
    }

    /// What stands twice in the log, or there although the publisher had refused it.
    pub(crate) fn untrue(&self) -> BTreeSet<Id> {
        let mut known = HashSet::new();
        let ids = self.log.iter().filter_map(id_of);
        ids.filter(|id| !known.insert(*id) || self.sent.refused.contains(id)).collect()
    }

    /// Effects after the first of a step.
    pub(crate) fn duplicates(&self) -> usize {
        crate::judge::duplicates(&self.entries).values().sum()
    }

    /// Dead letters beyond the first of a step.
    pub(crate) fn letters_twice(&self) -> usize {
        let mut known = HashSet::new();
        self.letters.iter().filter_map(id_of).filter(|id| !known.insert(*id)).count()
    }

    /// Samples and partitions where more was committed than was finished by then.
    pub(crate) fn committed_too_far(&self) -> Vec<(u64, i32, i64)> {
        let finished = self.finished();
        // By partition: offsets rising, each with when all up to it was finished.
        let mut lanes: BTreeMap<i32, Vec<(i64, usize)>> = BTreeMap::new();
        for (id, (partition, offset)) in self.logged() {
            let when = finished.get(&id).copied().unwrap_or(usize::MAX);
            lanes.entry(partition as i32).or_default().push((offset, when));
        }
        for lane in lanes.values_mut() {
            lane.sort_unstable();
            let mut latest = 0;
            lane.iter_mut().for_each(|(_, when)| (latest, *when) = (latest.max(*when), latest.max(*when)));
        }
        let too_far = |sample: &Sample, partition: i32, end: i64| {
            let lane = lanes.get(&partition).map_or(&[][..], Vec::as_slice);
            let below = lane.partition_point(|(offset, _)| *offset < end);
            below > 0 && lane[below - 1].1 >= sample.known
        };
        let all =
            self.samples.iter().flat_map(|sample| sample.committed.iter().map(move |(at, end)| (sample, *at, *end)));
        all.filter(|(sample, at, end)| too_far(sample, *at, *end))
            .map(|(sample, at, end)| (sample.at, at, end))
            .collect()
    }

    /// The entry by which each step was finished.
    fn finished(&self) -> HashMap<Id, usize> {
        let mut finished = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.kind == Kind::Effect) {
            finished.entry(step(entry)).or_insert(index);
        }
        for letter in &self.letters {
            // A letter is made before it is confirmed, and committed after that.
            let made = letter.timestamp as u64 * 1000;
            let index = self.entries.partition_point(|entry| entry.at < made);
            if let Some(id) = id_of(letter) {
                finished.entry(id).and_modify(|known: &mut usize| *known = index.min(*known)).or_insert(index);
            }
        }
        finished
    }

    pub(crate) fn disorder(&self) -> Vec<String> {
        let order = self.order();
        disorder(&self.entries, &self.dead(), &|entry| order.get(&step(entry)).copied().unwrap_or(entry.number as i64))
    }

    /// What comes after what, for keys whose steps all stand in one partition: the log says that, where a message that timed
    /// out arrived behind a later one. Elsewhere, in a topic that was made anew or has grown, the numbers do.
    fn order(&self) -> HashMap<Id, i64> {
        let (logged, handled) = (self.logged(), effects(&self.entries).map(step));
        let mut homes: BTreeMap<usize, BTreeSet<Option<u32>>> = BTreeMap::new();
        for id in handled.chain(logged.keys().copied()) {
            homes.entry(id.0).or_default().insert(logged.get(&id).map(|(partition, _)| *partition));
        }
        let at_home = |id: &Id| homes.get(&id.0).is_some_and(|homes| homes.len() == 1);
        logged.into_iter().filter(|(id, _)| at_home(id)).map(|(id, (_, offset))| (id, offset)).collect()
    }

    /// Messages that stand behind the committed positions, and positions behind the end: neither should be there in peace.
    /// Offsets without a message do not count.
    pub(crate) fn uncommitted(&self, committed: &Positions, ends: &Positions) -> usize {
        let behind = |record: &&Record| record.offset >= committed.get(&record.partition).copied().unwrap_or(0);
        let beyond = |(at, end): &(&i32, &i64)| **end > ends.get(at).copied().unwrap_or(0);
        self.log.iter().filter(behind).count() + committed.iter().filter(beyond).count()
    }

    /// The longest time in which a partition had no effect although the load went on.
    pub(crate) fn longest_stall(&self) -> u64 {
        let mut at: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        effects(&self.entries).for_each(|effect| at.entry(effect.partition).or_default().push(effect.at));
        at.values_mut().for_each(|at| at.sort_unstable());
        let gaps = self.sent.spans.iter().flat_map(|span| at.values().map(move |at| longest_gap(at, *span)));
        gaps.max().unwrap_or_default()
    }

    /// Whether, after `from`, each key had a moment without a backlog. Keys of poison have one as a rule.
    pub(crate) fn caught_up(&self, from: u64) -> bool {
        let poisoned = |key: &usize| self.sent.poison.iter().any(|(poisoned, _)| poisoned == key);
        let keys = (0..self.sent.at.len()).filter(|key| !self.sent.at[*key].is_empty() && !poisoned(key));
        let mut caught_up = keys.map(|key| crate::pace::caught_up(&self.entries, &self.sent.at, key, from));
        caught_up.all(|at| at.is_some())
    }

    /// From `from` until the last of those that came late was handled.
    pub(crate) fn recovery(&self, from: u64) -> u64 {
        let mut known = HashSet::new();
        let firsts = effects(&self.entries).filter(|effect| known.insert(step(effect)));
        let sent = |effect: &Entry| self.sent.at.get(effect.key)?.get(effect.number).copied();
        let late = |effect: &&Entry| sent(effect).is_some_and(|sent| effect.at > sent + LATE);
        firsts.filter(late).map(|effect| effect.at.saturating_sub(from)).max().unwrap_or_default()
    }
}

/// Within a span, its borders included; what was still to be handled at its end counts to its effect.
fn longest_gap(at: &[u64], (from, to): (u64, u64)) -> u64 {
    let first = at.partition_point(|at| *at < from);
    let last = at.partition_point(|at| *at < to);
    let within = at[first..last].iter().copied();
    let ends: Vec<u64> = std::iter::once(from).chain(within).chain([to]).collect();
    ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

pub(crate) fn id_of(record: &Record) -> Option<Id> {
    let step: Step = serde_json::from_slice(record.payload.as_deref()?).ok()?;
    Some((step.key, step.number))
}

/// Each time the order of a key was broken, in words:
///
/// - a first effect behind that of a later message;
/// - a handler that began behind a later message although its own had neither had an effect nor is dead;
/// - a handler that began while another of its key was in work, in any process. One that was in work when its process was
///   stopped does not count: nobody can stop it when that process wakes.
pub(crate) fn disorder(entries: &[Entry], dead: &HashSet<Id>, rank: &dyn Fn(&Entry) -> i64) -> Vec<String> {
    let (mut found, mut keys) = (Vec::new(), HashMap::<usize, Key>::new());
    for entry in entries {
        match entry.kind {
            Kind::Gone => keys.values_mut().for_each(|key| key.gone(entry.process)),
            Kind::Stopped => keys.values_mut().for_each(|key| key.stop(entry.process)),
            Kind::Woke => {}
            _ => {
                let key = keys.entry(entry.key).or_default();
                let broken = key.take_in(entry, rank(entry), dead);
                found.extend(broken.map(|what| describe(entry, what)));
            }
        }
    }
    found
}

fn describe(entry: &Entry, what: &str) -> String {
    let Entry { key, number, partition, offset, process, at, .. } = entry;
    format!("step {number} of key {key} ({partition}@{offset}) in process {process} at {at}: {what}")
}

#[derive(Default)]
struct Key {
    done: HashSet<usize>,
    first_effect: Option<i64>,
    begun: Option<i64>,
    /// By process: the step, and whether the process was stopped since.
    in_work: HashMap<u32, (usize, bool)>,
}

impl Key {
    fn gone(&mut self, process: u32) {
        self.in_work.remove(&process);
    }

    fn stop(&mut self, process: u32) {
        self.in_work.entry(process).and_modify(|(_, stopped)| *stopped = true);
    }

    fn take_in(&mut self, entry: &Entry, rank: i64, dead: &HashSet<Id>) -> Option<&'static str> {
        match entry.kind {
            Kind::Began => self.begin(entry, rank, dead.contains(&step(entry))),
            Kind::Effect => {
                self.end(entry);
                let first = self.done.insert(entry.number);
                (first && falls_behind(&mut self.first_effect, rank))
                    .then_some("its first effect is behind a later one's")
            }
            _ => {
                self.end(entry);
                None
            }
        }
    }

    fn begin(&mut self, entry: &Entry, rank: i64, dead: bool) -> Option<&'static str> {
        let together = self.in_work.values().any(|(_, stopped)| !stopped);
        self.in_work.insert(entry.process, (entry.number, false));
        let behind = falls_behind(&mut self.begun, rank);
        if together {
            return Some("begun while another of its key was in work");
        }
        (behind && !dead && !self.done.contains(&entry.number))
            .then_some("begun behind a later one, and not handled yet")
    }

    fn end(&mut self, entry: &Entry) {
        if self.in_work.get(&entry.process).is_some_and(|(number, _)| *number == entry.number) {
            self.in_work.remove(&entry.process);
        }
    }
}

fn falls_behind(highest: &mut Option<i64>, rank: i64) -> bool {
    let behind = highest.is_some_and(|highest| rank < highest);
    *highest = (*highest).max(Some(rank));
    behind
}

/// Handlers that a process began after it was woken, for what another had handled or had in work: it had been thrown out of
/// its group and did not know.
pub(crate) fn begun_by_the_undead(entries: &[Entry]) -> Vec<String> {
    let (mut woken, mut found) = (HashSet::new(), Vec::new());
    let mut having: HashMap<Id, HashSet<u32>> = HashMap::new();
    for entry in entries {
        let had = having.entry(step(entry)).or_default();
        let other = had.iter().any(|process| *process != entry.process);
        match entry.kind {
            Kind::Woke => {
                woken.insert(entry.process);
            }
            Kind::Began if woken.contains(&entry.process) && other => {
                found.push(describe(entry, "begun by a member that had been thrown out"));
            }
            // A failure leaves it to whoever comes.
            Kind::Failed | Kind::Dropped => {
                had.remove(&entry.process);
            }
            Kind::Began | Kind::Effect => {
                had.insert(entry.process);
            }
            Kind::Gone | Kind::Stopped => {}
        }
    }
    found
}

/// Handlers that were dropped before they came to an end.
pub(crate) fn dropped(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| entry.kind == Kind::Dropped).count()
}

/// Partitions in which `process` did something.
pub(crate) fn partitions_of(entries: &[Entry], process: u32) -> BTreeSet<u32> {
    let own = entries.iter().filter(|entry| entry.process == process && entry.kind == Kind::Began);
    own.map(|entry| entry.partition).collect()
}

#[cfg(test)]
mod tests;
