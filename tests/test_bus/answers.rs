//! What it says afterwards.

use gulo::dead_letter::Reason;
use gulo::layer::{HandlerFuture, Invocation, Layer};

use super::*;

#[tokio::test]
async fn it_says_what_was_published_handled_retried_and_dead_lettered() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish_all([1, 2, 3, 4].map(|order| Placed { order })).await.unwrap();
    bus.settle().await.unwrap();

    assert_eq!(bus.published::<Placed>(), [1, 2, 3, 4].map(|order| Placed { order }));
    assert_eq!(bus.published::<Billed>(), [1, 2].map(|order| Billed { order }));
    assert_eq!(
        bus.handled::<Placed>(BILLING).iter().map(|it| (it.order, it.attempt)).collect::<Vec<_>>(),
        [(1, 1), (2, 3)]
    );
    assert_eq!(bus.handled::<Billed>("archive"), [1, 2].map(|order| Billed { order }));

    let retried = bus.retried(BILLING);
    let of_second: Vec<_> = retried.iter().filter(|it| it.error.contains("closed")).collect();
    let seen: Vec<_> = of_second.iter().map(|it| (it.event_type.as_str(), it.attempt, it.error.as_str())).collect();
    let expected = [("order.placed", 2, "the ledger is closed (1)"), ("order.placed", 3, "the ledger is closed (2)")];
    assert_eq!((seen, retried.len()), (expected.to_vec(), 5));

    let letters = bus.dead_lettered(BILLING);
    let mut said: Vec<_> = letters.iter().map(|it| (it.reason, it.error.as_str(), it.attempts)).collect();
    said.sort_by_key(|(_, _, attempts)| *attempts);
    let expected = [(Reason::Permanent, "no such customer", 1), (Reason::AttemptsExhausted, "the ledger is lost", 4)];
    assert_eq!(said, expected);
    assert!(letters.iter().all(|letter| letter.event::<Placed>().unwrap().order > 2 && &*letter.letter.topic == DLQ));
    assert!(bus.dead_lettered("archive").is_empty() && bus.retried("archive").is_empty());
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_counts_of_health_are_the_same() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish_all([1, 2, 3, 4].map(|order| Placed { order })).await.unwrap();
    bus.send(vec![Message::tombstone("orders"), garbage()]).await.unwrap();
    bus.settle().await.unwrap();
    let counts = bus.health().subscriptions[0].counts;
    assert_eq!(counts.handled, bus.handled::<Placed>(BILLING).len() as u64);
    assert_eq!(counts.retried, bus.retried(BILLING).len() as u64);
    assert_eq!(counts.dead_lettered, bus.dead_lettered(BILLING).len() as u64);
    assert_eq!(counts.skipped, bus.skipped(BILLING).len() as u64);
}

#[tokio::test]
async fn what_a_handler_publishes_is_known_to_be_its_consequence() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish(Outgoing::new(Placed { order: 1 }).id("o-1").correlation_id("c-1")).await.unwrap();
    bus.settle().await.unwrap();
    let billed = bus.published::<Billed>().remove(0);
    assert_eq!(billed.meta.causation_id.as_deref(), Some("o-1"));
    assert_eq!(billed.meta.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(&*bus.handled::<Billed>("archive")[0].meta.id, &*billed.meta.id);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_dead_letter_with_its_bytes_and_no_event() {
    let bus = start(app(&Ledger::default())).await;
    bus.send(vec![garbage()]).await.unwrap();
    bus.settle().await.unwrap();
    let letters = bus.dead_lettered(BILLING);
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.reason, letter.attempts, &*letter.event_type), (Reason::Undecodable, 0, "order.placed"));
    assert_eq!(letter.message.payload.as_deref(), Some(&b"{half"[..]));
    assert_eq!(letter.letter.payload, letter.message.payload);
    assert!(letter.event::<Placed>().is_err() && letter.event::<Billed>().is_err());
    assert!(bus.published::<Placed>().is_empty());
    assert_eq!(bus.messages("orders").len(), 1);
}

#[tokio::test]
async fn dead_letters_that_go_to_no_topic_are_told_too() {
    async fn fails(Event(_): Event<Placed>) -> Result<(), HandlerError> {
        Err(HandlerError::new("no").permanent())
    }
    let custom = DeadLetter::custom(|_| async { Ok(()) });
    for (policy, name) in [(DeadLetter::discard(), "discard"), (custom, "custom")] {
        let group = Subscription::group(BILLING).dead_letter(policy).on(fails);
        let bus = start(Bus::builder("shop").subscribe(group)).await;
        bus.publish(Placed { order: 1 }).await.unwrap();
        bus.send(vec![garbage(), Message::tombstone("orders")]).await.unwrap();
        bus.settle().await.unwrap();
        let reasons: Vec<_> = bus.dead_lettered(BILLING).iter().map(|letter| letter.reason.name()).collect();
        assert!(reasons.contains(&"permanent") && reasons.contains(&"undecodable") && reasons.len() == 2, "{name}");
        assert_eq!(bus.skipped(BILLING).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn what_is_passed_over_is_told_with_its_type() {
    let bus = start(app(&Ledger::default())).await;
    bus.send(vec![Message::new("orders", "{}").header("ce_type", "order.cancelled")]).await.unwrap();
    bus.send(vec![Message::tombstone("orders").key("1")]).await.unwrap();
    bus.settle().await.unwrap();
    let mut types: Vec<_> = bus.skipped(BILLING).into_iter().map(|skipped| skipped.event_type).collect();
    types.sort();
    assert_eq!(types, ["a tombstone", "order.cancelled"]);
}

#[tokio::test]
async fn what_was_not_confirmed_was_not_published() {
    let bus = start(app(&Ledger::default())).await;
    bus.faults().refuse_on("orders", 1);
    bus.publish(Placed { order: 1 }).await.unwrap_err();
    bus.settle().await.unwrap();
    assert!(bus.published::<Placed>().is_empty() && bus.handled::<Placed>(BILLING).is_empty());
    assert!(bus.log().to_string().contains("refused order.placed to orders of key 1"), "{}", bus.log());
}

#[tokio::test]
async fn it_sees_what_the_bus_sees_outside_of_all_layers() {
    /// Makes a success of every failure.
    struct Forgiving;
    impl Layer for Forgiving {
        fn wrap(&self, _: &Invocation, inner: HandlerFuture) -> HandlerFuture {
            Box::pin(async move {
                let _ = inner.await;
                Ok(())
            })
        }
    }
    let bus = start(app(&Ledger::default()).layer(Forgiving)).await;
    bus.publish(Placed { order: 3 }).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.handled::<Placed>(BILLING), [Placed { order: 3 }]);
    assert!(bus.dead_lettered(BILLING).is_empty());
}

#[tokio::test]
async fn a_panic_is_told_as_the_failure_that_it_is() {
    async fn panics(Event(_): Event<Placed>, Attempt(attempt): Attempt) {
        tokio::task::yield_now().await;
        assert!(attempt > 1, "at the first attempt");
    }
    let bus = start(one_group(panics)).await;
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.retried(BILLING)[0].error, "handler panicked: at the first attempt");
    assert_eq!(bus.handled::<Placed>(BILLING)[0].attempt, 2);
}

#[tokio::test]
#[should_panic(expected = "the bus has no group `biling`; it has [\"archive\", \"billing\"]")]
async fn a_group_that_is_not_there_is_a_mistake_of_the_test() {
    let bus = start(app(&Ledger::default())).await;
    bus.dead_lettered("biling");
}

#[tokio::test]
async fn the_log_tells_in_order_what_happened_and_no_payload() {
    let bus = start(app(&Ledger::default())).await;
    bus.publish(Outgoing::new(Placed { order: 2 })).await.unwrap();
    bus.send(vec![garbage()]).await.unwrap();
    bus.settle().await.unwrap();
    let log = bus.log().to_string();
    let mut rest = &log[..];
    for expected in [
        "0.000s  published order.placed to orders of key 2\n",
        "0.000s  published order.placed to orders of key 9\n",
        "of key 2, attempt 1 failed: the ledger is closed (1)\n",
        "60.001s  group billing: order.placed orders[",
        "120.002s  published order.billed to bills of key 2\n",
        "of key 2, attempt 3 handled\n",
        "group archive: order.billed bills[",
    ] {
        rest = rest.split_once(expected).unwrap_or_else(|| panic!("no {expected:?} here in\n{log}")).1;
    }
    assert!(log.contains("of key 9 dead-lettered, undecodable: payload is not JSON"), "{log}");
    assert!(!log.contains("{half") && !log.contains("\"order\""), "{log}");
}
