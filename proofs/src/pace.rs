//! How fast things went, by the entries of a ledger. Pure.

use crate::judge::effects;
use crate::ledger::Entry;

pub(crate) const SECOND: u64 = 1_000_000;

/// From when to when, both in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Span {
    fn holds(self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// The same span of a run that began at another time.
    pub(crate) fn moved(self, began: u64, other: u64) -> Self {
        Self { from: self.from - began + other, to: self.to - began + other }
    }

    fn seconds(self) -> impl Iterator<Item = Self> {
        (0..(self.to.saturating_sub(self.from)) / SECOND)
            .map(move |second| Self { from: self.from + second * SECOND, to: self.from + (second + 1) * SECOND })
    }
}

/// Effects of such keys within `span`.
pub(crate) fn handled(entries: &[Entry], of: &dyn Fn(usize) -> bool, span: Span) -> usize {
    effects(entries).filter(|effect| of(effect.key) && span.holds(effect.at)).count()
}

/// The same for each whole second of it.
pub(crate) fn by_second(entries: &[Entry], of: &dyn Fn(usize) -> bool, span: Span) -> Vec<usize> {
    span.seconds().map(|second| handled(entries, of, second)).collect()
}

/// When `key` had no backlog any more, after `from`: at the first effect of a step behind which no other had been sent yet.
pub(crate) fn caught_up(entries: &[Entry], sent: &[Vec<u64>], key: usize, from: u64) -> Option<u64> {
    let newest = |effect: &&Entry| sent[key].get(effect.number + 1).is_none_or(|next| *next > effect.at);
    effects(entries).filter(|effect| effect.key == key && effect.at >= from).find(newest).map(|effect| effect.at)
}

/// Half of the effects within `span` came within the first time of their sending, 99 of 100 within the second.
pub(crate) fn latency(entries: &[Entry], sent: &[Vec<u64>], of: &dyn Fn(usize) -> bool, span: Span) -> (u64, u64) {
    let within = effects(entries).filter(|effect| of(effect.key) && span.holds(effect.at));
    let mut all: Vec<u64> = within.map(|effect| effect.at.saturating_sub(sent[effect.key][effect.number])).collect();
    all.sort_unstable();
    let at = |percent: usize| all.get(all.len() * percent / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Kind;

    #[test]
    fn a_key_has_caught_up_when_nothing_newer_was_sent() {
        let effect = |number, at| Entry { kind: Kind::Effect, key: 0, number, partition: 0, offset: 0, at, process: 0 };
        let sent = [vec![0, 10, 20, 30]];
        // Step 0 at 25 with 1 and 2 behind it, 1 at 26, 2 at 27 before 3 was sent.
        let entries = [effect(0, 25), effect(1, 26), effect(2, 27), effect(3, 31)];
        assert_eq!(caught_up(&entries, &sent, 0, 25), Some(27));
        assert_eq!(caught_up(&entries, &sent, 0, 28), Some(31));
        assert_eq!(caught_up(&entries, &sent, 0, 32), None);
    }
}
