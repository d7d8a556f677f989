//! Which of a lane's arrivals are finished, and so how far its log may be committed. Pure: for transports on a log.
//!
//! ```
//! # use gulo_bus_core::settle::{Ledger, Run};
//! let mut ledger = Ledger::new();
//! let seqs = [10, 11, 13, 14].map(|position| ledger.arrive(position)); // the log has a hole at 12
//! assert_eq!(seqs, [Some(0), Some(1), Some(2), Some(3)]);
//!
//! ledger.finish(2);
//! assert_eq!(ledger.watermark(), None);                   // nothing is known of what lies before
//! ledger.finish(0);
//! assert_eq!(ledger.watermark(), Some(11));               // what may be committed
//! assert_eq!(ledger.finished_above(), [Run { first: 13, last: 13 }]);
//! assert_eq!((ledger.span(), ledger.unfinished()), (3, 2));
//!
//! // A successor that is told so begins at 11, and does not hand out 13 again.
//! let mut next = Ledger::inheriting(11, ledger.finished_above());
//! assert_eq!([11, 13, 14].map(|position| next.arrive(position)), [Some(0), None, Some(1)]);
//! ```

mod runs;

use std::collections::VecDeque;

pub use runs::Run;

/// From the arrivals of one lane, finished in any order, to the watermark: the position from which a successor must
/// read so that nothing unfinished is skipped; and to what is finished above it, for a successor that can be told.
///
/// It counts arrivals and never computes `offset + 1` over a gap: transaction markers, aborted records and compaction
/// leave holes in a Kafka log that never arrive. Cost per message is constant (amortised); memory is one entry per
/// arrival above the watermark. [The module](self) has an example.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Arrivals from the first unfinished one on: position and whether it is finished.
    open: VecDeque<(i64, bool)>,
    /// Sequence number of the front of `open`.
    first: u64,
    /// Position behind the last finished message of the done prefix.
    behind: Option<i64>,
    /// The last position that arrived.
    last: Option<i64>,
    /// What an earlier owner finished, and has not come again yet: rising.
    inherited: VecDeque<Run>,
    /// Where the lane begins that inherits.
    from: i64,
    /// What has come again, above the first unfinished arrival: rising, each with its number of arrivals.
    known: VecDeque<(Run, usize)>,
    /// Arrivals in `known`.
    known_count: usize,
}

impl Ledger {
    /// A lane on which nothing has arrived.
    pub fn new() -> Self {
        Self::default()
    }

    /// A lane that begins at `from`, on which nothing has arrived, of which an earlier owner finished `runs`, rising.
    /// They are not handed out again; unless something arrives from before `from`: then it is another log (a topic that
    /// was deleted and made anew), of which nothing is finished.
    pub fn inheriting(from: i64, runs: impl IntoIterator<Item = Run>) -> Self {
        Self { inherited: runs.into_iter().collect(), from, ..Self::default() }
    }

    /// Takes in the arrival at `position` of the log and gives it the next sequence number.
    ///
    /// `None`: it must not be handed out. Positions of a lane rise, so one that does not is a repetition within the
    /// same assignment; or an earlier owner has finished it.
    pub fn arrive(&mut self, position: i64) -> Option<u64> {
        if self.last.is_some_and(|last| position <= last) {
            return None;
        }
        let before = self.last.replace(position);
        if self.take_inherited(position) {
            self.comes_again(position, before);
            return None;
        }
        self.open.push_back((position, false));
        Some(self.first + self.open.len() as u64 - 1)
    }

    /// Whether `position` lies before something that has arrived: the log goes back, which only another one does.
    pub fn goes_back(&self, position: i64) -> bool {
        self.last.is_some_and(|last| position < last)
    }

    /// Whether an earlier owner has finished it; it is not waited for any more then.
    fn take_inherited(&mut self, position: i64) -> bool {
        if position < self.from {
            self.inherited.clear();
        }
        // What lies before has never come: holes of the log, now.
        while self.inherited.front().is_some_and(|run| run.last < position) {
            self.inherited.pop_front();
        }
        let Some(run) = self.inherited.front_mut().filter(|run| run.first <= position) else { return false };
        run.first = position + 1;
        true
    }

    /// It is finished, and was before it came.
    fn comes_again(&mut self, position: i64, before: Option<i64>) {
        if self.open.is_empty() {
            self.behind = Some(position + 1);
            return;
        }
        self.known_count += 1;
        match self.known.back_mut().filter(|(run, _)| Some(run.last) == before) {
            Some((run, count)) => (run.last, *count) = (position, *count + 1),
            None => self.known.push_back((Run { first: position, last: position }, 1)),
        }
    }

    /// Marks the arrival of `seq` finished. Returns whether the watermark moved. A second time, or a number that
    /// never arrived, changes nothing.
    pub fn finish(&mut self, seq: u64) -> bool {
        let Some(index) = seq.checked_sub(self.first) else { return false };
        let Some(entry) = self.open.get_mut(index as usize) else { return false };
        entry.1 = true;
        let first = index == 0;
        // The first one is never finished, or it would not be there any more.
        while first && let Some((position, true)) = self.open.front().copied() {
            self.open.pop_front();
            self.first += 1;
            self.behind = Some(position + 1);
            if !self.known.is_empty() {
                self.pass_known();
            }
        }
        first
    }

    /// The done prefix goes on over what came again behind it.
    fn pass_known(&mut self) {
        let next = self.open.front().map_or(i64::MAX, |(position, _)| *position);
        while let Some((run, count)) = self.known.front().copied().filter(|(run, _)| run.last < next) {
            self.known.pop_front();
            self.known_count -= count;
            self.behind = Some(run.last + 1);
        }
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

    /// What is finished above the first unfinished arrival, in rising runs: from the first to the last position of
    /// arrivals between which none is unfinished. What an earlier owner finished and has not come again is among it.
    pub fn finished_above(&self) -> Vec<Run> {
        let inherited = self.inherited.iter().filter(|run| run.first <= run.last);
        runs::merge(self.open.iter().copied(), self.known.iter().map(|(run, _)| run), inherited)
    }

    /// Arrivals from the first unfinished one on, finished ones above it included: what a crash now would repeat at
    /// most, and what the lane's window bounds.
    pub fn span(&self) -> usize {
        self.open.len() + self.known_count
    }

    /// Arrivals that are not finished. Counts; meant for reports and not for every message.
    pub fn unfinished(&self) -> usize {
        self.open.iter().filter(|(_, finished)| !finished).count()
    }
}

#[cfg(test)]
mod tests;
