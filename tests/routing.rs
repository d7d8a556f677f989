//! Where events go and what is said of them: names, keys, headers; several topics; one publish that differs.

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use gulo::message::SendOptions;
use gulo::prelude::*;
use gulo::transport::Outcome;
use gulo::{ErrorKind, dead_letter as dlq};
use serde::{Deserialize, Serialize};

use support::{Gated, Paid, eventually};

type Seen = Arc<Mutex<Vec<String>>>;

/// An event that names no topic, and is about something.
#[derive(Debug, Serialize, Deserialize)]
struct Shipped {
    parcel: u32,
}

impl IntegrationEvent for Shipped {
    const TYPE: &'static str = "ParcelShipped";

    fn aggregate(&self) -> Option<Aggregate> {
        Some(Aggregate::new("parcel", self.parcel.to_string()))
    }
}

async fn sees_paid(Event(paid): Event<Paid>, origin: Origin, State(seen): State<Seen>) {
    seen.lock().expect("whole").push(format!("{} paid {}.{}", origin.topic, paid.order, paid.step));
}

async fn sees_shipped(Event(shipped): Event<Shipped>, origin: Origin, State(seen): State<Seen>) {
    seen.lock().expect("whole").push(format!("{} shipped {}", origin.topic, shipped.parcel));
}

async fn fails(message: Message) -> Result<(), HandlerError> {
    Err(HandlerError::new(format!("{} is closed", message.topic)).permanent())
}

fn shop(gated: &Gated, seen: &Seen) -> BusBuilder {
    Bus::builder("shop").transport(gated.clone()).state(seen.clone())
}

fn sorted(seen: &Seen) -> Vec<String> {
    let mut seen = seen.lock().expect("whole").clone();
    seen.sort();
    seen
}

#[tokio::test(start_paused = true)]
async fn names_in_the_program_are_called_by_the_strategy_on_the_broker() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let group = Subscription::group("g").on(sees_paid).on(sees_shipped).on_raw("returns", fails);
    let bus = shop(&gated, &seen).topic_naming(TopicNaming::new().prefix("acme").environment("staging"));
    let bus = bus.topic("eu", |topic| topic).subscribe(group.on_from("eu", sees_paid)).start().await.expect("starts");
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    bus.publish(Shipped { parcel: 7 }).await.expect("confirmed");
    bus.publish(Outgoing::new(Paid::of(2, 1)).topic("eu")).await.expect("confirmed");
    // As they are: the name is the broker's own.
    bus.send(vec![Message::new("staging.acme.returns", "x")]).await.expect("confirmed");
    let letters = gated.read("staging.acme.returns.g.dlq", 1).await;
    assert_eq!(letters[0].headers.get_str(dlq::ERROR), Some("staging.acme.returns is closed"));
    eventually("all seen", || seen.lock().expect("whole").len() == 3).await;
    let expected = [
        "staging.acme.eu paid 2.1",
        "staging.acme.integration-events.parcel_shipped shipped 7",
        "staging.acme.orders paid 1.1",
    ];
    assert_eq!(sorted(&seen), expected);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_names_no_topic_is_an_error_where_that_is_asked() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let bus = shop(&gated, &seen).topic_naming(TopicNaming::new().explicit()).start().await.expect("starts");
    let unsent = bus.publish(Shipped { parcel: 7 }).await.expect_err("no topic");
    let failed = &unsent.failed[0];
    assert_eq!((failed.outcome, failed.error.kind()), (Outcome::Refused, ErrorKind::Config));
    assert!(unsent.to_string().contains("event `ParcelShipped` has no topic (name one"), "{unsent}");
}

#[tokio::test(start_paused = true)]
async fn one_type_is_read_from_several_topics_by_one_handler() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let group = Subscription::group("g").on_from(["orders.eu", "orders.us"], sees_paid);
    let bus = shop(&gated, &seen).subscribe(group).topic("orders", |topic| topic).start().await.expect("starts");
    for topic in ["orders.eu", "orders.us", "orders"] {
        bus.publish(Outgoing::new(Paid::of(1, 1)).topic(topic)).await.expect("confirmed");
    }
    eventually("both seen", || seen.lock().expect("whole").len() == 2).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(sorted(&seen), ["orders.eu paid 1.1", "orders.us paid 1.1"]);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_is_refused_by_name_where_the_transport_has_none() {
    let queue = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    let group = Subscription::group("g").on_from(TopicSelector::pattern("orders.*"), sees_paid);
    let bus = Bus::builder("shop").transport(queue).state(Seen::default()).subscribe(group);
    let error = bus.start().await.map(drop).expect_err("refused");
    let text = "pattern `orders.*` of group g: transport `memory` does not offer `patterns` (do without it, or take a \
                transport that has it)";
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unsupported, text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_single_publish_may_differ_in_topic_key_headers_partition_and_all_that_is_known() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let places = async |message: Message, origin: Origin, State(seen): State<Seen>| {
        let key = message.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        let partition = origin.partition.unwrap_or_default();
        seen.lock().expect("whole").push(format!("{}[{partition}] {key}", origin.topic));
    };
    let group = Subscription::group("places").on_raw("special", places);
    let bus = shop(&gated, &seen).topic("special", |topic| topic.partitions(4)).subscribe(group);
    let bus = bus.start().await.expect("starts");
    let event = Outgoing::new(Paid::of(1, 1))
        .id("my-id")
        .topic("special")
        .key("tenant-7")
        .header("tenant", "7")
        .header("tenant", "8")
        .partition(3)
        .aggregate(Aggregate::new("tenant", "7"))
        .time("2026-01-02T03:04:05Z".parse().expect("a time"))
        .correlation_id("c")
        .causation_id("d");
    bus.publish(event).await.expect("confirmed");
    bus.publish(Outgoing::new(Paid::of(1, 1)).topic("special").no_key()).await.expect("confirmed");
    let messages = gated.read("special", 2).await;
    let (message, keyless) = match &messages[..] {
        [first, second] if first.key.is_some() => (first, second),
        [first, second] => (second, first),
        other => panic!("{other:?}"),
    };
    assert_eq!((message.key.as_deref(), keyless.key.as_deref()), (Some(&b"tenant-7"[..]), None));
    let all: Vec<_> = message.headers.get_all("tenant").flatten().collect();
    assert_eq!(all, [b"7", b"8"]);
    let names = ["ce_id", "ce_subject", "ce_time", "ce_correlationid", "ce_causationid"];
    let values = names.map(|name| message.headers.get_str(name).unwrap_or_default());
    assert_eq!(values, ["my-id", "tenant/7", "2026-01-02T03:04:05.000000Z", "c", "d"]);
    eventually("seen", || seen.lock().expect("whole").len() == 2).await;
    assert!(sorted(&seen).contains(&"special[3] tenant-7".to_owned()), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn headers_of_the_envelope_are_not_the_publishers_to_give() {
    let gated = Gated::new();
    let bus = shop(&gated, &Seen::default()).topic("orders", |topic| topic).start().await.expect("starts");
    for name in ["ce_id", "content-type", dlq::REPLAYED_FOR] {
        let unsent = bus.publish(Outgoing::new(Paid::of(1, 1)).header(name, "x")).await.expect_err("refused");
        let text =
            format!("header `{name}` is written by the bus itself (give yours another name, or use the methods of");
        assert!(unsent.to_string().contains(&text), "{unsent}");
    }
    // An extension of CloudEvents that we do not write.
    bus.publish(Outgoing::new(Paid::of(1, 1)).header("ce_tenant", "7")).await.expect("confirmed");
    assert_eq!(gated.read("orders", 1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn wishes_that_the_transport_cannot_fulfil_are_refused_by_name() {
    let gated = Gated::new();
    let bus = shop(&gated, &Seen::default()).topic("orders", |topic| topic).start().await.expect("starts");
    let urgent = SendOptions { priority: Some(9), ..SendOptions::default() };
    let unsent = bus.publish(Outgoing::new(Paid::of(1, 1)).send_options(urgent)).await.expect_err("refused");
    assert!(unsent.to_string().contains("`priority`"), "{unsent}");
}

#[tokio::test(start_paused = true)]
async fn keys_are_the_events_its_aggregates_or_made_by_a_strategy() {
    let with_own = |key: PartitionKey| async move {
        let gated = Gated::new();
        let bus = shop(&gated, &Seen::default()).partition_key(key).topic("orders", |topic| topic);
        let bus = bus.topic("integration-events.parcel_shipped", |topic| topic).start().await.expect("starts");
        bus.publish(Outgoing::new(Paid::of(1, 1)).correlation_id("c")).await.expect("confirmed");
        bus.publish(Outgoing::new(Shipped { parcel: 7 }).correlation_id("c")).await.expect("confirmed");
        let key = async |topic| {
            let key = gated.read(topic, 1).await.remove(0).key;
            key.map(|key| String::from_utf8(key.to_vec()).expect("text"))
        };
        [key("orders").await, key("integration-events.parcel_shipped").await]
    };
    let some = |key: &str| Some(key.to_owned());
    assert_eq!(with_own(PartitionKey::event()).await, [some("1"), some("7")]);
    assert_eq!(with_own(PartitionKey::aggregate()).await, [None, some("7")]);
    assert_eq!(with_own(PartitionKey::conversation()).await, [some("c"), some("c")]);
    assert_eq!(with_own(PartitionKey::none()).await, [None, None]);
    let by = PartitionKey::by(|meta, own| Some(format!("{}/{}", meta.event_type, own.unwrap_or_default())));
    assert_eq!(with_own(by).await, [some("order.paid/1"), some("ParcelShipped/")]);
}

#[tokio::test(start_paused = true)]
async fn several_types_share_a_topic_and_each_handler_gets_its_own() {
    #[derive(Serialize, Deserialize)]
    struct Refunded;
    impl IntegrationEvent for Refunded {
        const TYPE: &'static str = "order.refunded";
        const TOPIC: Option<&'static str> = Some("orders");
    }
    let (gated, seen) = (Gated::new(), Seen::default());
    let refunds = async |Event(_): Event<Refunded>, State(seen): State<Seen>| {
        seen.lock().expect("whole").push("refunded".into());
    };
    let bus = shop(&gated, &seen).subscribe(Subscription::group("g").on(sees_paid).on(refunds));
    let bus = bus.start().await.expect("starts");
    bus.publish(Refunded).await.expect("confirmed");
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    eventually("both seen", || seen.lock().expect("whole").len() == 2).await;
    assert_eq!(sorted(&seen).into_iter().collect::<BTreeSet<_>>().len(), 2);
}

/// Of a topic that a pattern found nobody can say at `start()` that its letters would come back to its own group.
#[tokio::test(start_paused = true)]
async fn a_naming_that_gives_the_topic_itself_makes_no_circle() {
    let gated = Gated::new();
    let letters = DeadLetter::topic_named(|topic, _| topic.to_owned());
    let group = Subscription::group("g").dead_letter(letters).on_raw(TopicSelector::pattern("orders"), fails);
    let bus = shop(&gated, &Seen::default()).subscribe(group).topic("orders", |topic| topic).start().await;
    let bus = bus.expect("starts");
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    let counts = || bus.health().subscriptions[0].counts;
    eventually("a letter", || counts().dead_lettered == 1).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!((counts().dead_lettered, counts().skipped), (1, 0));
    assert_eq!(gated.read("orders.g.dlq", 1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_dead_letter_of_a_tombstone_that_a_pattern_matches_is_passed_over_too() {
    let gated = Gated::new();
    let group = Subscription::group("g").on_raw(TopicSelector::pattern("orders.*"), fails);
    let bus = shop(&gated, &Seen::default()).subscribe(group).topic("orders.eu", |topic| topic).start().await;
    let bus = bus.expect("starts");
    bus.send(vec![Message::tombstone("orders.eu").key("1")]).await.expect("confirmed");
    let counts = || bus.health().subscriptions[0].counts;
    eventually("passed over", || counts().skipped == 1).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!((counts().dead_lettered, counts().skipped), (1, 1));
}
