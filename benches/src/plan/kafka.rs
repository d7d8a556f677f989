//! Kafka's arms.

use std::path::Path;
use std::time::Duration;

use super::{Size, interleave, of};
use crate::Failure;
use crate::cell::Cell;
use crate::kafka::{create, delete, fill};
use crate::measure::Sample;
use crate::table::{Required, Row, show};
use crate::unique;

const TEN_MS: Duration = Duration::from_millis(10);
const ONE_MS: Duration = Duration::from_millis(1);

/// How many, of which workload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Messages {
    pub(super) drain: u64,
    pub(super) work: u64,
    pub(super) publish: u64,
}

pub(crate) async fn kafka(size: Size, folder: &Path) -> Result<usize, Failure> {
    let [plain, enveloped, work, sink] =
        ["plain", "enveloped", "work", "sink"].map(|name| unique(&format!("bench-{name}")));
    let topics = [plain.clone(), enveloped.clone(), work.clone(), sink.clone()];
    for topic in &topics {
        create(topic).await?;
    }
    fill(&plain, size.kafka.drain, false)?;
    fill(&enveloped, size.kafka.drain, true)?;
    fill(&work, size.kafka.work, false)?;
    let mut rows = consume(size, &plain, &enveloped).await?;
    rows.extend(wait(size, &work).await?);
    rows.extend(publish(size, &sink).await?);
    delete(&topics).await?;
    show(&rows, &folder.join("kafka.json"))
}

/// Draining a topic, with a handler that does nothing.
async fn consume(size: Size, plain: &str, enveloped: &str) -> Result<Vec<Row>, Failure> {
    let cells = [
        ("key-ordered", Cell::new("ours-keyed", plain, size.kafka.drain)),
        ("sequential", Cell::new("ours-sequential", plain, size.kafka.drain)),
        ("StreamConsumer", Cell::new("stream", plain, size.kafka.drain)),
        ("64 lanes", Cell::new("lanes", plain, size.kafka.drain)),
        ("StreamConsumer defaults", Cell::new("stream-defaults", plain, size.kafka.drain)),
        ("key-ordered, headers", Cell::new("ours-keyed", enveloped, size.kafka.drain)),
        ("StreamConsumer, headers", Cell::new("stream-headers", enveloped, size.kafka.drain)),
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
    let cell = |arm, work| Cell::new(arm, topic, size.kafka.work).work(work);
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
    let cell = |arm| Cell::new(arm, topic, size.kafka.publish);
    let cells = [
        ("send", cell("ours-send")),
        ("BaseProducer", cell("base-raw")),
        ("FutureProducer", cell("future-raw")),
        ("publish_all", cell("ours-publish")),
        ("publish_all, deep", cell("ours-publish-deep")),
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
        Row::cpu("the same, 10,000 under way | BaseProducer", of("publish_all, deep"), base_typed),
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
