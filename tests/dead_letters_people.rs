//! Dead letters of a whole bus, read and sent back by people: on the memory transport with its clock paused.

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::dead_letters::{Convention, DeadLetters, Filter, Letter, Reason, Republish};
use gulo::message::Message;
use gulo::prelude::*;
use tokio::time::sleep;

use support::{Gated, Paid, Step, eventually};

const DLQ: &str = "orders.billing.dlq";

/// The orders that `billing` cannot handle now.
#[derive(Clone, Default)]
struct Broken(Arc<Mutex<BTreeSet<u32>>>);

impl Broken {
    fn of(orders: impl IntoIterator<Item = u32>) -> Self {
        Self(Arc::new(Mutex::new(orders.into_iter().collect())))
    }

    fn is_fixed(&self) {
        self.0.lock().expect("whole").clear();
    }
}

async fn billing(Event(paid): Event<Paid>, gated: State<Gated>, broken: State<Broken>) -> Result<(), HandlerError> {
    if broken.0.0.lock().expect("whole").contains(&paid.order) {
        return Err(HandlerError::new(format!("no account for order {}", paid.order)));
    }
    gated.0.note(Step::Handled(format!("billing {}.{}", paid.order, paid.step)));
    Ok(())
}

async fn ledger(Event(paid): Event<Paid>, State(gated): State<Gated>) {
    gated.note(Step::Handled(format!("ledger {}.{}", paid.order, paid.step)));
}

async fn start(gated: &Gated, broken: &Broken) -> Bus {
    let retry = Retry::fixed(Duration::from_secs(1)).max_attempts(3);
    Bus::builder("shop")
        .transport(gated.clone())
        .subscribe(Subscription::group("billing").retry(retry).on(billing))
        .subscribe(Subscription::group("ledger").on(ledger))
        .state(gated.clone())
        .state(broken.clone())
        .start()
        .await
        .expect("starts")
}

fn counts(bus: &Bus, group: &str) -> (u64, u64, u64) {
    let health = bus.health();
    let counts = &health.subscriptions.iter().find(|of| &*of.group == group).expect("a group").counts;
    (counts.handled, counts.dead_lettered, counts.skipped)
}

async fn letters(gated: &Gated) -> Vec<Letter> {
    let mut letters = DeadLetters::new(Arc::new(gated.clone())).open(DLQ).await.expect("opens");
    letters.read_all(1000).await.expect("reads")
}

fn republish(gated: &Gated) -> Republish {
    Republish::new(Arc::new(gated.clone())).only_to(["orders"])
}

/// A bus on which orders 1 and 2 have died in `billing`, and all three are in the ledger.
async fn after_an_accident() -> (Gated, Broken, Bus) {
    let (gated, broken) = (Gated::new(), Broken::of([1, 2]));
    let bus = start(&gated, &broken).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(2, 1), Paid::of(3, 1)]).await.expect("confirmed");
    eventually("two died", || counts(&bus, "billing") == (1, 2, 0) && counts(&bus, "ledger") == (3, 0, 0)).await;
    (gated, broken, bus)
}

fn handled(gated: &Gated, what: &str) -> usize {
    gated.steps().iter().filter(|step| **step == Step::Handled(what.to_owned())).count()
}

#[tokio::test(start_paused = true)]
async fn a_letter_says_what_happened_and_is_the_event_it_was() {
    let (gated, _, bus) = after_an_accident().await;
    let letters = letters(&gated).await;
    assert_eq!(letters.len(), 2);
    for letter in letters {
        let (paid, meta) = bus.read::<Paid>(&letter.message(), &letter.stands).expect("an event");
        assert_eq!((letter.convention, &letter.reason), (Convention::Gulo, &Reason::AttemptsExhausted));
        assert_eq!((letter.attempts, letter.replays), (Some(3), 0));
        assert_eq!(letter.failure.message, Some(format!("no account for order {}", paid.order)));
        assert_eq!((letter.origin.topic.as_deref(), letter.origin.group.as_deref()), (Some("orders"), Some("billing")));
        assert_eq!((letter.event_type(), &*meta.event_type), (Some("order.paid"), "order.paid"));
        assert_eq!(letter.key_text().as_deref(), Some(&*paid.order.to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_back_is_handled_once_by_the_group_that_failed_and_by_no_other() {
    let (gated, broken, bus) = after_an_accident().await;
    broken.is_fixed();
    let report = republish(&gated).send(letters(&gated).await).await.expect("sent");
    assert!(report.is_complete() && report.sent.len() == 2);
    eventually("billing handles", || counts(&bus, "billing") == (3, 2, 0)).await;
    eventually("ledger passes over", || counts(&bus, "ledger") == (3, 0, 2)).await;
    for order in [1, 2] {
        assert_eq!(handled(&gated, &format!("billing {order}.1")), 1);
        assert_eq!(handled(&gated, &format!("ledger {order}.1")), 1);
    }
    assert_eq!(letters(&gated).await.len(), 2, "the letters stay where they are");
}

#[tokio::test(start_paused = true)]
async fn it_goes_to_all_groups_where_one_says_so() {
    let (gated, broken, bus) = after_an_accident().await;
    broken.is_fixed();
    let report = republish(&gated).to_all_groups().send(letters(&gated).await).await.expect("sent");
    assert!(report.is_complete());
    eventually("both handle", || counts(&bus, "billing").0 == 3 && counts(&bus, "ledger").0 == 5).await;
}

#[tokio::test(start_paused = true)]
async fn what_dies_again_is_a_new_letter_that_says_how_often_it_was_sent_back() {
    let (gated, _, bus) = after_an_accident().await;
    let mut done = Filter::new();
    for round in 1..=3 {
        let mut reader = DeadLetters::new(Arc::new(gated.clone())).open(DLQ).await.expect("opens");
        reader.filter(done.clone());
        let letters = reader.read_all(1000).await.expect("reads");
        assert_eq!(letters.len(), 2, "only those of round {round}");
        assert!(letters.iter().all(|letter| letter.replays == round - 1), "{letters:?}");
        done = letters.iter().fold(done, |done, letter| done.after(&letter.stands));
        assert!(republish(&gated).send(letters).await.expect("sent").is_complete());
        let dead = 2 + 2 * u64::from(round);
        eventually("died again", || counts(&bus, "billing").1 == dead).await;
    }
    let all = letters(&gated).await;
    let mut replays: Vec<_> = all.iter().map(|letter| letter.replays).collect();
    replays.sort_unstable();
    assert_eq!(replays, [0, 0, 1, 1, 2, 2, 3, 3]);
    let places: BTreeSet<_> = all.iter().map(|letter| letter.origin.place().map(|place| place.to_string())).collect();
    assert_eq!(places.len(), 8, "each says where it stood when it failed");
    assert_eq!(counts(&bus, "ledger").0, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_back_comes_behind_newer_events_of_its_key() {
    let (gated, broken, bus) = after_an_accident().await;
    broken.is_fixed();
    bus.publish(Paid::of(1, 2)).await.expect("confirmed");
    assert!(republish(&gated).send(letters(&gated).await).await.expect("sent").is_complete());
    eventually("all handled", || counts(&bus, "billing").0 == 4).await;
    let of_order: Vec<_> = gated
        .steps()
        .into_iter()
        .filter(|step| matches!(step, Step::Handled(what) if what.starts_with("billing 1.")))
        .collect();
    assert_eq!(of_order, ["billing 1.2", "billing 1.1"].map(|what| Step::Handled(what.into())));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_a_letter_with_its_bytes_and_goes_back_as_it_was() {
    let gated = Gated::new();
    let bus = start(&gated, &Broken::default()).await;
    gated
        .publish_raw(Message::new("orders", vec![0, 159, 255]).header("ce_type", "order.paid").header("mine", "1"))
        .await;
    eventually("it died", || counts(&bus, "billing").1 == 1 && counts(&bus, "ledger").1 == 1).await;
    let letters = letters(&gated).await;
    assert_eq!((&letters[0].reason, letters[0].attempts), (&Reason::Undecodable, Some(0)));
    assert_eq!((letters[0].payload_text().chars().count(), letters[0].headers.len()), (3, 2));
    assert!(republish(&gated).send(letters).await.expect("sent").is_complete());
    sleep(Duration::from_secs(60)).await;
    let messages = gated.inner.faults().messages("orders");
    assert_eq!((messages.len(), &messages[0].payload), (2, &messages[1].payload));
    assert_eq!((counts(&bus, "billing").1, counts(&bus, "ledger").1), (2, 1), "the other group is not bothered again");
}
