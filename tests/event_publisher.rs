//! The trait that applications publish by: a bus behind it, or a mock.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use gulo::AnyEvent;
use gulo::bus::{BusBuilder, Limits};
use gulo::prelude::*;
use gulo::testing::{MockEventPublisher, TestBus};
use gulo::transport::{Outcome, Unsent};
use gulo::{ErrorKind, message::Message};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Placed {
    order: u32,
    note: String,
}

impl IntegrationEvent for Placed {
    const TYPE: &'static str = "order.placed";
    const TOPIC: Option<&'static str> = Some("orders");

    fn key(&self) -> Option<String> {
        Some(self.order.to_string())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Reserved(u32);

impl IntegrationEvent for Reserved {
    const TYPE: &'static str = "stock.reserved";
}

fn placed(order: u32) -> Placed {
    Placed { order, note: "secret".into() }
}

/// An application's own code.
async fn place(publisher: Arc<dyn EventPublisher>, order: u32) -> Result<(), Unsent> {
    publisher.publish_events(vec![placed(order).into(), Reserved(order).into()]).await?;
    publisher.publish(placed(order + 1)).await?;
    publisher.publish_all([Reserved(order + 1), Reserved(order + 2)]).await
}

fn app() -> BusBuilder {
    Bus::builder("shop")
        .topic("orders", |t| t.partitions(1))
        .topic("integration-events.stock_reserved", |t| t.partitions(1))
}

#[tokio::test]
async fn a_mock_stands_in_for_the_bus_in_three_lines() {
    let mut publisher = MockEventPublisher::new();
    publisher.expect_publish_events().withf(|events| events[0].is::<Placed>()).times(2).returning(|_| Ok(()));
    publisher.expect_publish_events().withf(|events| events.len() == 2).once().returning(|_| Ok(()));
    place(Arc::new(publisher), 1).await.unwrap();
}

#[tokio::test]
async fn a_mock_can_fail_as_a_broker_does() {
    let mut publisher = MockEventPublisher::new();
    publisher.expect_publish_events().once().returning(|_| {
        let lost = vec![Message::tombstone("orders")];
        Err(Unsent::all(lost, Outcome::NotSent, |_| gulo::Error::new(ErrorKind::Unavailable, "the broker is away")))
    });
    let unsent = place(Arc::new(publisher), 1).await.unwrap_err();
    assert_eq!(unsent.failed[0].outcome, Outcome::NotSent);
}

#[tokio::test]
async fn a_bus_and_what_it_hands_out_publish_events_of_several_types_in_one_batch() {
    let bus = TestBus::start(app()).await.unwrap();
    place(Arc::new(bus.publisher()), 1).await.unwrap();
    assert_eq!(bus.published::<Placed>(), [placed(1), placed(2)]);
    assert_eq!(bus.published::<Reserved>(), [Reserved(1), Reserved(2), Reserved(3)]);
    let direct: &dyn EventPublisher = bus.bus();
    direct.publish(placed(7)).await.unwrap();
    let tested: &dyn EventPublisher = &bus;
    tested.publish(placed(8)).await.unwrap();
    assert_eq!(bus.published::<Placed>().len(), 4);
    bus.bus().publish_events(Vec::new()).await.unwrap();
}

#[tokio::test]
async fn what_is_said_about_an_event_goes_with_it() {
    let bus = TestBus::start(app()).await.unwrap();
    let event: AnyEvent = Outgoing::new(placed(1)).id("o-1").correlation_id("c-1").into();
    bus.publisher().publish_events(vec![event]).await.unwrap();
    let meta = &bus.published::<Placed>()[0].meta;
    assert_eq!((&*meta.id, meta.correlation_id.as_deref(), &*meta.source), ("o-1", Some("c-1"), "shop"));
}

#[tokio::test]
async fn where_one_event_is_refused_nothing_of_its_batch_is_sent() {
    let mut limits = Limits::default();
    limits.payload_bytes = 64;
    let bus = TestBus::start(app().limits(limits)).await.unwrap();
    let large = Placed { order: 1, note: "x".repeat(100) };
    let unsent = bus.publisher().publish_events(vec![Reserved(1).into(), large.into()]).await.unwrap_err();
    let outcomes: Vec<_> = unsent.failed.iter().map(|failed| (failed.index, failed.outcome)).collect();
    assert_eq!(outcomes, [(1, Outcome::Refused), (0, Outcome::NotSent)]);
    assert!(bus.published::<Reserved>().is_empty());
}

#[test]
fn an_event_of_any_type_knows_what_it_is_and_shows_no_content() {
    let event = AnyEvent::from(placed(7));
    assert!(event.is::<Placed>() && !event.is::<Reserved>());
    assert_eq!(event.downcast_ref::<Placed>(), Some(&placed(7)));
    assert_eq!(event.downcast_ref::<Reserved>(), None);
    assert_eq!(
        (event.event_type(), event.topic().as_deref(), event.key().as_deref()),
        ("order.placed", Some("orders"), Some("7"))
    );
    let shown = format!("{event:?}");
    assert!(shown.contains("order.placed") && !shown.contains("secret"), "{shown}");
}
