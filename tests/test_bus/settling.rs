//! When it is settled, and what it says where it is not.

use std::future::pending;

use gulo::bus::Stage;
use gulo::dead_letter::Guard;
use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use tokio::time::Instant;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_month_of_back_off_passes_in_no_time() {
    async fn fails(Event(_): Event<Placed>) -> Result<(), HandlerError> {
        Err(HandlerError::new("not today"))
    }
    // Who waits that long says so: a minute without progress would be taken for a stall.
    let group = Subscription::group(BILLING).retry(Retry::fixed(DAY).max_attempts(31)).stall_after(40 * DAY).on(fails);
    let bus = start(Bus::builder("shop").subscribe(group)).await;
    let (began, real) = (Instant::now(), std::time::Instant::now());
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle_within(40 * DAY).await.unwrap();
    assert_eq!((bus.retried(BILLING).len(), bus.dead_lettered(BILLING).len()), (30, 1));
    // It ends when there is nothing more to do.
    assert!(began.elapsed() - 30 * DAY < SECOND, "{:?}", began.elapsed());
    assert!(real.elapsed() < SECOND, "{:?}", real.elapsed());
}

#[tokio::test]
async fn it_waits_for_chains_over_all_groups_and_many_messages() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish_all((10..2010).map(|order| Placed { order })).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.handled::<Billed>("archive").len(), 2000);
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn with_nothing_to_do_it_is_settled_at_once() {
    let bus = start(app(&Ledger::default())).await;
    let began = Instant::now();
    bus.settle().await.unwrap();
    assert!(began.elapsed() <= Duration::from_millis(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn it_waits_for_handlers_that_take_their_time_and_for_slow_publishes() {
    async fn slow(Event(placed): Event<Placed>, bus: Publish) -> Result<(), HandlerError> {
        tokio::time::sleep(600 * SECOND).await;
        bus.publish(Billed { order: placed.order }).await?;
        Ok(())
    }
    let bus = start(one_group(slow)).await;
    bus.faults().delay_publishes(5 * SECOND);
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.published::<Billed>().len(), 1);
}

#[tokio::test]
async fn what_a_spawned_task_publishes_at_once_is_waited_for() {
    async fn spawns(Event(placed): Event<Placed>, bus: Publish) {
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            bus.publish(Billed { order: placed.order }).await
        });
    }
    let archive = Subscription::group("archive").on(note_bill);
    let bus = start(one_group(spawns).subscribe(archive)).await;
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.handled::<Billed>("archive").len(), 1);
}

/// The message is settled before its task begins, and the broker takes its time.
#[tokio::test]
async fn what_a_spawned_task_is_still_publishing_is_waited_for() {
    async fn spawns(Event(placed): Event<Placed>, bus: Publish) {
        tokio::spawn(async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            bus.publish(Billed { order: placed.order }).await
        });
    }
    let archive = Subscription::group("archive").on(note_bill);
    let bus = start(one_group(spawns).subscribe(archive)).await;
    bus.faults().delay_publishes(5 * SECOND);
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.handled::<Billed>("archive").len(), 1);
}

#[tokio::test]
async fn time_stands_still_while_a_thread_works_for_a_handler() {
    async fn computes(Event(_): Event<Placed>) -> Result<(), HandlerError> {
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(50))).await?;
        Ok(())
    }
    let bus = start(one_group(computes)).await;
    let began = Instant::now();
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle_within(SECOND).await.unwrap();
    assert_eq!(bus.handled::<Placed>(BILLING).len(), 1);
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}

#[tokio::test]
async fn it_waits_out_a_lane_that_stands_still() {
    let letters = DeadLetter::topic().guard(Guard::in_a_row(1).pause(300 * SECOND));
    let app = Bus::builder("shop").topic("orders", |t| t.partitions(1)).topic("bills", |t| t);
    let bus = start(app.subscribe(billing().dead_letter(letters)).state(Ledger::default())).await;
    bus.publish_all([4, 1].map(|order| Placed { order })).await.unwrap();
    let began = Instant::now();
    bus.settle().await.unwrap();
    assert!(began.elapsed() >= 300 * SECOND);
    assert_eq!(bus.handled::<Placed>(BILLING), [Placed { order: 1 }]);
}

#[tokio::test]
async fn on_queues_it_is_the_same() {
    let queues = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    let bus = TestBus::on(queues).start(app(&Ledger::default())).await.unwrap();
    bus.publish_all([1, 2, 3, 4].map(|order| Placed { order })).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.handled::<Placed>(BILLING).len(), 2);
    assert_eq!(bus.retried(BILLING).len(), 5);
    assert_eq!(bus.dead_lettered(BILLING).len(), 2);
    assert_eq!(bus.handled::<Billed>("archive").len(), 2);
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_message_of_a_queue_that_expires_unread_is_not_waited_for() {
    async fn never(Event(_): Event<Placed>) {
        pending::<()>().await;
    }
    let queues = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    let group = Subscription::group(BILLING).in_flight(1).deadline(120 * SECOND).retry(Retry::never()).on(never);
    let bus = TestBus::on(queues).start(Bus::builder("shop").subscribe(group)).await.unwrap();
    bus.publish(Placed { order: 1 }).await.unwrap();
    let mut late = Message::new("orders", "{}");
    late.send.expires = Some(60 * SECOND);
    bus.send(vec![late]).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.dead_lettered(BILLING).len(), 1);
}

#[tokio::test]
async fn a_message_that_waits_too_long_is_named_with_attempts_and_reason() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish_all([3, 3, 1].map(|order| Placed { order })).await.unwrap();
    let began = Instant::now();
    let unsettled = bus.settle_within(90 * SECOND).await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 90);
    let [waiting, behind] = &unsettled.open[..] else { panic!("{unsettled}") };
    assert_eq!((&*waiting.group, &*waiting.event_type, waiting.key.as_deref()), (BILLING, "order.placed", Some("3")));
    assert_eq!((waiting.stage, waiting.attempts), (Stage::Waiting, 2));
    assert_eq!(waiting.goes_on_in.map(|time| time.as_secs()), Some(30));
    assert_eq!(waiting.reason.as_deref(), Some("the ledger is lost"));
    assert_eq!((behind.stage, behind.attempts, behind.key.as_deref()), (Stage::Queued, 0, Some("3")));
    let text = unsettled.to_string();
    assert!(
        text.starts_with("not settled within 90s of virtual time; open messages: 2, publishes under way: 0"),
        "{text}"
    );
    assert!(text.contains("waiting, 2 attempts, goes on in 30.0s: the ledger is lost"), "{text}");
    assert!(text.contains("what happened:") && text.contains("attempt 1 failed: the ledger is lost"), "{text}");
    assert_eq!(text, format!("{unsettled:?}"));
}

#[tokio::test]
async fn a_dead_letter_that_is_not_taken_is_named_and_so_is_why() {
    let bus = start(app(&Ledger::default())).await;
    bus.faults().fail_on(DLQ, usize::MAX);
    bus.publish(Placed { order: 4 }).await.unwrap();
    let unsettled = bus.settle_within(30 * SECOND).await.unwrap_err();
    let [parked] = &unsettled.open[..] else { panic!("{unsettled}") };
    assert_eq!((parked.stage, parked.attempts), (Stage::Parked, 1));
    assert!(parked.reason.as_ref().unwrap().contains("not sent"), "{parked}");
    assert!(unsettled.troubles[0].contains("its dead letter is not taken"), "{unsettled}");
    assert!(bus.dead_lettered(BILLING).is_empty());
}

#[tokio::test]
async fn a_handler_that_never_ends_is_named_as_in_work() {
    async fn never(Event(_): Event<Placed>) {
        pending::<()>().await;
    }
    let bus = start(one_group(never)).await;
    bus.publish_all([1, 2].map(|order| Placed { order })).await.unwrap();
    let unsettled = bus.settle().await.unwrap_err();
    let mut stages: Vec<_> = unsettled.open.iter().map(|open| (open.stage.name(), open.attempts)).collect();
    stages.sort();
    assert_eq!(stages, [("in work", 1), ("queued", 0)]);
}

#[tokio::test]
async fn a_publish_under_way_is_not_settled() {
    let bus = start(app(&Ledger::default())).await;
    bus.faults().hold_publishes();
    let publisher = bus.publisher();
    let publishing = tokio::spawn(async move { publisher.publish(Placed { order: 1 }).await });
    tokio::task::yield_now().await;
    let unsettled = bus.settle_within(SECOND).await.unwrap_err();
    assert_eq!((unsettled.publishing, unsettled.open.len()), (1, 0));
    bus.faults().release_publishes();
    bus.settle().await.unwrap();
    publishing.await.unwrap().unwrap();
    assert_eq!(bus.handled::<Placed>(BILLING).len(), 1);
}

#[tokio::test]
async fn while_the_broker_is_away_nothing_is_settled_and_the_error_says_so() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish(Placed { order: 2 }).await.unwrap();
    bus.advance(SECOND).await;
    bus.faults().down();
    let unsettled = bus.settle_within(600 * SECOND).await.unwrap_err();
    assert!(unsettled.troubles.iter().any(|trouble| trouble.contains("away")), "{unsettled}");
    bus.faults().up();
    bus.settle().await.unwrap();
    assert_eq!(bus.dead_lettered(BILLING).len(), 1);
}

#[tokio::test]
async fn a_lost_lane_is_handled_again_and_waited_for() {
    let ledger = Ledger::default();
    let bus = start(app(&ledger)).await;
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    bus.faults().lose(BILLING);
    bus.settle().await.unwrap();
    assert_eq!((ledger.orders(), bus.handled::<Placed>(BILLING).len()), (vec![1, 1], 2));
}

#[tokio::test]
async fn time_goes_by_as_far_as_it_is_told() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish(Placed { order: 2 }).await.unwrap();
    bus.advance(59 * SECOND).await;
    assert!(bus.retried(BILLING).is_empty());
    bus.advance(2 * SECOND).await;
    assert_eq!(bus.retried(BILLING).len(), 1);
    bus.advance(60 * SECOND).await;
    assert_eq!(bus.handled::<Placed>(BILLING).len(), 1);
}
