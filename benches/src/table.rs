//! What came out: a table for people, and the same as JSON.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::Failure;
use crate::measure::Sample;

/// One comparison. Lower is better for costs, higher for rates; `required` says which.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    case: String,
    ours: f64,
    peer: f64,
    ratio: f64,
    unit: &'static str,
    /// Smallest and largest of the runs.
    ours_range: (f64, f64),
    peer_range: (f64, f64),
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<Required>,
}

/// What the ratio must be; or for an absolute bound, ours.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Required {
    RatioAtMost(f64),
    RatioAtLeast(f64),
    OursAtMost(f64),
}

impl Row {
    /// Compares medians of `value`.
    pub(crate) fn new(
        case: impl Into<String>,
        ours: &[Sample],
        peer: &[Sample],
        unit: &'static str,
        value: impl Fn(&Sample) -> f64,
    ) -> Self {
        let values = |samples: &[Sample]| samples.iter().map(&value).collect();
        Self::of(case, values(ours), values(peer), unit)
    }

    /// CPU of the client's process for each message.
    pub(crate) fn cpu(case: impl Into<String>, ours: &[Sample], peer: &[Sample]) -> Self {
        Self::new(case, ours, peer, "ns CPU/message", Sample::cpu)
    }

    /// Messages a second.
    pub(crate) fn rate(case: impl Into<String>, ours: &[Sample], peer: &[Sample]) -> Self {
        Self::new(case, ours, peer, "messages/s", Sample::rate)
    }

    /// Compares medians.
    pub(crate) fn of(case: impl Into<String>, ours: Vec<f64>, peer: Vec<f64>, unit: &'static str) -> Self {
        let (ours, ours_range) = median(ours);
        let (peer, peer_range) = median(peer);
        Self { case: case.into(), ours, peer, ratio: ours / peer, unit, ours_range, peer_range, required: None }
    }

    /// The ratio of what was measured in the same round, of all rounds the middle one: a machine that is busy strikes both.
    pub(crate) fn in_pairs(mut self, ours: &[Sample], peer: &[Sample], value: impl Fn(&Sample) -> f64) -> Self {
        let ratios = ours.iter().zip(peer).map(|(ours, peer)| value(ours) / value(peer)).collect();
        self.ratio = median(ratios).0;
        self
    }

    pub(crate) fn required(mut self, required: Required) -> Self {
        self.required = Some(required);
        self
    }

    fn is_met(&self) -> bool {
        match self.required {
            None => true,
            Some(Required::RatioAtMost(most)) => self.ratio <= most,
            Some(Required::RatioAtLeast(least)) => self.ratio >= least,
            Some(Required::OursAtMost(most)) => self.ours <= most,
        }
    }

    fn verdict(&self) -> String {
        let bound = match self.required {
            None => return String::new(),
            Some(Required::RatioAtMost(most)) => format!("ratio <= {most}"),
            Some(Required::RatioAtLeast(least)) => format!("ratio >= {least}"),
            Some(Required::OursAtMost(most)) => format!("ours <= {most}"),
        };
        format!("{bound}: {}", if self.is_met() { "met" } else { "MISSED" })
    }
}

/// The median, and smallest and largest.
fn median(mut values: Vec<f64>) -> (f64, (f64, f64)) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { at(middle) } else { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 };
    (median, (at(0), at(values.len().wrapping_sub(1))))
}

/// Prints the rows, and writes them to `file`. How many requirements are missed.
pub(crate) fn show(rows: &[Row], file: &Path) -> Result<usize, Failure> {
    println!("\n{:<64} {:>10} {:>10} {:>6}  {:<15} required", "case", "ours", "peer", "ratio", "unit");
    for row in rows {
        let Row { case, ours, peer, ratio, unit, .. } = row;
        println!("{case:<64} {ours:>10.0} {peer:>10.0} {ratio:>6.2}  {unit:<15} {}", row.verdict());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, serde_json::to_vec_pretty(rows)?)?;
    println!("\nmedians; ranges are in {}", file.display());
    Ok(rows.iter().filter(|row| !row.is_met()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), (2.5, (1.0, 4.0)));
        assert_eq!(median(vec![9.0, 1.0, 3.0]), (3.0, (1.0, 9.0)));
    }
}
