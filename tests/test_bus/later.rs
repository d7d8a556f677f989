//! Attempts that come later than memory should hold a message for.

use gulo::memory::{MemoryConfig, MemoryTransport, Shape};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Order 3 fails for ever: four attempts at first, and four after each of two days.
fn app() -> BusBuilder {
    Bus::builder("shop").topic("bills", |t| t).subscribe(billing().retry_later([DAY, DAY])).state(Ledger::default())
}

#[tokio::test]
async fn what_is_tried_again_days_later_ends_in_no_time() {
    let queues = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    let bus = TestBus::on(queues).start(app()).await.unwrap();
    bus.publish(Placed { order: 3 }).await.unwrap();
    let unsettled = bus.settle_within(DAY / 2).await.expect_err("it waits for its day").to_string();
    assert!(unsettled.contains("comes again later: the ledger is lost"), "{unsettled}");
    assert_eq!(bus.health().subscriptions[0].counts.postponed, 1);
    bus.settle_within(3 * DAY).await.unwrap();
    assert_eq!(bus.published::<Placed>(), [Placed { order: 3 }], "what waits is no other event");
    let retried: Vec<_> = bus.retried(BILLING).iter().map(|retried| retried.attempt).collect();
    assert_eq!(retried, (2..=12).collect::<Vec<_>>());
    let letters = bus.dead_lettered(BILLING);
    assert_eq!((letters.len(), letters[0].attempts, &*letters[0].origin.topic), (1, 12, "orders"));
    assert!(bus.skipped(BILLING).is_empty());
    bus.shutdown().await.unwrap();
}

/// Where the broker has no delivery at a later time, the test says so as production would.
#[tokio::test]
async fn on_a_log_it_does_not_start() {
    let error = TestBus::start(app()).await.map(drop).expect_err("it cannot").to_string();
    assert!(error.contains("`deliver_at`"), "{error}");
}
