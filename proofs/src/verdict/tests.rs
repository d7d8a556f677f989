use super::*;

/// `B0 E0 b1 e1`: one key, one partition; capitals of process 1, small letters of process 2. `X`, `S` and `W` have no number.
fn ledger(text: &str) -> Vec<Entry> {
    let entry = |(at, word): (usize, &str)| {
        let (kind, number) = word.split_at(1);
        let process = if kind.chars().all(char::is_uppercase) { 1 } else { 2 };
        let kind = match kind.to_uppercase().as_str() {
            "B" => Kind::Began,
            "E" => Kind::Effect,
            "F" => Kind::Failed,
            "D" => Kind::Dropped,
            "X" => Kind::Gone,
            "S" => Kind::Stopped,
            _ => Kind::Woke,
        };
        let number = number.parse().unwrap_or_default();
        Entry { kind, key: 0, number, partition: 0, offset: number as i64, at: at as u64 * 10, process }
    };
    text.split_whitespace().enumerate().map(entry).collect()
}

fn broken(text: &str) -> usize {
    disorder(&ledger(text), &HashSet::new(), &|entry| entry.offset).len()
}

fn record(number: usize, offset: i64, timestamp: i64) -> Record {
    let payload = serde_json::to_vec(&Step { key: 0, number, trouble: None }).ok();
    Record { partition: 0, offset, timestamp, key: None, payload, headers: Vec::new() }
}

fn evidence(text: &str, log: &[usize]) -> Evidence {
    let log = log.iter().map(|number| record(*number, *number as i64, 0)).collect();
    Evidence { entries: ledger(text), log, ..Evidence::default() }
}

#[test]
fn what_is_in_order_is_not_found() {
    for text in ["B0 E0 B1 F1 B1 E1", "B0 E0 X b1 e1", "B0 X b0 e0 b1 e1", "B0 F0 b0 e0", "B0 D0 b0 e0 b1 e1"] {
        assert_eq!(broken(text), 0, "{text}");
    }
    // What had its effect may come again, from the last commit on.
    assert_eq!(broken("B0 E0 B1 E1 B2 X b0 e0 b1 e1 b2 e2"), 0);
    // The stopped one's handler runs on, and cannot be helped.
    assert_eq!(broken("B0 S b0 e0 b1 W E0 e1"), 0);
}

#[test]
fn whoever_overtakes_is_found() {
    for text in ["B0 F0 B1 E1", "B0 F0 X b1 e1"] {
        // 0 is lost: another count.
        assert_eq!(broken(text), 0, "{text}");
    }
    for text in ["B0 F0 B1 E1 B0 F0", "B0 F0 X b1 e1 b0 f0", "B0 b1 E0 e1", "B0 b0 E0 e0", "B0 S W b0 e0 B1 b1 E1 e1"] {
        assert_eq!(broken(text), 1, "{text}");
    }
    assert_eq!(broken("B0 F0 B1 E1 B0 E0"), 2, "begun behind a later one, and its effect there too");
}

#[test]
fn a_dead_one_that_comes_again_overtakes_nobody() {
    let entries = ledger("B0 F0 B1 E1 X b0 f0");
    assert_eq!(disorder(&entries, &HashSet::from([(0, 0)]), &|entry| entry.offset).len(), 0);
}

#[test]
fn the_log_says_what_comes_first() {
    // It took a time-out for 1 to arrive behind 2.
    let mut evidence = evidence("B0 E0 B2 E2 B1 E1", &[0, 1, 2]);
    assert_eq!(evidence.disorder().len(), 2);
    evidence.log = vec![record(0, 0, 0), record(2, 1, 0), record(1, 2, 0)];
    assert_eq!(evidence.disorder(), Vec::<String>::new());
}

#[test]
fn a_log_that_was_made_anew_says_nothing_of_what_was_in_the_old_one() {
    let mut evidence = evidence("B0 E0 B1 E1 B2 E2", &[]);
    evidence.log = vec![record(2, 0, 0)];
    assert_eq!(evidence.disorder(), Vec::<String>::new());
}

#[test]
fn what_is_not_committed_counts_by_messages() {
    let evidence = evidence("", &[0, 1, 5]);
    let at = |offset| Positions::from([(0, offset)]);
    assert_eq!(evidence.uncommitted(&at(6), &at(9)), 0);
    assert_eq!(evidence.uncommitted(&at(1), &at(9)), 2);
    assert_eq!(evidence.uncommitted(&Positions::new(), &at(9)), 3);
    assert_eq!(evidence.uncommitted(&at(10), &at(9)), 1);
}

#[test]
fn what_the_undead_begins_is_found_where_others_had_it() {
    for text in ["B0 S b0 e0 W B0 E0", "B0 S b0 W B0 E0 e0", "S b0 e0 W B1 E1 B0 E0"] {
        assert_eq!(begun_by_the_undead(&ledger(text)).len(), 1, "{text}");
    }
    for text in ["S b0 e0 W B1 E1", "S b0 f0 W B0 E0", "b0 e0 x B0 E0"] {
        assert_eq!(begun_by_the_undead(&ledger(text)).len(), 0, "{text}");
    }
}

#[test]
fn a_handler_that_was_dropped_shows() {
    assert_eq!(dropped(&ledger("B0 D0 b0 e0")), 1);
}

#[test]
fn what_stands_in_the_log_must_be_handled_or_dead() {
    let mut evidence = evidence("B0 E0 B1 F1", &[0, 1]);
    assert_eq!(evidence.unhandled(), BTreeSet::from([(0, 1)]));
    evidence.letters = vec![record(1, 0, 0)];
    assert_eq!(evidence.unhandled(), BTreeSet::new());
}

#[test]
fn what_was_confirmed_must_stand_in_the_log_once() {
    let mut evidence = evidence("B0 E0", &[0, 0, 2]);
    evidence.sent.at = vec![vec![1, 2, 3, 4]];
    evidence.sent.unknown = BTreeSet::from([(0, 3)]);
    evidence.sent.refused = BTreeSet::from([(0, 2)]);
    assert_eq!(evidence.never_stored(), BTreeSet::from([(0, 1)]));
    assert_eq!(evidence.untrue(), BTreeSet::from([(0, 0), (0, 2)]));
}

#[test]
fn a_commit_over_something_unfinished_is_found_when_it_is_made() {
    let mut evidence = evidence("B0 E0 B1 F1 B2 E2 B1 E1", &[0, 1, 2]);
    let sample = |end, known| Sample { at: 0, committed: Positions::from([(0, end)]), known };
    evidence.samples = vec![sample(0, 0), sample(1, 2), sample(1, 6), sample(3, 8)];
    assert_eq!(evidence.committed_too_far(), []);
    evidence.samples = vec![sample(1, 1), sample(2, 6), sample(3, 7), sample(9, 8)];
    assert_eq!(evidence.committed_too_far().iter().map(|(_, _, end)| *end).collect::<Vec<_>>(), [1, 2, 3]);
    // A dead letter finishes it, from when it was made.
    evidence.entries = ledger("B0 E0 B1 F1 B2 E2");
    evidence.letters = vec![record(1, 0, 0)];
    evidence.samples = vec![sample(3, 6)];
    assert_eq!(evidence.committed_too_far(), []);
    evidence.letters = vec![record(1, 0, 1)];
    assert_eq!(evidence.committed_too_far().len(), 1);
}

#[test]
fn a_stall_counts_by_partition_and_while_the_load_goes_on() {
    let mut evidence = evidence("E0 E1 F2 F2 E2 F3 F3 F3 F3 F3 E3", &[]);
    evidence.sent.spans = vec![(0, 50)];
    assert_eq!(evidence.longest_stall(), 30);
    evidence.sent.spans = vec![(0, 50), (50, 80)];
    assert_eq!(evidence.longest_stall(), 30);
    evidence.sent.spans = vec![(0, 200)];
    assert_eq!(evidence.longest_stall(), 100);
}

#[test]
fn recovery_ends_with_the_last_that_came_late() {
    let mut evidence = evidence("B0 E0 B1 E1 B2 E2", &[0, 1, 2]);
    evidence.entries.iter_mut().for_each(|entry| entry.at *= 100_000);
    // Handled after 1, 3 and 5 s.
    evidence.sent.at = vec![vec![900_000, 2_000_000, 4_600_000]];
    assert_eq!(evidence.recovery(1_500_000), 1_500_000);
    evidence.sent.at = vec![vec![900_000, 2_600_000, 4_600_000]];
    assert_eq!(evidence.recovery(1_500_000), 0);
}
