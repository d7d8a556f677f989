//! What is refused at `start()`, and what publishing says of what it cannot send.

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use gulo::prelude::*;
use gulo::transport::{
    Capabilities, Capability, Outcome, Position, Publisher, Source, Status, SubscribeSpec, TopicSpec, Topology,
    TopologyMode, Transaction, Transport,
};
use gulo::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

use support::Paid;

async fn bill(Event(_): Event<Paid>) {}
async fn bill_again(Event(_): Event<Paid>) {}
async fn with_state(Event(_): Event<Paid>, State(_): State<u64>) {}

async fn refused(bus: BusBuilder) -> Error {
    bus.start().await.map(|_| ()).expect_err("start is refused")
}

fn on_memory() -> BusBuilder {
    Bus::builder("shop").transport(MemoryTransport::new())
}

#[derive(Serialize, Deserialize)]
struct PaidOtherwise {
    amount: u32,
}

impl IntegrationEvent for PaidOtherwise {
    const TYPE: &'static str = Paid::TYPE;
    const TOPIC: Option<&'static str> = Paid::TOPIC;
}

async fn bill_otherwise(Event(_): Event<PaidOtherwise>) {}
async fn anything(_: Payload) {}

#[tokio::test]
async fn what_contradicts_itself_is_an_error_that_names_both_places() {
    let group = Subscription::group;
    let cases = [
        (Bus::builder("shop"), "the bus has no transport (add `.transport(MemoryTransport::new())` or another)"),
        (on_memory().subscribe(group("b")), "group b at tests/start.rs has no handler (add one with `.on(handler)`)"),
        (
            on_memory().subscribe(group("").on(bill)),
            "the subscription at tests/start.rs is of a group called `` (a group's name is 1 to 255 bytes without control characters)",
        ),
        (
            on_memory().subscribe(group("b").on(bill)).subscribe(group("b").on(bill)),
            "group b is subscribed twice: at tests/start.rs and at tests/start.rs (put all its handlers into one)",
        ),
        (
            on_memory().subscribe(group("b").on(bill).on(bill_again).on(bill)),
            "group b has start::bill twice: at tests/start.rs and at tests/start.rs (take one away)",
        ),
        (
            on_memory()
                .subscribe(group("b").on_raw(["x", "y"], anything).on_raw(TopicSelector::pattern("y+"), anything)),
            "group b has start::anything twice: at tests/start.rs and at tests/start.rs (take one away)",
        ),
        (
            on_memory().subscribe(group("b").on(bill).on(bill_otherwise)),
            "group b takes `order.paid` as start::support::Paid at tests/start.rs and as start::PaidOtherwise at \
             tests/start.rs (let both take one of them: an event may accept several versions)",
        ),
        (
            on_memory().subscribe(group("b").on(with_state)),
            "start::with_state in group b at tests/start.rs takes State<u64>, and there is no such state (give it to the \
             bus with `.state(..)`)",
        ),
        (
            on_memory().topic_naming(TopicNaming::new().explicit()).subscribe(group("b").on(report)),
            "group b, at tests/start.rs: event `report.made` has no topic (name one: `#[event(topic = \"..\")]`, or \
             `const TOPIC` of its `IntegrationEvent`)",
        ),
        (
            on_memory().subscribe(group("b").on_raw(TopicSelector::pattern("a)|(b"), anything)),
            "group b, at tests/start.rs: topic pattern `a)|(b` is not valid: found closing ')' without matching '(' \
             (a pattern is a regular expression of whole names, as `users[.][a-z]+`)",
        ),
    ];
    for (bus, text) in cases {
        let error = refused(bus).await;
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(without_lines(&error.to_string()), text);
    }
}

#[rustfmt::skip]
#[tokio::test]
async fn the_two_places_are_two_lines() {
    let error = refused(on_memory().subscribe(
        Subscription::group("b")
            .on(bill)
            .on(bill),
    ));
    let error = error.await.to_string();
    let lines: Vec<u32> = error.split("tests/start.rs:").skip(1).filter_map(|at| at.split(':').next()?.parse().ok()).collect();
    assert!(matches!(lines[..], [one, other] if other == one + 1), "{error}");
}

/// Without `:line:column` behind the file.
fn without_lines(text: &str) -> String {
    let mut parts = text.split("tests/start.rs");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let rest = part.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit());
        // A colon behind the place belongs to the sentence.
        let colon = if part[..part.len() - rest.len()].ends_with(':') { ":" } else { "" };
        format!("{all}tests/start.rs{colon}{rest}")
    })
}

async fn report(Event(_): Event<Report>) {}

#[tokio::test]
async fn every_capability_that_the_transport_lacks_is_refused_by_name() {
    let mut lacked = 0;
    for shape in [Shape::Log, Shape::Queue] {
        let transport = || MemoryTransport::with(MemoryConfig::new().shape(shape));
        for capability in Capability::ALL {
            if transport().capabilities().has(*capability) {
                continue;
            }
            let error = refused(Bus::builder("shop").transport(transport()).require(*capability)).await;
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(
                error.to_string(),
                format!(
                    "transport `memory` does not offer `{capability}` (do without it, or take a transport that has it)"
                )
            );
            lacked += 1;
        }
    }
    assert!(lacked > 5);
}

#[tokio::test]
async fn a_transaction_is_refused_by_its_capability() {
    let error = MemoryTransport::new().transaction("t").await.map(|_| ()).expect_err("refused");
    assert_eq!((error.kind(), error.to_string().contains("`transactions`")), (ErrorKind::Unsupported, true));
}

#[tokio::test]
async fn a_position_in_the_past_is_refused_where_there_is_no_history() {
    let queue = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    let subscription = Subscription::group("b").start(Position::At(std::time::SystemTime::now())).on(bill);
    let error = refused(Bus::builder("shop").transport(queue).subscribe(subscription)).await;
    assert!(error.to_string().contains("`history`") && error.to_string().contains("group b"), "{error}");
}

#[tokio::test]
async fn all_missing_topics_are_named_dead_letter_topics_included() {
    let error = refused(on_memory().topology(TopologyMode::Check).subscribe(Subscription::group("b").on(bill))).await;
    assert_eq!(error.kind(), ErrorKind::Missing);
    for topic in ["orders", "orders.b.dlq"] {
        assert!(error.to_string().contains(topic), "{error}");
    }
}

/// Has no topics, and says how far ahead messages were to be published to each, and what to do by itself.
struct Empty(MemoryTransport);

#[async_trait]
impl Transport for Empty {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn status(&self) -> Status {
        self.0.status()
    }

    async fn ensure(&self, topology: &Topology) -> gulo::Result<()> {
        let topic = |topic: &TopicSpec| topic.delayed.map(|ahead| format!("{} {ahead:?}", topic.name));
        let delayed: Vec<String> = topology.topics.iter().filter_map(topic).collect();
        Err(Error::new(ErrorKind::Missing, format!("delayed: {}", delayed.join(", "))).help("make them by hand"))
    }

    async fn publisher(&self) -> gulo::Result<Arc<dyn Publisher>> {
        self.0.publisher().await
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> gulo::Result<Box<dyn Source>> {
        self.0.subscribe(spec).await
    }

    async fn transaction(&self, id: &str) -> gulo::Result<Box<dyn Transaction>> {
        self.0.transaction(id).await
    }
}

/// By a transport that makes nothing, say: then the mode is not what is to be changed.
#[tokio::test]
async fn what_to_do_about_missing_topics_is_said_by_who_knows() {
    let queues = || Empty(MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue)));
    for (mode, help) in [
        (TopologyMode::Create, "make them by hand"),
        (TopologyMode::Check, "make them, or let the bus do it with `.topology(TopologyMode::Create)`"),
    ] {
        let later = Subscription::group("b").retry_later([2, 7, 5].map(Duration::from_secs)).on(bill);
        let error = refused(Bus::builder("shop").transport(queues()).topology(mode).subscribe(later)).await;
        assert_eq!(error.to_string(), format!("delayed: orders.b.retry 7s ({help})"));
    }
}

#[derive(Serialize, Deserialize)]
struct Report {
    #[serde(serialize_with = "refuses")]
    text: String,
}

fn refuses<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if text == "bad" { Err(serde::ser::Error::custom("this one does not")) } else { serializer.serialize_str(text) }
}

impl IntegrationEvent for Report {
    const TYPE: &'static str = "report.made";
}

#[tokio::test]
async fn a_batch_of_which_one_does_not_encode_is_not_sent_at_all() {
    let memory = MemoryTransport::new();
    let bus = Bus::builder("shop").transport(memory.clone()).topic("integration-events.report_made", |topic| topic);
    let bus = bus.start().await.unwrap();
    let reports = ["a", "bad", "c"].map(|text| Report { text: text.into() });
    let unsent = bus.publish_all(reports).await.expect_err("not sent");
    assert!(unsent.to_string().contains("this one does not"), "{unsent}");
    let mut outcomes: Vec<_> = unsent.failed.iter().map(|failed| (failed.index, failed.outcome)).collect();
    outcomes.sort_by_key(|(index, _)| *index);
    assert_eq!(outcomes, [(0, Outcome::NotSent), (1, Outcome::Refused), (2, Outcome::NotSent)]);
    assert!(memory.faults().messages("integration-events.report_made").is_empty());
}

#[tokio::test]
async fn what_passes_a_limit_is_refused_before_the_wire_naming_size_and_limit() {
    let bus = on_memory().topic("integration-events.report_made", |topic| topic).start().await.unwrap();
    let unsent = bus.publish(Report { text: "x".repeat(2 << 20) }).await.expect_err("refused");
    assert_eq!((unsent.failed[0].outcome, unsent.failed[0].error.kind()), (Outcome::Refused, ErrorKind::TooLarge));
    let text = unsent.to_string();
    assert!(text.contains("2097163 bytes") && text.contains("limit is 1048576"), "{text}");
}

#[tokio::test]
async fn an_event_without_its_topic_is_refused_by_the_name_of_the_topic() {
    let bus = on_memory().start().await.unwrap();
    let unsent = bus.publish(Report { text: "x".into() }).await.expect_err("refused");
    assert_eq!(unsent.failed[0].outcome, Outcome::Refused);
    assert!(unsent.to_string().contains("integration-events.report_made"), "{unsent}");
}

#[derive(Serialize, Deserialize)]
struct Billed {
    order: u32,
}

impl IntegrationEvent for Billed {
    const TYPE: &'static str = "order.billed";
    const TOPIC: Option<&'static str> = Some("bills");
}

#[tokio::test]
async fn what_a_handler_publishes_carries_the_causation_and_the_conversation_of_what_it_handles() {
    let memory = MemoryTransport::new();
    let bills = async |Event(paid): Event<Paid>, bus: Publish| {
        tokio::task::yield_now().await;
        bus.publish(Billed { order: paid.order }).await
    };
    let bus = Bus::builder("shop").transport(memory.clone()).topic("bills", |topic| topic);
    let bus = bus.subscribe(Subscription::group("billing").on(bills)).start().await.unwrap();
    bus.publish(Outgoing::new(Paid::of(1, 1)).id("p-1").correlation_id("c-1")).await.unwrap();
    bus.publish(Outgoing::new(Paid::of(2, 1)).id("p-2")).await.unwrap();
    support::eventually("billed", || memory.faults().messages("bills").len() == 2).await;
    let mut said: Vec<_> = memory
        .faults()
        .messages("bills")
        .iter()
        .map(|bill| ["ce_causationid", "ce_correlationid"].map(|name| bill.headers.get_str(name).map(str::to_owned)))
        .collect();
    said.sort();
    assert_eq!(said, [["p-1", "c-1"], ["p-2", "p-2"]].map(|ids| ids.map(|id| Some(id.to_owned()))));
}

#[tokio::test]
async fn what_an_event_leads_to_carries_its_id_and_its_conversation() {
    let memory = MemoryTransport::new();
    let bus = Bus::builder("shop").transport(memory.clone()).topic("orders", |topic| topic.partitions(2));
    let bus = bus.start().await.unwrap();
    let first = EventMeta::of(&Paid::of(1, 1), "shop");
    bus.publish(Outgoing::new(Paid::of(1, 2)).caused_by(&first)).await.unwrap();
    let message = memory.faults().messages("orders").remove(0);
    assert_eq!(message.headers.get_str("ce_causationid"), Some(first.id.as_str()));
    assert_eq!(message.headers.get_str("ce_correlationid"), Some(first.id.as_str()));
    bus.shutdown(Duration::from_secs(1)).await.unwrap();
}
