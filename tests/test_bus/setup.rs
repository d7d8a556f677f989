//! How it is started.

use gulo::ErrorKind;
use gulo::memory::{MemoryConfig, MemoryTransport};
use gulo::transport::{Outcome, TopologyMode};
use tokio::time::Instant;

use super::*;

#[tokio::test]
async fn the_transport_that_the_application_has_is_not_used() {
    let production = MemoryTransport::new();
    let bus = start(app(&Ledger::default()).transport(production.clone())).await;
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    assert!(production.faults().messages("orders").is_empty() && bus.messages("orders").len() == 1);
}

#[tokio::test]
async fn topics_that_the_application_only_checks_are_there_and_others_are_not() {
    let bus = start(app(&Ledger::default()).topology(TopologyMode::Check)).await;
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    let unsent = bus.send(vec![Message::new("ordrs", "{}")]).await.unwrap_err();
    assert_eq!(unsent.failed[0].outcome, Outcome::Refused);
}

#[tokio::test]
async fn what_is_wrong_with_the_application_is_said_at_the_start() {
    let error = TestBus::start(Bus::builder("shop").subscribe(billing())).await.expect_err("no state");
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("Ledger"), "{error}");
}

#[tokio::test]
async fn the_clock_is_paused_where_it_runs() {
    let bus = start(app(&Ledger::default())).await;
    let (ours, real) = (Instant::now(), std::time::Instant::now());
    bus.advance(3600 * SECOND).await;
    assert!(ours.elapsed() >= 3600 * SECOND && real.elapsed() < 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_paused_already_is_left_so() {
    let first = start(app(&Ledger::default())).await;
    let second = start(app(&Ledger::default())).await;
    for bus in [first, second] {
        bus.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_runtime_of_several_threads_is_refused_in_words() {
    let error = TestBus::start(app(&Ledger::default())).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("one thread") && error.to_string().contains("#[tokio::test]"), "{error}");
}

#[test]
fn without_a_runtime_it_is_refused_in_words() {
    let starting = std::pin::pin!(TestBus::start(app(&Ledger::default())));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = starting.poll(&mut cx) else { panic!("not refused at once") };
    assert!(error.to_string().contains("no tokio runtime"), "{error}");
}

#[tokio::test]
async fn limits_of_a_broker_of_ones_own_are_those_of_the_test() {
    let small = MemoryTransport::with(MemoryConfig::new().max_message_bytes(100));
    let bus = TestBus::on(small).start(app(&Ledger::default())).await.unwrap();
    let unsent = bus.publish(Placed { order: 1 }).await.unwrap_err();
    assert_eq!(unsent.failed[0].error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn two_services_talk_over_one_broker() {
    let broker = MemoryTransport::new();
    let shop = Bus::builder("shop").subscribe(billing()).topic("bills", |t| t).state(Ledger::default());
    let archive = Bus::builder("archive").subscribe(Subscription::group("archive").on(note_bill));
    let shop = TestBus::on(broker.clone()).start(shop).await.unwrap();
    let archive = TestBus::on(broker).start(archive).await.unwrap();
    shop.publish(Placed { order: 1 }).await.unwrap();
    shop.settle().await.unwrap();
    archive.settle().await.unwrap();
    assert_eq!(archive.handled::<Billed>("archive"), [Billed { order: 1 }]);
    assert!(archive.published::<Billed>().is_empty() && shop.published::<Billed>().len() == 1);
}

#[tokio::test]
async fn where_the_clock_is_let_run_again_waits_are_real() {
    async fn slow(Event(_): Event<Placed>) {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let bus = start(one_group(slow)).await;
    tokio::time::resume();
    let began = std::time::Instant::now();
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.handled::<Placed>(BILLING).len(), 1);
    assert!(began.elapsed() >= Duration::from_millis(30));
}
