//! Which of a lane's arrivals are finished, and so how far its log may be committed.

use std::collections::VecDeque;

/// From the arrivals of one lane, finished in any order, to the watermark: the position from which a successor must
/// read so that nothing unfinished is skipped.
///
/// It counts arrivals and never computes `offset + 1` over a gap: transaction markers, aborted records and compaction
/// leave holes in a Kafka log that never arrive. Cost per message is constant (amortised); memory is one entry per
/// arrival above the watermark.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Arrivals from the first unfinished one on: position and whether it is finished.
    open: VecDeque<(i64, bool)>,
    /// Sequence number of the front of `open`.
    first: u64,
    /// Position behind the last finished message of the done prefix.
    behind: Option<i64>,
}

impl Ledger {
    /// A lane on which nothing has arrived.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the arrival at `position` of the log and gives it the next sequence number.
    ///
    /// Positions of a lane rise; one that does not is a repetition within the same assignment and gets `None`: it
    /// must not be handed out again.
    pub fn arrive(&mut self, position: i64) -> Option<u64> {
        let last = self.open.back().map(|(last, _)| *last).or_else(|| self.behind.map(|behind| behind - 1));
        if last.is_some_and(|last| position <= last) {
            return None;
        }
        self.open.push_back((position, false));
        Some(self.first + self.open.len() as u64 - 1)
    }

    /// Marks the arrival of `seq` finished. Returns whether the watermark moved. A second time, or a number that
    /// never arrived, changes nothing.
    pub fn finish(&mut self, seq: u64) -> bool {
        let Some(entry) = seq.checked_sub(self.first).and_then(|index| self.open.get_mut(index as usize)) else {
            return false;
        };
        entry.1 = true;
        let before = self.first;
        while let Some((position, true)) = self.open.front().copied() {
            self.open.pop_front();
            self.first += 1;
            self.behind = Some(position + 1);
        }
        self.first != before
    }

    /// The position to commit: that of the first unfinished arrival, or the one behind the last arrival where all are
    /// finished. `None` until the first arrival is finished: nothing is known then that was not known before.
    ///
    /// Where the log has a hole before the first unfinished arrival, the position behind the finished one is given:
    /// both mean the same, and nothing is known of what lies in the hole.
    pub fn watermark(&self) -> Option<i64> {
        self.behind
    }

    /// The position of the first unfinished arrival: from there everything unfinished comes again.
    pub fn first_unfinished(&self) -> Option<i64> {
        self.open.front().map(|(position, _)| *position)
    }

    /// Arrivals from the first unfinished one on, finished ones above it included: what a crash now would repeat at
    /// most, and what the lane's window bounds.
    pub fn span(&self) -> usize {
        self.open.len()
    }

    /// Arrivals that are not finished. Counts; meant for reports and not for every message.
    pub fn unfinished(&self) -> usize {
        self.open.iter().filter(|(_, finished)| !finished).count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_finished_gives_no_watermark() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.arrive(7), Some(0));
        assert_eq!(ledger.watermark(), None);
    }

    #[test]
    fn a_finished_message_above_an_unfinished_one_moves_nothing() {
        let mut ledger = Ledger::new();
        ledger.arrive(7);
        ledger.arrive(9);
        assert!(!ledger.finish(1));
        assert_eq!((ledger.watermark(), ledger.span(), ledger.unfinished()), (None, 2, 1));
        assert!(ledger.finish(0));
        assert_eq!((ledger.watermark(), ledger.span()), (Some(10), 0));
    }

    #[test]
    fn a_repeated_position_gets_no_number() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.arrive(7), Some(0));
        assert_eq!(ledger.arrive(7), None);
        ledger.finish(0);
        assert_eq!(ledger.arrive(7), None);
        assert_eq!(ledger.arrive(8), Some(1));
    }

    proptest! {
        /// Against the simplest model: the set of unfinished positions.
        #[test]
        fn the_watermark_never_passes_an_unfinished_message(
            steps in proptest::collection::vec((0u8..4, 1i64..5, any::<proptest::sample::Index>()), 1..200)
        ) {
            let mut ledger = Ledger::new();
            let (mut arrived, mut unfinished, mut position) = (Vec::new(), BTreeSet::new(), -1);
            for (step, gap, pick) in steps {
                if step < 2 || arrived.is_empty() {
                    position += gap;
                    prop_assert_eq!(ledger.arrive(position), Some(arrived.len() as u64));
                    arrived.push(position);
                    unfinished.insert(position);
                } else {
                    let seq = pick.index(arrived.len());
                    unfinished.remove(&arrived[seq]);
                    ledger.finish(seq as u64);
                }
                let done_prefix = arrived.iter().take_while(|at| !unfinished.contains(at)).last();
                prop_assert_eq!(ledger.watermark(), done_prefix.map(|at| at + 1));
                prop_assert_eq!(ledger.unfinished(), unfinished.len());
                if let (Some(mark), Some(lowest)) = (ledger.watermark(), unfinished.first()) {
                    prop_assert!(mark <= *lowest);
                }
            }
        }
    }
}
