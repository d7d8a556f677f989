//! The record in words, a line for each thing that happened.

use std::fmt;

use gulo_bus_core::bus::Publish;
use gulo_bus_core::envelope;
use gulo_bus_core::layer::Invocation;
use gulo_bus_core::message::{Message, Origin};

use super::{Entry, Record, What};

/// Lines at most: what is wrong is seldom further back.
const LINES: usize = 200;

/// What happened, in order and readable, as [`TestBus::log`](crate::TestBus::log) gives it: the last 200 lines, each
/// with its virtual time. Keys and what errors say stand in it; payloads never do.
///
/// ```
/// # use gulo_bus_core::bus::{Bus, Subscription};
/// # use gulo_bus_core::event::IntegrationEvent;
/// # use gulo_bus_core::handler::Event;
/// # use gulo_testing::TestBus;
/// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)] struct Placed { order: u64 }
/// # impl IntegrationEvent for Placed { const TYPE: &'static str = "order.placed"; }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let billing = Subscription::group("billing").on(async |_: Event<Placed>| {});
/// let bus = TestBus::start(Bus::builder("shop").subscribe(billing)).await?;
/// bus.publish(Placed { order: 1 }).await?;
/// bus.settle().await?;
/// let log = bus.log().to_string();
/// assert!(log.contains("published order.placed to integration-events.order_placed"), "{log}");
/// assert!(log.contains("attempt 1 handled"), "{log}");
/// bus.shutdown().await?;
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Log {
    entries: Vec<Entry>,
    reader: Option<Publish>,
}

impl Record {
    pub(crate) fn log(&self) -> Log {
        let state = self.lock();
        Log { entries: state.entries.clone(), reader: state.reader.clone() }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.entries.iter().filter(|entry| !matches!(entry.what, What::Retried { .. })).collect();
        let left_out = shown.len().saturating_sub(LINES);
        if left_out > 0 {
            writeln!(f, "  .. {left_out} before these")?;
        }
        shown.iter().skip(left_out).try_for_each(|Entry { at, what }| {
            let time = format!("{:.3}s", at.as_secs_f64());
            writeln!(f, "  {time:>10}  {}", self.in_words(what))
        })
    }
}

impl Log {
    fn in_words(&self, what: &What) -> String {
        match what {
            What::Published { message } => {
                format!("published {} to {}{}", self.kind(message), message.topic, key(message))
            }
            What::NotConfirmed { message, outcome, error } => {
                let (kind, topic, key) = (self.kind(message), &message.topic, key(message));
                format!("{} {kind} to {topic}{key}: {}", outcome.name(), line(error))
            }
            What::Handled { call } => format!("{} handled", called(call)),
            What::Failed { call, error } => format!("{} failed: {}", called(call), line(error)),
            What::Dropped { call } => format!("{} was dropped before its end", called(call)),
            What::Retried { call, error } => format!("{} begins, after: {}", called(call), line(error)),
            What::Skipped { group, message, origin } => format!("{} skipped", self.received(group, message, origin)),
            What::DeadLettered { group, message, origin, letter } => {
                let (reason, error) = (letter.reason.name(), line(&letter.error));
                format!("{} dead-lettered, {reason}: {error}", self.received(group, message, origin))
            }
            What::Postponed { group, message, origin, error } => {
                format!("{} comes again later: {}", self.received(group, message, origin), line(error))
            }
            What::Restarted { crashed: true } => "-- the bus crashed and is started again --".into(),
            What::Restarted { crashed: false } => "-- the bus was shut down and is started again --".into(),
        }
    }

    fn received(&self, group: &str, message: &Message, origin: &Origin) -> String {
        format!("group {group}: {} {origin}{}", self.kind(message), key(message))
    }

    fn kind(&self, message: &Message) -> String {
        kind(message, self.reader.as_ref())
    }
}

fn called(call: &Invocation) -> String {
    let Invocation { group, message, origin, meta, attempt, .. } = call;
    let kind = if meta.event_type.is_empty() { "a message without a type" } else { &line(&meta.event_type) };
    format!("group {group}: {kind} {origin}{}, attempt {attempt}", key(message))
}

/// The type it says, or what it is.
pub(super) fn kind(message: &Message, reader: Option<&Publish>) -> String {
    let said = match reader {
        Some(reader) => reader.event_type_of(message),
        None => envelope::event_type(message).map(str::to_owned),
    };
    match (said, &message.payload) {
        (Some(event_type), _) => line(&event_type),
        (None, Some(_)) => "a message without a type".into(),
        (None, None) => "a tombstone".into(),
    }
}

/// ` of key 7`: text, or `0x` and hexadecimal digits; nothing where there is none.
fn key(message: &Message) -> String {
    match &message.key {
        Some(key) => format!(" of key {}", key_text(key)),
        None => String::new(),
    }
}

/// As health shows keys.
pub(crate) fn key_text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => line(text),
        Err(_) => key.iter().take(32).fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}

/// Text from outside, on one line.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(256).collect()
}
