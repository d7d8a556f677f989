//! What was measured, a row for each scenario.

use std::path::Path;

use serde::Serialize;

use crate::Trouble;
use crate::report::Claim;

/// Of what is wrong, so many are shown.
const SHOWN: usize = 5;

/// What a scenario allows.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Bounds {
    pub(super) duplicates: usize,
    /// Where that number comes from.
    pub(super) because: &'static str,
    /// Seconds without an effect on a partition; seconds from the end of the fault until there is no backlog.
    pub(super) stall: f64,
    pub(super) recovery: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) scenario: String,
    pub(super) messages: usize,
    pub(super) lost: usize,
    pub(super) duplicated: usize,
    pub(super) disorder: usize,
    /// So much of it is allowed, where nobody can know better.
    pub(super) disorder_allowed: usize,
    pub(super) committed_too_far: usize,
    pub(super) stall: f64,
    pub(super) recovery: f64,
    pub(super) bounds: Bounds,
    /// What else this scenario claims.
    pub(super) claims: Vec<Claim>,
    /// What is worth knowing, and what was found where something is wrong.
    pub(super) facts: serde_json::Map<String, serde_json::Value>,
    pub(super) seconds: f64,
    pub(super) ok: bool,
}

impl Row {
    pub(super) fn judge(mut self) -> Self {
        let none = self.lost + self.committed_too_far == 0 && self.disorder <= self.disorder_allowed;
        let times = self.stall <= self.bounds.stall && self.recovery <= self.bounds.recovery;
        let claims = self.claims.iter().all(|claim| claim.ok);
        self.ok = none && times && claims && self.duplicated <= self.bounds.duplicates;
        self
    }

    /// A scenario that could not be played.
    pub(super) fn broken(scenario: &str, trouble: &Trouble, seconds: f64) -> Self {
        let claim =
            Claim { claim: "played".into(), measured: trouble.to_string(), required: "to its end".into(), ok: false };
        Self {
            scenario: scenario.into(),
            messages: 0,
            lost: 0,
            duplicated: 0,
            disorder: 0,
            disorder_allowed: 0,
            committed_too_far: 0,
            stall: 0.0,
            recovery: 0.0,
            bounds: Bounds { duplicates: 0, because: "", stall: 0.0, recovery: 0.0 },
            claims: vec![claim],
            facts: serde_json::Map::new(),
            seconds,
            ok: false,
        }
    }

    fn cells(&self) -> [String; 9] {
        [
            self.scenario.clone(),
            self.messages.to_string(),
            self.lost.to_string(),
            format!("{} of {}", self.duplicated, self.bounds.duplicates),
            match self.disorder_allowed {
                0 => self.disorder.to_string(),
                most => format!("{} of {most}", self.disorder),
            },
            self.committed_too_far.to_string(),
            format!("{:.1} of {}", self.stall, self.bounds.stall),
            format!("{:.1} of {}", self.recovery, self.bounds.recovery),
            if self.ok { "ok".into() } else { "FAILED".into() },
        ]
    }
}

const HEAD: [&str; 9] =
    ["scenario", "messages", "lost", "duplicated", "disorder", "overcommitted", "stall, s", "recovery, s", ""];

#[derive(Debug, Serialize)]
pub(super) struct Table {
    proof: &'static str,
    ok: bool,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(rows: Vec<Row>) -> Self {
        Self { proof: "kafka", ok: rows.iter().all(|row| row.ok), rows }
    }

    pub(super) fn ok(&self) -> bool {
        self.ok
    }

    pub(super) fn text(&self) -> String {
        let lines: Vec<[String; 9]> =
            std::iter::once(HEAD.map(str::to_owned)).chain(self.rows.iter().map(Row::cells)).collect();
        let width = |at: usize| lines.iter().map(|cells| cells[at].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        let mut text = String::new();
        for cells in &lines {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text.push_str(padded.join(" | ").trim_end());
            text.push('\n');
        }
        text.push('\n');
        for row in &self.rows {
            text.push_str(&row.beside());
        }
        text
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Trouble> {
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }
}

impl Row {
    pub(super) fn claim(
        &mut self,
        claim: impl Into<String>,
        measured: impl Into<String>,
        required: impl Into<String>,
        ok: bool,
    ) {
        self.claims.push(Claim { claim: claim.into(), measured: measured.into(), required: required.into(), ok });
    }

    pub(super) fn none(&mut self, claim: &str, count: usize) {
        self.claim(claim, count.to_string(), "0", count == 0);
    }

    pub(super) fn fact(&mut self, name: &str, value: impl Serialize) {
        self.facts.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    pub(super) fn shown(&mut self, name: &str, all: impl Iterator<Item = String>) {
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
        for Claim { claim, measured, required, ok } in &self.claims {
            let verdict = if *ok { "ok" } else { "FAILED" };
            text.push_str(&format!("{}: {claim}: {measured} ({required}) {verdict}\n", self.scenario));
        }
        text
    }
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
            Row { duplicated: 3, ..row() },
            Row { disorder: 1, ..row() },
            Row { committed_too_far: 1, ..row() },
            Row { stall: 1.1, ..row() },
            Row { recovery: f64::INFINITY, ..row() },
            Row { claims: vec![claim], ..row() },
        ];
        for row in wrong {
            let row = row.judge();
            assert!(!row.ok && !Table::new(vec![row.clone()]).ok(), "{row:?}");
        }
    }

    #[test]
    fn the_table_says_what_is_allowed_beside_what_was() {
        let text = Table::new(vec![Row { duplicated: 1, stall: 0.25, ..row() }.judge()]).text();
        assert!(text.contains("x        | 0        | 0    | 1 of 2"), "{text}");
    }
}
