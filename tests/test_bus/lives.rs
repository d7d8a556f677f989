//! A bus that is stopped and comes again.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use gulo::ErrorKind;
use gulo::bus::Stage;

use super::*;

async fn with(ledger: &Ledger) -> TestBus {
    let ledger = ledger.clone();
    TestBus::with(move || app(&ledger)).await.expect("starts")
}

#[tokio::test]
async fn after_a_restart_nothing_is_handled_again_and_what_was_left_is() {
    let ledger = Ledger::default();
    let bus = with(&ledger).await;
    bus.publish_all([1, 2].map(|order| Placed { order })).await.unwrap();
    bus.advance(SECOND).await;
    assert_eq!(ledger.orders(), [1]);
    let bus = bus.restart().await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(ledger.orders(), [1, 2]);
    // The record goes over both lives; attempts are counted anew.
    assert_eq!(bus.handled::<Placed>(BILLING).iter().map(|it| it.attempt).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(bus.retried(BILLING).len(), 2);
    assert!(bus.log().to_string().contains("shut down and is started again"), "{}", bus.log());
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn after_a_crash_what_was_not_durable_is_handled_again() {
    let ledger = Ledger::default();
    let bus = with(&ledger).await;
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    // Commits are made after a second: this one is durable, the next is not.
    bus.advance(2 * SECOND).await;
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    let bus = bus.crash().await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(ledger.orders(), [1, 1, 1]);
    assert_eq!(bus.handled::<Placed>(BILLING).len(), 3);
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_crash_drops_what_is_in_work_and_its_publishers_send_nothing_more() {
    async fn slow(Event(_): Event<Placed>, State(begun): State<Arc<AtomicU32>>) {
        begun.fetch_add(1, SeqCst);
        tokio::time::sleep(10 * SECOND).await;
    }
    let begun = Arc::new(AtomicU32::new(0));
    let state = Arc::clone(&begun);
    let bus = TestBus::with(move || one_group(slow).state(Arc::clone(&state))).await.unwrap();
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.advance(SECOND).await;
    let publisher = bus.publisher();
    let bus = bus.crash().await.unwrap();
    let error = publisher.publish(Placed { order: 2 }).await.unwrap_err().failed.remove(0).error;
    let text = "the bus has crashed (publish on the one that `crash` gave back)";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Closed, text));
    bus.settle().await.unwrap();
    assert_eq!((begun.load(SeqCst), bus.handled::<Placed>(BILLING).len()), (2, 1));
    let log = bus.log().to_string();
    let (before, after) = log.split_once("-- the bus crashed").expect("the crash");
    assert!(before.contains("attempt 1 was dropped before its end") && after.contains("attempt 1 handled"), "{log}");
}

#[tokio::test]
async fn what_happened_in_an_earlier_life_is_not_said_of_a_message_that_comes_again() {
    let bus = with(&Ledger::default()).await;
    bus.publish(Placed { order: 3 }).await.unwrap();
    bus.advance(SECOND).await;
    let bus = bus.crash().await.unwrap();
    bus.faults().down();
    let unsettled = bus.settle_within(SECOND).await.unwrap_err();
    let [open] = &unsettled.open[..] else { panic!("{unsettled}") };
    assert_eq!((open.stage, open.attempts, open.reason.as_deref()), (Stage::Queued, 0, None));
}

#[tokio::test]
async fn without_a_factory_it_cannot_come_again_and_says_how_it_could() {
    for crashes in [true, false] {
        let bus = start(app(&Ledger::default())).await;
        let again = if crashes { bus.crash().await } else { bus.restart().await };
        let error = again.expect_err("cannot be made again");
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains("TestBus::with(|| app())"), "{error}");
    }
}

#[tokio::test]
async fn a_shutdown_says_what_is_left() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish_all([1, 3].map(|order| Placed { order })).await.unwrap();
    bus.advance(SECOND).await;
    let left = bus.shutdown().await.unwrap_err();
    let [open] = &left.open[..] else { panic!("{left}") };
    assert_eq!((open.stage, open.attempts, open.reason.as_deref()), (Stage::Waiting, 1, Some("the ledger is lost")));
    assert!(left.to_string().starts_with("not settled at shutdown; open messages: 1,"), "{left}");
}

#[tokio::test]
async fn a_shutdown_that_is_not_clean_says_so() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    bus.faults().down();
    let left = bus.shutdown().await.unwrap_err();
    assert!(left.troubles.iter().any(|trouble| trouble.contains("closing group billing")), "{left}");
}

#[tokio::test]
async fn a_clean_shutdown_reports_what_was_done() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish(Placed { order: 2 }).await.unwrap();
    bus.settle().await.unwrap();
    let report = bus.shutdown().await.unwrap();
    let counts = report.subscriptions[0].counts;
    assert_eq!((counts.handled, counts.retried), (1, 2));
}
