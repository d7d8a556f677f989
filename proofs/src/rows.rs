//! What was measured, a row for each scenario.

use std::path::Path;

use serde::Serialize;

use crate::Trouble;
use crate::report::Claim;

/// Of what is wrong, so many are shown.
const SHOWN: usize = 5;

/// What a scenario allows.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bounds {
    pub(crate) duplicates: usize,
    /// Where that number comes from.
    pub(crate) because: &'static str,
    /// Seconds without an effect on a partition; seconds from the end of the fault until there is no backlog.
    pub(crate) stall: f64,
    pub(crate) recovery: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) messages: usize,
    pub(crate) lost: usize,
    pub(crate) duplicated: usize,
    pub(crate) disorder: usize,
    /// So much of it is allowed, where nobody can know better.
    pub(crate) disorder_allowed: usize,
    /// Where a group commits positions.
    pub(crate) committed_too_far: Option<usize>,
    pub(crate) stall: f64,
    pub(crate) recovery: f64,
    pub(crate) bounds: Bounds,
    /// What else this scenario claims.
    pub(crate) claims: Vec<Claim>,
    /// What is worth knowing, and what was found where something is wrong.
    pub(crate) facts: serde_json::Map<String, serde_json::Value>,
    /// So many messages were sent again though they might have arrived. Each may be there twice, beside the bound.
    pub(crate) sent_again: usize,
    pub(crate) seconds: f64,
    pub(crate) ok: bool,
}

impl Row {
    pub(crate) fn judge(mut self) -> Self {
        let none =
            self.lost + self.committed_too_far.unwrap_or_default() == 0 && self.disorder <= self.disorder_allowed;
        let times = self.stall <= self.bounds.stall && self.recovery <= self.bounds.recovery;
        let claims = self.claims.iter().all(|claim| claim.ok);
        self.ok = none && times && claims && self.duplicated <= self.allowed();
        self
    }

    fn allowed(&self) -> usize {
        self.bounds.duplicates + self.sent_again
    }

    /// A scenario that could not be played.
    pub(crate) fn broken(scenario: &str, trouble: &Trouble, seconds: f64) -> Self {
        let claim =
            Claim { claim: "played".into(), measured: trouble.to_string(), required: "to its end".into(), ok: false };
        Self {
            scenario: scenario.into(),
            messages: 0,
            lost: 0,
            duplicated: 0,
            disorder: 0,
            disorder_allowed: 0,
            committed_too_far: None,
            stall: 0.0,
            recovery: 0.0,
            bounds: Bounds { duplicates: 0, because: "", stall: 0.0, recovery: 0.0 },
            claims: vec![claim],
            facts: serde_json::Map::new(),
            sent_again: 0,
            seconds,
            ok: false,
        }
    }

    fn cells(&self) -> [String; COLUMNS] {
        [
            self.scenario.clone(),
            self.messages.to_string(),
            self.lost.to_string(),
            format!("{} of {}", self.duplicated, self.allowed()),
            match self.disorder_allowed {
                0 => self.disorder.to_string(),
                most => format!("{} of {most}", self.disorder),
            },
            self.committed_too_far.map_or_else(String::new, |count| count.to_string()),
            format!("{:.1} of {}", self.stall, self.bounds.stall),
            format!("{:.1} of {}", self.recovery, self.bounds.recovery),
            if self.ok { "ok".into() } else { "FAILED".into() },
        ]
    }
}

const COLUMNS: usize = 9;
const OVERCOMMITTED: usize = 5;
const HEAD: [&str; COLUMNS] =
    ["scenario", "messages", "lost", "duplicated", "disorder", "overcommitted", "stall, s", "recovery, s", ""];

#[derive(Debug, Serialize)]
pub(crate) struct Table {
    proof: &'static str,
    ok: bool,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(proof: &'static str, rows: Vec<Row>) -> Self {
        Self { proof, ok: rows.iter().all(|row| row.ok), rows }
    }

    pub(crate) fn ok(&self) -> bool {
        self.ok
    }

    pub(crate) fn text(&self) -> String {
        let lines: Vec<[String; COLUMNS]> =
            std::iter::once(HEAD.map(str::to_owned)).chain(self.rows.iter().map(Row::cells)).collect();
        // A broker of queues knows no positions.
        let commits = self.rows.iter().any(|row| row.committed_too_far.is_some());
        let columns: Vec<usize> = (0..COLUMNS).filter(|at| commits || *at != OVERCOMMITTED).collect();
        let width = |at: usize| lines.iter().map(|cells| cells[at].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
        let mut text = String::new();
        for cells in &lines {
            let padded = columns.iter().map(|at| format!("{:<1$}", cells[*at], widths[*at]));
            let padded: Vec<String> = padded.collect();
            text.push_str(padded.join(" | ").trim_end());
            text.push('\n');
        }
        text.push('\n');
        for row in &self.rows {
            text.push_str(&row.beside());
        }
        text
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Trouble> {
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }
}

impl Row {
    pub(crate) fn claim(
        &mut self,
        claim: impl Into<String>,
        measured: impl Into<String>,
        required: impl Into<String>,
        ok: bool,
    ) {
        self.claims.push(Claim { claim: claim.into(), measured: measured.into(), required: required.into(), ok });
    }

    pub(crate) fn none(&mut self, claim: &str, count: usize) {
        self.claim(claim, count.to_string(), "0", count == 0);
    }

    pub(crate) fn fact(&mut self, name: &str, value: impl Serialize) {
        self.facts.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    pub(crate) fn shown(&mut self, name: &str, all: impl Iterator<Item = String>) {
        let first: Vec<String> = all.take(SHOWN).collect();
        if !first.is_empty() {
            self.fact(name, first);
        }
    }

    /// Its own claims, and where its bound comes from.
    fn beside(&self) -> String {
        let mut text = String::new();
        if !self.bounds.because.is_empty() {
            text.push_str(&format!("{}: duplicates: {}\n", self.scenario, self.bounds.because));
        }
        if self.sent_again > 0 {
            text.push_str(&format!("{}: and {} sent again that might have arrived\n", self.scenario, self.sent_again));
        }
        for Claim { claim, measured, required, ok } in &self.claims {
            let verdict = if *ok { "ok" } else { "FAILED" };
            text.push_str(&format!("{}: {claim}: {measured} ({required}) {verdict}\n", self.scenario));
        }
        text
    }
}

/// Microseconds as seconds.
pub(crate) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let row = Row::broken("x", &"no".into(), 1.0);
        let bounds = Bounds { duplicates: 2, because: "", stall: 1.0, recovery: 1.0 };
        Row { claims: Vec::new(), bounds, ..row }
    }

    #[test]
    fn every_count_and_every_time_can_fail_a_row() {
        assert!(row().judge().ok && Row { duplicated: 2, ..row() }.judge().ok);
        let claim = Claim { claim: "c".into(), measured: "1".into(), required: "0".into(), ok: false };
        let wrong = [
            Row { lost: 1, ..row() },
            Row { duplicated: 5, sent_again: 2, ..row() },
            Row { duplicated: 3, ..row() },
            Row { disorder: 1, ..row() },
            Row { committed_too_far: Some(1), ..row() },
            Row { stall: 1.1, ..row() },
            Row { recovery: f64::INFINITY, ..row() },
            Row { claims: vec![claim], ..row() },
        ];
        for row in wrong {
            let row = row.judge();
            assert!(!row.ok && !Table::new("x", vec![row.clone()]).ok(), "{row:?}");
        }
    }

    #[test]
    fn the_table_says_what_is_allowed_beside_what_was() {
        let text = Table::new("x", vec![Row { duplicated: 1, stall: 0.25, ..row() }.judge()]).text();
        assert!(text.contains("x        | 0        | 0    | 1 of 2"), "{text}");
    }
}
