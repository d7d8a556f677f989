//! Which arms run, how often, and what they are compared by.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "kafka")]
mod kafka;

use std::collections::HashMap;
use std::path::Path;

use crate::Failure;
use crate::cell::Cell;
use crate::measure::Sample;
use crate::table::{Required, Row, show};

#[cfg(feature = "amqp")]
pub(crate) use amqp::amqp;
#[cfg(feature = "kafka")]
pub(crate) use kafka::kafka;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    repeats: usize,
    #[cfg(feature = "kafka")]
    kafka: kafka::Messages,
    #[cfg(feature = "amqp")]
    amqp: amqp::Messages,
    memory: u64,
}

impl Size {
    pub(crate) const QUICK: Self = Self {
        repeats: 3,
        #[cfg(feature = "kafka")]
        kafka: kafka::Messages { drain: 300_000, work: 4_000, publish: 150_000 },
        #[cfg(feature = "amqp")]
        amqp: amqp::Messages { one_by_one: 1_500, in_windows: 40_000 },
        memory: 1_000_000,
    };
    pub(crate) const FULL: Self = Self {
        repeats: 5,
        #[cfg(feature = "kafka")]
        kafka: kafka::Messages { drain: 1_000_000, work: 20_000, publish: 500_000 },
        #[cfg(feature = "amqp")]
        amqp: amqp::Messages { one_by_one: 4_000, in_windows: 100_000 },
        memory: 3_000_000,
    };
}

type Results = HashMap<&'static str, Vec<Sample>>;

/// Every cell once a round, in turns forwards and backwards, so that what changes on the machine strikes all.
async fn interleave(cells: &[(&'static str, Cell)], repeats: usize) -> Result<Results, Failure> {
    let mut results = Results::new();
    for round in 1..=repeats {
        let order: Vec<_> = if round % 2 == 1 { cells.iter().collect() } else { cells.iter().rev().collect() };
        for (name, cell) in order {
            let sample = cell.run().await?;
            let (cpu, rate) = (sample.cpu(), sample.rate());
            eprintln!("{round}/{repeats} {name:<24} {cpu:>7.0} ns CPU/message {rate:>10.0} messages/s");
            results.entry(name).or_default().push(sample);
        }
    }
    Ok(results)
}

fn of<'a>(results: &'a Results, name: &str) -> &'a [Sample] {
    results.get(name).map(Vec::as_slice).unwrap_or_default()
}

pub(crate) async fn memory(size: Size, folder: &Path) -> Result<usize, Failure> {
    let cell = |arm| Cell::new(arm, "bench", size.memory);
    let one = |arm| cell(arm).on_one_thread();
    let cells = [
        ("raw, one thread", one("memory-raw")),
        ("channel, raw, one thread", one("channel-raw")),
        ("JSON, one thread", one("memory-json")),
        ("channel, JSON, one thread", one("channel-json")),
        ("by type", one("memory-by-type")),
        ("by hand", one("memory-by-hand")),
        ("raw", cell("memory-raw")),
        ("channel, raw", cell("channel-raw")),
        ("JSON", cell("memory-json")),
        ("channel, JSON", cell("channel-json")),
    ];
    let results = interleave(&cells, size.repeats).await?;
    let of = |name| of(&results, name);
    let one_raw = (of("raw, one thread"), of("channel, raw, one thread"));
    let one_json = (of("JSON, one thread"), of("channel, JSON, one thread"));
    let (raw, json) = ((of("raw"), of("channel, raw")), (of("JSON"), of("channel, JSON")));
    let rows = [
        Row::cpu("raw bytes, sent and handled, 1 thread | tokio mpsc and a call", one_raw.0, one_raw.1)
            .required(Required::OursAtMost(250.0)),
        Row::cpu("raw bytes, sent and handled, 2 threads | tokio mpsc and a call", raw.0, raw.1),
        Row::cpu("JSON both ways, 1 thread | tokio mpsc, JSON both ways", one_json.0, one_json.1),
        Row::cpu("JSON both ways, 2 threads | tokio mpsc, JSON both ways", json.0, json.1),
        Row::cpu(
            "7 headers, routed and decoded by type, 1 thread | on_raw, serde_json by hand",
            of("by type"),
            of("by hand"),
        ),
        Row::rate("raw bytes, sent and handled, 2 threads | tokio mpsc and a call", raw.0, raw.1),
        Row::rate("JSON both ways, 2 threads | tokio mpsc, JSON both ways", json.0, json.1),
    ];
    show(&rows, &folder.join("memory.json"))
}
