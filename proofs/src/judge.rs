//! What the entries of a ledger say of loss, repetition and order. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ledger::{Entry, Kind};
use crate::record::Positions;

/// Steps published that neither had an effect nor are dead.
pub(crate) fn lost(published: &[usize], entries: &[Entry], dead: &HashSet<(usize, usize)>) -> Vec<(usize, usize)> {
    let handled: HashSet<_> = effects(entries).map(step).collect();
    let all = published.iter().enumerate().flat_map(|(key, count)| (0..*count).map(move |number| (key, number)));
    all.filter(|step| !handled.contains(step) && !dead.contains(step)).collect()
}

/// Effects after the first of a step, by partition.
pub(crate) fn duplicates(entries: &[Entry]) -> BTreeMap<u32, usize> {
    let (mut known, mut repeated) = (HashSet::new(), BTreeMap::new());
    for effect in effects(entries).filter(|effect| !known.insert(step(effect))) {
        *repeated.entry(effect.partition).or_default() += 1;
    }
    repeated
}

/// How often the order of a key was broken: a first effect behind that of a later step, a step begun in one process behind a
/// later one, a step begun while another of its key was in work.
pub(crate) fn disorder(entries: &[Entry]) -> usize {
    first_effects_out_of_order(entries) + steps_back(entries) + at_the_same_time(entries)
}

fn first_effects_out_of_order(entries: &[Entry]) -> usize {
    let (mut known, mut highest) = (HashSet::new(), HashMap::new());
    let firsts = effects(entries).filter(|effect| known.insert(step(effect)));
    firsts.filter(|effect| falls_behind(&mut highest, effect.key, effect.number)).count()
}

fn steps_back(entries: &[Entry]) -> usize {
    let mut highest = HashMap::new();
    let begun = entries.iter().filter(|entry| entry.kind == Kind::Began);
    begun.filter(|entry| falls_behind(&mut highest, (entry.process, entry.key), entry.number)).count()
}

fn falls_behind<K: std::hash::Hash + Eq>(highest: &mut HashMap<K, usize>, of: K, number: usize) -> bool {
    let highest = highest.entry(of).or_insert(number);
    let behind = number < *highest;
    *highest = number.max(*highest);
    behind
}

fn at_the_same_time(entries: &[Entry]) -> usize {
    let (mut in_work, mut together) = (HashMap::new(), 0);
    for entry in entries {
        let key = (entry.process, entry.key);
        if entry.kind == Kind::Began {
            together += usize::from(in_work.insert(key, entry.number).is_some());
        } else if in_work.get(&key) == Some(&entry.number) {
            in_work.remove(&key);
        }
    }
    together
}

/// Partitions on which more is committed than is finished: a successor would begin behind something unfinished.
pub(crate) fn committed_too_far(committed: &Positions, offsets: &Offsets, finished: &HashSet<(u32, i64)>) -> Vec<i32> {
    let unfinished = |partition: i32, end: i64| {
        let partition = partition as u32;
        offsets.get(&partition).into_iter().flatten().any(|at| *at < end && !finished.contains(&(partition, *at)))
    };
    committed
        .iter()
        .filter(|(partition, end)| unfinished(**partition, **end))
        .map(|(partition, _)| *partition)
        .collect()
}

/// The offsets that stand in each partition.
pub(crate) type Offsets = BTreeMap<u32, Vec<i64>>;

/// Where effects were done.
pub(crate) fn finished(entries: &[Entry]) -> HashSet<(u32, i64)> {
    effects(entries).map(|effect| (effect.partition, effect.offset)).collect()
}

pub(crate) fn effects(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.kind == Kind::Effect)
}

pub(crate) fn step(entry: &Entry) -> (usize, usize) {
    (entry.key, entry.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `B0 E0 B1`: one key, one partition, one process.
    fn ledger(text: &str) -> Vec<Entry> {
        let entry = |word: &str| {
            let (kind, number) = word.split_at(1);
            let kind = match kind {
                "B" => Kind::Began,
                "E" => Kind::Effect,
                _ => Kind::Failed,
            };
            let number = number.parse().expect("a number");
            Entry { kind, key: 0, number, partition: 0, offset: number as i64, at: 0, process: 0 }
        };
        text.split_whitespace().map(entry).collect()
    }

    #[test]
    fn in_order_through_a_failure_nothing_is_found() {
        let entries = ledger("B0 F0 B0 E0 B1 E1");
        assert_eq!((disorder(&entries), duplicates(&entries).len()), (0, 0));
        assert_eq!(lost(&[2], &entries, &HashSet::new()), []);
    }

    #[test]
    fn a_step_without_effect_is_lost_unless_it_is_dead() {
        let entries = ledger("B0 E0 B1 F1");
        assert_eq!(lost(&[2], &entries, &HashSet::new()), [(0, 1)]);
        assert_eq!(lost(&[2], &entries, &HashSet::from([(0, 1)])), []);
    }

    #[test]
    fn repeated_effects_are_counted_by_partition() {
        assert_eq!(duplicates(&ledger("E0 E1 E0 E1 E1")), BTreeMap::from([(0, 3)]));
    }

    #[test]
    fn whoever_overtakes_is_found() {
        // A failed one overtaken before it had its effect; one that dies overtaken between attempts; two at a time.
        assert_eq!(disorder(&ledger("B0 F0 B1 E1 B0 E0")), 2);
        assert_eq!(disorder(&ledger("B0 F0 B1 E1 B0 F0")), 1);
        assert_eq!(disorder(&ledger("B0 B1 E0 E1")), 1);
    }

    #[test]
    fn a_commit_over_something_unfinished_is_found() {
        let (finished, offsets) = (finished(&ledger("E0 E2")), Offsets::from([(0, vec![0, 1, 2])]));
        assert_eq!(committed_too_far(&Positions::from([(0, 1)]), &offsets, &finished), Vec::<i32>::new());
        assert_eq!(committed_too_far(&Positions::from([(0, 2)]), &offsets, &finished), [0]);
    }
}
