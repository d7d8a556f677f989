//! What is logged: one line for each thing that happens to an event, with the fields that people look for, and nothing that is
//! in it.

mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::ErrorKind;
use gulo::bus::Unhandled;
use gulo::domain::{DomainEvent, Events};
use gulo::layer::Log;
use gulo::mapper::EventMapper;
use gulo::mediator::{Mediate, Mediator, Request};
use gulo::prelude::*;
use gulo::publishing::{OnPublishFailure, integration_event_mediator};
use gulo::transport::Outcome as Sent;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event as Line, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use support::{Gated, Paid, eventually};

/// One line, with the fields of the spans around it.
#[derive(Debug, Clone)]
struct Said {
    level: Level,
    target: &'static str,
    message: String,
    fields: BTreeMap<&'static str, String>,
}

impl Said {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("missing", String::as_str)
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

/// All that is said on this thread, at every level.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<Said>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Listener {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        context.span(id).expect("a span").extensions_mut().insert(fields);
    }

    fn on_event(&self, line: &Line<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        line.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        for span in context.event_scope(line).into_iter().flatten() {
            if let Some(around) = span.extensions().get::<Fields>() {
                around.0.iter().for_each(|(name, value)| {
                    fields.0.entry(name).or_insert_with(|| value.clone());
                });
            }
        }
        let (level, target) = (*line.metadata().level(), line.metadata().target());
        self.0.lock().expect("whole").push(Said { level, target, message, fields: fields.0 });
    }
}

impl Listener {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }

    /// Of events: lines of the bus that name one.
    fn of_events(&self) -> Vec<Said> {
        let lines = self.0.lock().expect("whole").clone();
        lines
            .into_iter()
            .filter(|line| line.target.starts_with("gulo") && line.fields.contains_key("event_id"))
            .collect()
    }

    fn all(&self) -> Vec<Said> {
        self.0.lock().expect("whole").clone()
    }
}

async fn by_order(Event(paid): Event<Paid>, attempt: Attempt) -> Result<(), HandlerError> {
    match (paid.order, attempt.0) {
        (2, 1) => Err(HandlerError::new("not yet")),
        (3, _) => Err(HandlerError::new("never").permanent()),
        _ => Ok(()),
    }
}

fn group() -> Subscription {
    let retry = Retry::fixed(Duration::from_secs(7)).max_attempts(3);
    Subscription::group("billing").concurrency(Concurrency::per_key(8)).retry(retry).on(by_order)
}

fn app(gated: &Gated, group: Subscription) -> BusBuilder {
    Bus::builder("shop").transport(gated.clone()).subscribe(group)
}

/// Order 1 is handled at once, 2 at the second attempt, 3 never.
async fn run(gated: &Gated, group: Subscription, settled: u64) {
    let bus = app(gated, group).start().await.expect("starts");
    for order in 1..=3 {
        let event = Outgoing::new(Paid::of(order, 1)).id(format!("id-{order}")).correlation_id(format!("c-{order}"));
        bus.publish(event).await.expect("published");
    }
    eventually("all settled", || {
        let counts = bus.health().subscriptions[0].counts;
        counts.handled + counts.dead_lettered >= settled
    })
    .await;
    bus.shutdown(Duration::from_secs(5)).await.expect("clean");
}

struct Paying;
impl Request for Paying {
    type Response = ();
}

struct WasPaid;
impl DomainEvent for WasPaid {}

/// Whoever forgets to map an event, or the wrapper, looks for it in the log.
#[tokio::test]
async fn a_domain_event_of_which_nothing_is_published_is_said() {
    let listener = Listener::default();
    let _guard = listener.listen();
    let mediator = || Mediator::builder().handle(async |_: Paying, events: Events| events.raise(WasPaid)).build();
    mediator().expect("builds").send(Paying).await.expect("handled");
    let bus = Bus::builder("orders").transport(Gated::new()).start().await.expect("starts");
    let (inner, publisher) = (mediator().expect("builds"), Arc::new(bus.publisher()));
    let wrapped = integration_event_mediator(inner, publisher, EventMapper::new(), OnPublishFailure::FailRequest);
    wrapped.expect("sets up").send(Paying).await.expect("handled");
    let said = |what: &str| listener.all().into_iter().find(|line| line.message.starts_with(what)).expect("a line");
    let alone = said("no publishing around it: nothing is published of its domain events");
    assert_eq!((alone.level, alone.field("within"), alone.field("events")), (Level::DEBUG, "command `Paying`", "1"));
    let unmapped = said("not mapped: nothing is published of this domain event");
    assert_eq!((unmapped.level, unmapped.field("event")), (Level::DEBUG, "WasPaid"));
}

#[tokio::test(start_paused = true)]
async fn each_thing_that_happens_to_an_event_is_one_line_with_its_fields() {
    let (gated, listener) = (Gated::new(), Listener::default());
    let _listening = listener.listen();
    run(&gated, group(), 3).await;
    let lines = listener.of_events();
    let of = |order: u32| -> Vec<(Level, String)> {
        let id = format!("id-{order}");
        let of = lines.iter().filter(|line| line.field("event_id") == id);
        of.map(|line| (line.level, line.message.clone())).collect()
    };
    assert_eq!(of(1), [(Level::DEBUG, "published".into()), (Level::DEBUG, "handled".into())]);
    assert_eq!(
        of(2),
        [
            (Level::DEBUG, "published".into()),
            (Level::WARN, "handler failed, again in 7s: not yet".into()),
            (Level::DEBUG, "handled".into())
        ]
    );
    assert_eq!(
        of(3),
        [
            (Level::DEBUG, "published".into()),
            (Level::WARN, "handler failed, to be dead-lettered: never".into()),
            (Level::WARN, "dead-lettered: never".into())
        ]
    );
    for line in &lines {
        let order = line.field("event_id").trim_start_matches("id-").to_owned();
        assert_eq!(line.field("event_type"), "order.paid", "{line:?}");
        assert_eq!(line.field("topic"), "orders", "{line:?}");
        assert_eq!(line.field("correlation_id"), format!("c-{order}"), "{line:?}");
        if line.message != "published" {
            assert_eq!(line.field("group"), "billing", "{line:?}");
            let place = [line.field("partition"), line.field("offset")].map(|text| text.parse::<u64>().is_ok());
            assert_eq!(place, [true, true], "{line:?}");
            assert!(["1", "2"].contains(&line.field("attempt")), "{line:?}");
        }
    }
    let handled =
        lines.iter().rfind(|line| line.message == "handled" && line.field("event_id") == "id-2").expect("one");
    assert_eq!(handled.field("attempt"), "2");
    assert!(handled.field("handler").ends_with("by_order"), "{handled:?}");
    let letter = lines.iter().find(|line| line.message.starts_with("dead-lettered")).expect("one");
    assert_eq!((letter.field("letters"), letter.field("reason")), ("orders.billing.dlq", "permanent"));
}

#[tokio::test(start_paused = true)]
async fn what_is_discarded_parked_or_passed_over_is_said_with_the_reason() {
    let (gated, listener) = (Gated::new(), Listener::default());
    let _listening = listener.listen();
    run(&gated, group().dead_letter(DeadLetter::discard()), 3).await;
    let discarded: Vec<_> =
        listener.of_events().into_iter().filter(|line| line.message.starts_with("discarded")).collect();
    assert_eq!(discarded.len(), 1);
    assert_eq!((discarded[0].level, &*discarded[0].message), (Level::WARN, "discarded: never"));
    assert_eq!(discarded[0].field("reason"), "permanent");

    let (gated, listener) = (Gated::new(), Listener::default());
    let _listening = listener.listen();
    gated.fail(|message: &Message| message.topic.ends_with(".dlq").then_some((Sent::NotSent, ErrorKind::Unavailable)));
    let bus = app(&gated, group()).start().await.expect("starts");
    bus.publish(Paid::of(3, 1)).await.expect("published");
    let tombstone = Message::tombstone("orders").key("9");
    let foreign = Message::new("orders", "{}").key("9").header("ce_type", "order.other").header("ce_id", "foreign");
    bus.send(vec![tombstone, foreign]).await.expect("published");
    eventually("parked and skipped", || {
        let health = &bus.health().subscriptions[0];
        health.degraded.is_some() && health.counts.skipped == 2
    })
    .await;
    drop(bus.shutdown(Duration::from_secs(5)).await);
    let lines = listener.of_events();
    let parked = lines.iter().find(|line| line.message.contains("is parked")).expect("parked");
    assert_eq!(parked.level, Level::ERROR);
    assert!(
        parked.message.starts_with("orders[") && parked.message.contains("its dead letter is not taken: "),
        "{parked:?}"
    );
    let skipped: Vec<_> = lines.iter().filter(|line| line.message.starts_with("skipped")).collect();
    assert_eq!(skipped.iter().map(|line| line.level).collect::<Vec<_>>(), [Level::DEBUG; 2]);
    let texts: Vec<_> = skipped.iter().map(|line| &*line.message).collect();
    assert_eq!(texts[0], "skipped: a tombstone");
    assert!(texts[1].starts_with("skipped: no handler for events of type `order.other`"), "{texts:?}");
    assert_eq!(skipped[1].field("event_id"), "foreign");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_published_is_said_with_what_is_known_of_it_and_a_broker_that_is_away_does_not_fill_the_log() {
    let (gated, listener) = (Gated::new(), Listener::default());
    let _listening = listener.listen();
    let bus = app(&gated, group()).start().await.expect("starts");
    gated.fail(|_: &Message| Some((Sent::Unknown, ErrorKind::TimedOut)));
    bus.publish(Outgoing::new(Paid::of(1, 1)).id("id-1").correlation_id("c-1")).await.expect_err("not confirmed");
    let lines = listener.of_events();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line.level, Level::WARN);
    assert!(line.message.starts_with("not published: "), "{line:?}");
    let fields = ["event_id", "event_type", "topic", "correlation_id", "outcome"].map(|name| line.field(name));
    assert_eq!(fields, ["id-1", "order.paid", "orders", "c-1", "unknown"]);

    bus.publish_all((0..1000).map(|step| Paid::of(1, step))).await.expect_err("not confirmed");
    assert_eq!(listener.of_events().len(), 1 + 20);
    assert!(listener.all().iter().any(|line| line.message == "and 980 more not published"));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_lost_is_named_by_its_topic_and_partition() {
    let (gated, listener) = (Gated::new(), Listener::default());
    let _listening = listener.listen();
    let bus = app(&gated, group()).topic("orders", |topic| topic.partitions(3)).start().await.expect("starts");
    let lost = || listener.all().into_iter().filter(|line| line.message.starts_with("lane lost")).collect::<Vec<_>>();
    eventually("all lanes are open", || bus.health().subscriptions[0].lanes.len() == 3).await;
    gated.inner.faults().lose_lane("billing", "orders", 2);
    eventually("lost", || lost().len() == 1).await;
    let line = &lost()[0];
    assert_eq!((line.level, &*line.message), (Level::WARN, "lane lost: what was not settled is delivered again"));
    assert_eq!(["group", "topic", "partition"].map(|name| line.field(name)), ["billing", "orders", "2"]);
    bus.shutdown(Duration::from_secs(5)).await.expect("clean");
}

#[tokio::test(start_paused = true)]
async fn messages_that_retention_has_passed_over_are_told_by_their_topic_and_partition() {
    let (gated, listener) = (Gated::new(), Listener::default());
    let _listening = listener.listen();
    let stuck = async |Event(_): Event<Paid>| tokio::time::sleep(Duration::from_secs(3600)).await;
    let group = Subscription::group("billing").window(1).on(stuck);
    let bus = app(&gated, group).topic("orders", |topic| topic.partitions(1)).start().await.expect("starts");
    bus.publish_all((0..9).map(|step| Paid::of(1, step))).await.expect("published");
    eventually("at work", || bus.health().subscriptions[0].in_flight == 1).await;
    gated.inner.faults().forget_before("orders", 0, 7);
    gated.inner.faults().lose("billing");
    let gaps = || listener.all().into_iter().filter(|line| line.message.starts_with("retention")).collect::<Vec<_>>();
    eventually("a gap", || gaps().len() == 1).await;
    let fields = ["group", "topic", "partition", "to"].map(|name| gaps()[0].field(name).to_owned());
    assert_eq!(fields, ["billing", "orders", "0", "7"]);
    drop(bus);
}

/// What the handler itself logs has the message around it, by the layer.
#[tokio::test(start_paused = true)]
async fn lines_of_a_handler_have_the_fields_of_its_message_by_the_layer() {
    let speaks = async |Event(paid): Event<Paid>| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tracing::info!(order = paid.order, "my own line");
    };
    for layered in [true, false] {
        let (gated, listener) = (Gated::new(), Listener::default());
        let _listening = listener.listen();
        let group = Subscription::group("billing").on(speaks);
        let bus = app(&gated, if layered { group.layer(Log) } else { group }).start().await.expect("starts");
        bus.publish(Outgoing::new(Paid::of(1, 1)).id("id-1").correlation_id("c-1")).await.expect("published");
        eventually("handled", || bus.health().subscriptions[0].counts.handled == 1).await;
        bus.shutdown(Duration::from_secs(5)).await.expect("clean");
        let all = listener.all();
        let own = all.iter().find(|line| line.message == "my own line").expect("said");
        let fields = ["event_id", "correlation_id", "topic", "group", "attempt"].map(|name| own.field(name));
        let expected = if layered { ["id-1", "c-1", "orders", "billing", "1"] } else { ["missing"; 5] };
        assert_eq!(fields, expected);
    }
}

/// Neither payload, key, nor header, at whatever level, whatever becomes of the event.
#[tokio::test(start_paused = true)]
async fn nothing_that_an_event_carries_is_logged() {
    let (gated, listener) = (Gated::new(), Listener::default());
    let _listening = listener.listen();
    let bus = app(&gated, group().unhandled(Unhandled::DeadLetter).layer(Log)).start().await.expect("starts");
    let secret =
        |payload: &str| Message::new("orders", payload.to_owned()).key("hunter2").header("authorization", "hunter2");
    let mut batch = vec![secret("hunter2"), secret(r#"{"order":"hunter2","step":1}"#)];
    batch.push(secret(r#"{"order":1,"step":1,"note":"hunter2"}"#).header("ce_type", "order.paid"));
    batch.push(secret(r#"{"order":3,"step":1,"note":"hunter2"}"#).header("ce_type", "order.paid"));
    batch.push(secret("hunter2").header("ce_type", "order.other"));
    bus.send(batch).await.expect("published");
    eventually("all settled", || {
        let counts = bus.health().subscriptions[0].counts;
        counts.handled + counts.dead_lettered == 5
    })
    .await;
    gated.fail(|_: &Message| Some((Sent::Refused, ErrorKind::Refused)));
    bus.send(vec![secret("hunter2")]).await.expect_err("refused");
    drop(bus.shutdown(Duration::from_secs(5)).await);
    let lines = listener.all();
    assert!(lines.len() > 10, "{lines:?}");
    let told: Vec<_> = lines.iter().filter(|line| format!("{line:?}").contains("hunter2")).collect();
    assert!(told.is_empty(), "{told:#?}");
}
