//! How errors are compared.

use gulo::bus::{Bus, BusBuilder};
use gulo::memory::MemoryTransport;
use gulo::transport::{Outcome, Unsent};
use gulo::{Error, ErrorKind};

pub(crate) fn on_memory() -> BusBuilder {
    Bus::builder("shop").transport(MemoryTransport::new())
}

/// The error of a start that is refused.
pub(crate) async fn refused(bus: BusBuilder) -> Error {
    bus.start().await.map(|_| ()).expect_err("start is refused")
}

/// `text` with `HERE` in place of the file, line and column that a test stands in.
pub(crate) fn without_place(text: &str) -> String {
    let mut parts = text.split("tests/errors/");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let rest = part.split_once(".rs:").map_or(part, |(_, rest)| rest);
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        format!("{all}HERE{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
    })
}

/// What was not confirmed of one event: what is known of it, the kind, and the whole text.
pub(crate) fn of(result: Result<(), Unsent>) -> (Outcome, ErrorKind, String) {
    let unsent = result.expect_err("not confirmed");
    let failed = unsent.failed.first().expect("at least one");
    (failed.outcome, failed.error.kind(), unsent.to_string())
}
