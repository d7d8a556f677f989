//! The ledger against the simplest models of it.

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

#[test]
fn what_an_earlier_owner_finished_is_not_handed_out_and_counts() {
    let mut ledger = Ledger::inheriting(5, [Run { first: 6, last: 8 }, Run { first: 20, last: 20 }]);
    assert_eq!(ledger.arrive(5), Some(0));
    assert_eq!((ledger.arrive(6), ledger.arrive(8)), (None, None));
    assert_eq!(ledger.arrive(9), Some(1));
    assert_eq!(ledger.finished_above(), [Run { first: 6, last: 8 }, Run { first: 20, last: 20 }]);
    assert_eq!(ledger.span(), 4, "what came again counts for the window");
    assert!(ledger.finish(0));
    assert_eq!((ledger.watermark(), ledger.span()), (Some(9), 1));
    assert_eq!(ledger.finished_above(), [Run { first: 20, last: 20 }]);
}

#[test]
fn what_came_again_first_moves_the_watermark_at_once() {
    let mut ledger = Ledger::inheriting(5, [Run { first: 5, last: 6 }]);
    assert_eq!((ledger.arrive(5), ledger.watermark()), (None, Some(6)));
    assert_eq!((ledger.arrive(6), ledger.watermark()), (None, Some(7)));
    assert_eq!(ledger.arrive(7), Some(0));
}

#[test]
fn what_was_finished_of_another_log_says_nothing_of_this_one() {
    let mut ledger = Ledger::inheriting(5, [Run { first: 6, last: 8 }]);
    assert_eq!(ledger.arrive(0), Some(0));
    assert_eq!((ledger.arrive(6), ledger.arrive(7)), (Some(1), Some(2)));
    assert_eq!(ledger.finished_above(), []);
}

proptest! {
    /// A chain of owners: each finishes some of what it gets and hands on its watermark and what is finished above it.
    /// The next one gets exactly what is left, in order, and never anything twice.
    #[test]
    fn a_successor_gets_exactly_what_is_left(
        log in proptest::collection::vec(1i64..4, 1..60),
        owners in proptest::collection::vec(
            (0usize..60, proptest::collection::vec(any::<proptest::sample::Index>(), 0..40)), 1..6),
    ) {
        let mut position = -1;
        let log: Vec<i64> = log.into_iter().map(|gap| { position += gap; position }).collect();
        let mut done = BTreeSet::new();
        let (mut start, mut runs) = (0, Vec::new());
        for (fetched, picks) in owners {
            let mut ledger = Ledger::inheriting(start, runs);
            let fetch = log.iter().copied().filter(|at| *at >= start).take(fetched);
            let mut handed = Vec::new();
            for at in fetch {
                let seq = ledger.arrive(at);
                prop_assert_eq!(seq.is_none(), done.contains(&at), "{} of {:?}", at, done);
                if seq.is_some() {
                    prop_assert_eq!(seq, Some(handed.len() as u64));
                    handed.push(at);
                }
            }
            for pick in picks.iter().filter(|_| !handed.is_empty()) {
                let seq = pick.index(handed.len());
                ledger.finish(seq as u64);
                done.insert(handed[seq]);
            }
            start = ledger.watermark().unwrap_or(start);
            prop_assert!(log.iter().filter(|at| **at < start).all(|at| done.contains(at)));
            runs = ledger.finished_above();
            let told = |at: &i64| *at < start || runs.iter().any(|run| (run.first..=run.last).contains(at));
            let known: BTreeSet<i64> = log.iter().copied().filter(told).collect();
            prop_assert_eq!(&known, &done);
            prop_assert!(runs.windows(2).all(|pair| pair[0].last < pair[1].first));
        }
    }
}
