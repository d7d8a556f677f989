//! Which arms run, how often, and what they are compared by.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::Failure;
use crate::cell::Cell;
use crate::kafka::{create, delete, fill, unique};
use crate::measure::Sample;
use crate::table::{Required, Row, show};

const TEN_MS: Duration = Duration::from_millis(10);
const ONE_MS: Duration = Duration::from_millis(1);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    repeats: usize,
    drain: u64,
    work: u64,
    publish: u64,
    memory: u64,
}

impl Size {
    pub(crate) const QUICK: Self =
        Self { repeats: 3, drain: 300_000, work: 4_000, publish: 150_000, memory: 1_000_000 };
    pub(crate) const FULL: Self =
        Self { repeats: 5, drain: 1_000_000, work: 20_000, publish: 500_000, memory: 3_000_000 };
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

pub(crate) async fn kafka(size: Size, folder: &Path) -> Result<(), Failure> {
    let [plain, enveloped, work, sink] =
        ["plain", "enveloped", "work", "sink"].map(|name| unique(&format!("bench-{name}")));
    let topics = [plain.clone(), enveloped.clone(), work.clone(), sink.clone()];
    for topic in &topics {
        create(topic).await?;
    }
    fill(&plain, size.drain, false)?;
    fill(&enveloped, size.drain, true)?;
    fill(&work, size.work, false)?;
    let mut rows = consume(size, &plain, &enveloped).await?;
    rows.extend(wait(size, &work).await?);
    rows.extend(publish(size, &sink).await?);
    delete(&topics).await?;
    show(&rows, &folder.join("kafka.json"))
}

/// Draining a topic, with a handler that does nothing.
async fn consume(size: Size, plain: &str, enveloped: &str) -> Result<Vec<Row>, Failure> {
    let cells = [
        ("key-ordered", Cell::new("ours-keyed", plain, size.drain)),
        ("sequential", Cell::new("ours-sequential", plain, size.drain)),
        ("StreamConsumer", Cell::new("stream", plain, size.drain)),
        ("64 lanes", Cell::new("lanes", plain, size.drain)),
        ("StreamConsumer defaults", Cell::new("stream-defaults", plain, size.drain)),
        ("key-ordered, headers", Cell::new("ours-keyed", enveloped, size.drain)),
        ("StreamConsumer, headers", Cell::new("stream-headers", enveloped, size.drain)),
    ];
    let results = interleave(&cells, size.repeats).await?;
    let of = |name| of(&results, name);
    let (keyed, sequential, stream) = (of("key-ordered"), of("sequential"), of("StreamConsumer"));
    let (lanes, defaults) = (of("64 lanes"), of("StreamConsumer defaults"));
    let (enveloped, stream_headers) = (of("key-ordered, headers"), of("StreamConsumer, headers"));
    Ok(vec![
        Row::cpu("key-ordered | sequential StreamConsumer", keyed, stream).required(Required::RatioAtMost(1.25)),
        Row::cpu("key-ordered | 64 hand-written key lanes", keyed, lanes).required(Required::RatioAtMost(0.9)),
        Row::cpu("sequential | sequential StreamConsumer", sequential, stream),
        Row::cpu("key-ordered, 7 headers | StreamConsumer, reads 2", enveloped, stream_headers),
        Row::rate("key-ordered | StreamConsumer left at its defaults", keyed, defaults)
            .required(Required::RatioAtLeast(3.0)),
        Row::rate("key-ordered | sequential StreamConsumer", keyed, stream),
        Row::rate("key-ordered | 64 hand-written key lanes", keyed, lanes),
        Row::rate("sequential | sequential StreamConsumer", sequential, stream),
    ])
}

/// Handlers that wait. The limit is what the hottest key alone takes: its messages times the sleep, as measured.
async fn wait(size: Size, topic: &str) -> Result<Vec<Row>, Failure> {
    let cell = |arm, work| Cell::new(arm, topic, size.work).work(work);
    let cells = [
        ("key-ordered, 1 ms", cell("ours-keyed", ONE_MS)),
        ("key-ordered, 10 ms", cell("ours-keyed", TEN_MS)),
        ("64 lanes, 10 ms", cell("lanes", TEN_MS)),
    ];
    let results = interleave(&cells, size.repeats.div_ceil(2)).await?;
    let rates = |name| of(&results, name).iter().map(Sample::rate).collect::<Vec<_>>();
    let limits = |name| of(&results, name).iter().map(Sample::limit).collect::<Vec<_>>();
    let row = |name: &'static str, case: &str| Row::of(case, rates(name), limits(name), "messages/s");
    let (keyed, lanes) = (of(&results, "key-ordered, 10 ms"), of(&results, "64 lanes, 10 ms"));
    Ok(vec![
        row("key-ordered, 1 ms", "1 ms of work, key-ordered | the hottest key's limit"),
        row("key-ordered, 10 ms", "10 ms of work, key-ordered | the hottest key's limit")
            .required(Required::RatioAtLeast(0.9)),
        row("64 lanes, 10 ms", "(10 ms of work, 64 hand-written key lanes | the limit)"),
        Row::rate("10 ms of work, key-ordered | 64 hand-written key lanes", keyed, lanes),
    ])
}

async fn publish(size: Size, topic: &str) -> Result<Vec<Row>, Failure> {
    let cell = |arm| Cell::new(arm, topic, size.publish);
    let cells = [
        ("send", cell("ours-send")),
        ("BaseProducer", cell("base-raw")),
        ("FutureProducer", cell("future-raw")),
        ("publish_all", cell("ours-publish")),
        ("BaseProducer, typed", cell("base-typed")),
        ("FutureProducer, typed", cell("future-typed")),
        ("publish_all, defaults", cell("ours-publish-defaults")),
        ("BaseProducer, typed, the same", cell("base-typed-defaults")),
    ];
    let results = interleave(&cells, size.repeats).await?;
    let of = |name| of(&results, name);
    let (send, base, future) = (of("send"), of("BaseProducer"), of("FutureProducer"));
    let (typed, base_typed, future_typed) = (of("publish_all"), of("BaseProducer, typed"), of("FutureProducer, typed"));
    let (defaults, base_defaults) = (of("publish_all, defaults"), of("BaseProducer, typed, the same"));
    Ok(vec![
        Row::cpu("batches of 100 bytes | BaseProducer", send, base),
        Row::cpu("batches of 100 bytes | FutureProducer", send, future),
        Row::cpu("batches of events, JSON, 7 headers | BaseProducer, the same", typed, base_typed)
            .required(Required::RatioAtMost(1.0)),
        Row::cpu("batches of events, JSON, 7 headers | FutureProducer, the same", typed, future_typed),
        Row::rate("batches of 100 bytes | BaseProducer", send, base),
        Row::rate("batches of 100 bytes | FutureProducer", send, future),
        Row::rate("batches of events, JSON, 7 headers | BaseProducer, the same", typed, base_typed),
        Row::rate("batches of events, JSON, 7 headers | FutureProducer, the same", typed, future_typed),
        Row::cpu("the same with our defaults (gzip, 16 KiB, 10 ms) | BaseProducer with those", defaults, base_defaults),
        Row::rate(
            "the same with our defaults (gzip, 16 KiB, 10 ms) | BaseProducer with those",
            defaults,
            base_defaults,
        ),
        Row::cpu("the same with our defaults | without compression, 1 MB, 5 ms", defaults, typed),
    ])
}

pub(crate) async fn memory(size: Size, folder: &Path) -> Result<(), Failure> {
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
