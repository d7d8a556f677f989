//! What was claimed, measured and required, as a table and as JSON.

use std::path::Path;

use serde::Serialize;

use crate::Trouble;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Claim {
    pub(crate) claim: String,
    pub(crate) measured: String,
    pub(crate) required: String,
    pub(crate) ok: bool,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) proof: &'static str,
    pub(crate) ok: bool,
    pub(crate) claims: Vec<Claim>,
    /// What is worth knowing and no claim.
    pub(crate) facts: serde_json::Map<String, serde_json::Value>,
}

impl Report {
    pub(crate) fn new(proof: &'static str) -> Self {
        Self { proof, ok: true, ..Self::default() }
    }

    pub(crate) fn claim(
        &mut self,
        claim: impl Into<String>,
        measured: impl Into<String>,
        required: impl Into<String>,
        ok: bool,
    ) {
        self.ok &= ok;
        let (claim, measured, required) = (claim.into(), measured.into(), required.into());
        self.claims.push(Claim { claim, measured, required, ok });
    }

    /// Claims that `count` is 0, and shows the first of what was counted.
    pub(crate) fn none(&mut self, claim: impl Into<String>, count: usize, first: Option<String>) {
        let first = first.map(|first| format!(", first {first}")).unwrap_or_default();
        self.claim(claim, format!("{count}{first}"), "0", count == 0);
    }

    pub(crate) fn at_most(&mut self, claim: impl Into<String>, measured: f64, limit: f64, unit: &str) {
        self.claim(claim, format!("{measured:.2}{unit}"), format!("<= {limit}{unit}"), measured <= limit);
    }

    pub(crate) fn fact(&mut self, name: &str, value: impl Serialize) {
        self.facts.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    pub(crate) fn table(&self) -> String {
        let width = |of: fn(&Claim) -> &str, least: usize| {
            self.claims.iter().map(|claim| of(claim).chars().count()).max().unwrap_or_default().max(least)
        };
        let (claims, measured) = (width(|claim| &claim.claim, 5), width(|claim| &claim.measured, 8));
        let required = width(|claim| &claim.required, 8);
        let mut table = format!("{:<claims$} | {:<measured$} | {:<required$} |\n", "claim", "measured", "required");
        for claim in &self.claims {
            let verdict = if claim.ok { "ok" } else { "FAILED" };
            let line = format!(
                "{:<claims$} | {:<measured$} | {:<required$} | {verdict}\n",
                claim.claim, claim.measured, claim.required
            );
            table.push_str(&line);
        }
        table
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Trouble> {
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_claim_that_fails_fails_the_report() {
        let mut report = Report::new("x");
        report.none("lost", 0, None);
        assert!(report.ok);
        report.at_most("late", 2.5, 1.0, " s");
        assert!(!report.ok && report.table().ends_with("late  | 2.50 s   | <= 1 s   | FAILED\n"), "{}", report.table());
    }
}
