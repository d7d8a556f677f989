//! What holds of every run whatever happens in it: nothing lost, order, dead letters as they must be, a clean end.

use std::collections::HashSet;

use super::Run;
use crate::judge;
use crate::letters::Expected;
use crate::report::Report;

/// The load is of use as a measure only where it came when it should.
const LATE: f64 = 1.0;
/// Of a difference in the table; the whole of it is in the JSON.
const WIDTH: usize = 60;

pub(super) fn judge(report: &mut Report, run: &Run, name: &str) {
    let late = run.sent.late.as_secs_f64();
    let required = format!("<= {LATE} s, else the machine is too busy");
    report.claim(format!("{name}: the load was late by at most"), format!("{late:.2} s"), required, late <= LATE);
    let (sent, there) = (run.published(), run.records.len());
    report.claim(
        format!("{name}: published and confirmed, in the topic"),
        there.to_string(),
        sent.to_string(),
        there == sent,
    );
    let lost = run.lost();
    report.none(format!("{name}: lost"), lost.len(), lost.first().map(|(key, number)| format!("{key}/{number}")));
    report.none(format!("{name}: order violations"), judge::disorder(&run.entries), None);
    letters(report, run, name);
    let left = format!("{}, {} uncommitted", if run.stopped { "clean" } else { "not clean" }, run.uncommitted);
    let clean = run.stopped && run.uncommitted == 0;
    report.claim(format!("{name}: stop"), left, "clean, 0 uncommitted", clean);
}

fn letters(report: &mut Report, run: &Run, name: &str) {
    for expected in &run.sent.dead {
        let differences = run.differences(expected);
        let measured = match differences.first() {
            None => format!("{} attempts, as sent", expected.attempts),
            Some(first) => first.chars().take(WIDTH).collect(),
        };
        let claim = format!("{name}: dead letter, {}", expected.name);
        report.claim(&claim, measured, "bytes, key, headers, origin, attempts", differences.is_empty());
        report.fact(&claim, differences);
    }
    let unexpected = run.letters.iter().filter(|letter| !run.sent.dead.iter().any(|dead| dead.is(letter))).count();
    report.none(format!("{name}: dead letters nobody expects"), unexpected, None);
}

impl Run {
    fn published(&self) -> usize {
        self.sent.messages() + self.sent.dead.iter().filter(|dead| dead.step.is_none()).count()
    }

    /// Neither an effect nor a dead letter that stands there.
    fn lost(&self) -> Vec<(usize, usize)> {
        let buried = |dead: &&Expected| self.letters.iter().any(|letter| dead.is(letter));
        let dead: HashSet<_> = self.sent.dead.iter().filter(buried).filter_map(|dead| dead.step).collect();
        let published: Vec<usize> = self.sent.at.iter().map(Vec::len).collect();
        judge::lost(&published, &self.entries, &dead)
    }

    fn differences(&self, expected: &Expected) -> Vec<String> {
        let letters: Vec<_> = self.letters.iter().filter(|letter| expected.is(letter)).collect();
        let original = self.records.iter().find(|record| expected.is(record));
        match (&letters[..], original) {
            ([letter], Some(original)) => expected.differences(letter, original, &self.group),
            (_, Some(_)) => vec![format!("{} of them", letters.len())],
            (_, None) => vec!["it does not stand in its own topic".into()],
        }
    }
}
