//! What trouble with some keys does to the others, against a run without any.

use serde_json::json;

use super::{Cast, LaneKeys, Plan, RECOVERY, Run, WINDOW, lane_of, seconds};
use crate::judge::effects;
use crate::ledger::{Entry, Kind};
use crate::pace::{self, SECOND, Span};
use crate::report::Report;

/// Of what is handled undisturbed.
const SHARE: f64 = 90.0;
/// Seconds from sending to effect. Who stands still for a while and then catches up has the same share in the end.
const PROMPT: f64 = 1.0;

pub(super) fn judge(report: &mut Report, plan: &Plan, calm: &Run, run: &Run, cast: &Cast, lanes: &LaneKeys) {
    let (lane, number) = (lane_of(lanes, cast.stuck), 1 + plan.lead * plan.rate);
    let stuck =
        Span { from: run.sent.at[cast.stuck][number], to: run.sent.at[cast.stuck][number] + micros(plan.stuck) };
    let window = Window::of(run, (cast.stuck, number), lane, stuck.to);
    window.judge(report, stuck);
    let full = window.full.clamp(stuck.from, stuck.to);
    let unharmed = |key: usize| !cast.has(key);
    let elsewhere = |key: usize| !cast.has(key) && lane_of(lanes, key) != lane;
    let until_full = Span { from: stuck.from, to: full };
    pace(report, "other keys, until the window is full", calm, run, &unharmed, until_full);
    pace(report, "other lanes, from then on", calm, run, &elsewhere, Span { from: full, to: stuck.to });
    recovery(report, plan, run, cast, lanes);
}

fn micros(seconds: usize) -> u64 {
    seconds as u64 * SECOND
}

/// What one lane let out while its oldest message was stuck.
struct Window {
    /// The stuck message and what was handled behind it on its lane, up to the last.
    span: usize,
    /// Messages of others inside the window that were not handled meanwhile.
    left: usize,
    /// When the last one inside was handled, and when it had been sent.
    full: u64,
    sent: u64,
}

impl Window {
    fn of(run: &Run, stuck: (usize, usize), lane: u32, free: u64) -> Self {
        let begun = run.entries.iter().find(|e| e.kind == Kind::Began && (e.key, e.number) == stuck);
        let oldest = begun.map_or(0, |entry| entry.offset);
        let behind = |e: &&Entry| e.partition == lane && e.key != stuck.0 && e.offset > oldest;
        let others: Vec<&Entry> = effects(&run.entries).filter(behind).collect();
        let inside: Vec<&Entry> = others.iter().copied().filter(|e| e.offset < oldest + WINDOW as i64).collect();
        let last = inside.iter().max_by_key(|e| e.offset);
        let handled = others.iter().filter(|e| e.at < free).map(|e| (e.offset - oldest + 1) as usize);
        Self {
            span: handled.max().unwrap_or_default(),
            left: inside.iter().filter(|e| e.at >= free).count(),
            full: inside.iter().map(|e| e.at).max().unwrap_or_default(),
            sent: last.map_or(0, |e| run.sent.at[e.key][e.number]),
        }
    }

    fn judge(&self, report: &mut Report, stuck: Span) {
        let after = |at: u64| seconds(at.saturating_sub(stuck.from));
        let filled = self.left == 0 && self.full < stuck.to;
        let measured = format!("full {:.2} s after it, by the load {:.2} s", after(self.full), after(self.sent));
        let required = format!("< {:.0} s, when it comes free", after(stuck.to));
        report.claim("trouble: the window behind the stuck handler", measured, required, filled);
        let claim = "trouble: messages out on its lane meanwhile";
        report.claim(claim, self.span.to_string(), format!("<= {WINDOW}"), self.span <= WINDOW);
    }
}

/// What was handled of such keys in `span`, as a share of what was in the same seconds of the undisturbed run.
fn pace(report: &mut Report, name: &str, calm: &Run, run: &Run, of: &dyn Fn(usize) -> bool, span: Span) {
    let same = span.moved(run.sent.began, calm.sent.began);
    let (here, there) = (pace::handled(&run.entries, of, span), pace::handled(&calm.entries, of, same));
    let share = 100.0 * here as f64 / there.max(1) as f64;
    let each = pace::by_second(&run.entries, of, span);
    let usual = there as f64 * SECOND as f64 / (span.to - span.from).max(1) as f64;
    let slowest = 100.0 * each.iter().copied().min().unwrap_or_default() as f64 / usual.max(1.0);
    let measured = format!("{share:.1} % of {usual:.0}/s, slowest second {slowest:.1} %");
    report.claim(format!("trouble: {name}"), measured, format!(">= {SHARE} %"), share >= SHARE);
    let calmly = pace::latency(&calm.entries, &calm.sent.at, of, same);
    let troubled = pace::latency(&run.entries, &run.sent.at, of, span);
    let measured = format!("{:.3} s, {:.3} s undisturbed", seconds(troubled.1), seconds(calmly.1));
    let claim = format!("trouble: {name}: 99 of 100 handled within");
    report.claim(claim, measured, format!("<= {PROMPT} s"), seconds(troubled.1) <= PROMPT);
    report.fact(
        name,
        json!({
            "each_second": each,
            "each_second_undisturbed": pace::by_second(&calm.entries, of, same),
            "microseconds_from_sent_to_handled_p50_p99": troubled,
            "microseconds_from_sent_to_handled_p50_p99_undisturbed": calmly,
        }),
    );
}

/// From the end of each trouble to when nothing is left behind it.
fn recovery(report: &mut Report, plan: &Plan, run: &Run, cast: &Cast, lanes: &LaneKeys) {
    let number = 1 + plan.lead * plan.rate;
    let sent = |key: usize| run.sent.at[key][number];
    let last_failure = |key: usize| {
        let failed = |e: &&Entry| e.kind == Kind::Failed && (e.key, e.number) == (key, number);
        run.entries.iter().filter(failed).map(|e| e.at).max().unwrap_or_else(|| sent(key))
    };
    let neighbours = lanes.get(&lane_of(lanes, cast.stuck)).map_or(&[][..], Vec::as_slice);
    let free = sent(cast.stuck) + micros(plan.stuck);
    let ends: [(&str, &[usize], u64); 6] = [
        ("the key that failed", &[cast.failing], sent(cast.failing) + micros(plan.fail)),
        ("the key that was stuck", &[cast.stuck], free),
        ("its whole lane", neighbours, free),
        ("the key of the poison", &[cast.poison], last_failure(cast.poison)),
        ("the key that panicked", &[cast.panicking], last_failure(cast.panicking)),
        ("the key of what does not decode", &[cast.undecodable], sent(cast.undecodable)),
    ];
    for (who, keys, from) in ends {
        let caught_up = keys.iter().map(|key| pace::caught_up(&run.entries, &run.sent.at, *key, from));
        // One that never caught up is the slowest of all.
        let took = caught_up.map(|at| at.map_or(f64::INFINITY, |at| seconds(at - from))).fold(0.0, f64::max);
        report.at_most(format!("trouble: recovery of {who}"), took, RECOVERY, " s");
    }
}
