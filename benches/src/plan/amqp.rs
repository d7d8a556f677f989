//! RabbitMQ's arms.

use std::collections::HashMap;
use std::path::Path;

use super::Size;
use crate::Failure;
use crate::cell::Cell;
use crate::measure::Sample;
use crate::table::{Required, Row, show};
use crate::unique;

const WINDOWS: [usize; 4] = [1, 100, 1_000, 3_000];

/// From this window on what awaits each call is far behind.
const WIDE: usize = 100;

/// How many, of which workload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Messages {
    /// Where each waits for the one before.
    pub(super) one_by_one: u64,
    pub(super) in_windows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Publish,
    Consume,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Arm {
    Ours,
    /// Futures in one task; one acknowledgement for many.
    Well,
    /// Each call awaited.
    Plain,
    /// Each publish awaited, the confirms behind in a window.
    Fifo,
    Amqprs,
}

type Case = (Way, Arm, usize);
type Results = HashMap<Case, Vec<Sample>>;

impl Arm {
    fn name(self, way: Way) -> &'static str {
        match (way, self) {
            (Way::Publish, Self::Ours) => "amqp-ours-publish",
            (Way::Publish, Self::Well) => "amqp-well-publish",
            (Way::Publish, Self::Plain) => "amqp-plain-publish",
            (Way::Publish, Self::Fifo) => "amqp-fifo-publish",
            (Way::Publish, Self::Amqprs) => "amqp-amqprs-publish",
            (Way::Consume, Self::Ours) => "amqp-ours-consume",
            (Way::Consume, Self::Well) => "amqp-well-consume",
            (Way::Consume, Self::Plain | Self::Fifo) => "amqp-plain-consume",
            (Way::Consume, Self::Amqprs) => "amqp-amqprs-consume",
        }
    }
}

/// At window 1 a FIFO of confirms is the plain way, and who awaits each confirm has window 1 whatever is said.
fn cases(way: Way) -> Vec<Case> {
    let arms = |window| match (way, window) {
        (Way::Publish, 1) => vec![Arm::Ours, Arm::Well, Arm::Plain, Arm::Amqprs],
        (Way::Publish, _) => vec![Arm::Ours, Arm::Well, Arm::Fifo, Arm::Amqprs],
        (Way::Consume, _) => vec![Arm::Ours, Arm::Well, Arm::Plain, Arm::Amqprs],
    };
    WINDOWS.iter().flat_map(|window| arms(*window).into_iter().map(|arm| (way, arm, *window))).collect()
}

/// Printed: ratios say little of arms that are not known.
const ARMS: &str = "\
Each message has 100 bytes, an id of its own, the time; persistent, mandatory, confirmed. One exchange, one quorum queue.
  ours                      raw messages by Bus::send, a window of publish_window; by on_raw, one after the other
  lapin, written well       a window of publishes and their confirms in one task, each with 30 s, as ours has; one
                            acknowledgement for half of the prefetch, 500 at most; ours has one for a quarter
  lapin, each call awaited  as its documentation has it: one publish at a time; each delivery acknowledged
  amqprs                    a callback counts the confirms; acknowledgements as above
CPU is that of the client's process. Ratios are those of cells in the same round, of all rounds the middle one.
";

pub(crate) async fn amqp(size: Size, folder: &Path) -> Result<usize, Failure> {
    eprintln!("{ARMS}");
    let mut results = Results::new();
    for way in [Way::Publish, Way::Consume] {
        let cases = cases(way);
        for round in 1..=size.repeats {
            let turns: Vec<_> = if round % 2 == 1 { cases.clone() } else { cases.iter().rev().copied().collect() };
            for case in turns {
                let sample = run(case, size).await?;
                let (cpu, rate, (_, arm, window)) = (sample.cpu(), sample.rate(), case);
                eprintln!(
                    "{round}/{} {:<22} {window:>5} {cpu:>7.0} ns CPU/message {rate:>8.0} messages/s",
                    size.repeats,
                    arm.name(way)
                );
                results.entry(case).or_default().push(sample);
            }
        }
    }
    let rows: Vec<Row> = [Way::Publish, Way::Consume].into_iter().flat_map(|way| rows(way, &results)).collect();
    show(&rows, &folder.join("amqp.json"))
}

async fn run((way, arm, window): Case, size: Size) -> Result<Sample, Failure> {
    let count = if window == 1 { size.amqp.one_by_one } else { size.amqp.in_windows };
    Cell::new(arm.name(way), &unique("bench"), count).window(window).run().await
}

fn rows(way: Way, results: &Results) -> Vec<Row> {
    let of = |arm, window| results.get(&(way, arm, window)).map(Vec::as_slice).unwrap_or_default();
    let mut rows = Vec::new();
    for window in WINDOWS {
        let case = |peer: &str| {
            format!("{}, window {window} | {peer}", if way == Way::Publish { "publish" } else { "consume" })
        };
        let (ours, well, amqprs) = (of(Arm::Ours, window), of(Arm::Well, window), of(Arm::Amqprs, window));
        let plain = of(Arm::Plain, if way == Way::Publish { 1 } else { window });
        let slow = rate(case("lapin, each call awaited"), ours, plain);
        rows.extend([
            cpu(case("lapin, written well"), ours, well).required(Required::RatioAtMost(1.1)),
            rate(case("lapin, written well"), ours, well).required(Required::RatioAtLeast(0.95)),
            if window >= WIDE { slow.required(Required::RatioAtLeast(2.0)) } else { slow },
            cpu(case("amqprs"), ours, amqprs),
            rate(case("amqprs"), ours, amqprs),
        ]);
        if way == Way::Publish && window > 1 {
            rows.push(rate(case("lapin, publishes awaited, confirms in a window"), ours, of(Arm::Fifo, window)));
        }
    }
    rows
}

fn cpu(case: String, ours: &[Sample], peer: &[Sample]) -> Row {
    Row::cpu(case, ours, peer).in_pairs(ours, peer, Sample::cpu)
}

fn rate(case: String, ours: &[Sample], peer: &[Sample]) -> Row {
    Row::rate(case, ours, peer).in_pairs(ours, peer, Sample::rate)
}
