//! Handlers that block their thread, and user code that panics where nobody expects it: what the bus still owes the others.
//! Blocking takes real time, so there is little of it.

mod support;

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use gulo::dead_letter::Guard;
use gulo::message::Message;
use gulo::prelude::*;
use tokio::time::{Instant, sleep};

use support::{Gated, Paid, Step, eventually};

fn handled(gated: &Gated) -> Vec<String> {
    let text = |step| if let Step::Handled(text) = step { Some(text) } else { None };
    gated.steps().into_iter().filter_map(text).collect()
}

fn billing() -> Subscription {
    Subscription::group("billing").retry(Retry::immediate().max_attempts(2))
}

async fn start(gated: &Gated, partitions: u32, subscription: Subscription) -> Bus {
    let bus = Bus::builder("shop").transport(gated.clone()).topic("orders", |topic| topic.partitions(partitions));
    bus.subscribe(subscription).state(gated.clone()).start().await.expect("starts")
}

fn block(time: Duration) {
    std::thread::sleep(time);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_seen_between_handlers_that_block() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        block(Duration::from_millis(100));
        gated.note(Step::Handled(format!("{}", event.step)));
    };
    let bus = start(&gated, 1, billing().on(handler)).await;
    bus.publish_all((0..100).map(|step| Paid::of(1, step))).await.expect("confirmed");
    eventually("the first", || !handled(&gated).is_empty()).await;
    let begun = Instant::now();
    bus.shutdown(Duration::from_secs(8)).await.expect("clean");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_called_back_goes_between_handlers_that_block() {
    let gated = Gated::new();
    let member = async |who: &'static str| {
        let handler = move |Event(event): Event<Paid>, State(gated): State<Gated>| async move {
            gated.note(Step::Handled(format!("{who} {}", event.order)));
            block(Duration::from_millis(200));
        };
        start(&gated, 2, billing().on(handler)).await
    };
    let one = member("one").await;
    one.publish_all((0..80).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    eventually("one works", || handled(&gated).len() > 1).await;
    let two = member("two").await;
    eventually("two works", || handled(&gated).iter().filter(|text| text.starts_with("two")).count() > 3).await;
    let all = handled(&gated);
    let of = |who: &str| all.iter().filter_map(|text| text.strip_prefix(who).map(str::to_owned)).collect::<Vec<_>>();
    let both: Vec<_> = of("one").into_iter().filter(|order| of("two").contains(order)).collect();
    assert!(both.is_empty(), "handled by both: {both:?}");
    // What is left would keep the test for as long.
    drop((one, two));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_runner_gives_its_thread_back_between_handlers_that_block() {
    let gated = Gated::new();
    let handler = async |Event(_): Event<Paid>| block(Duration::from_millis(20));
    let bus = start(&gated, 1, billing().stall_after(Duration::from_millis(1)).on(handler)).await;
    bus.publish_all((0..100).map(|step| Paid::of(1, step))).await.expect("confirmed");
    let mut longest = Duration::ZERO;
    while bus.health().subscriptions[0].counts.handled < 100 {
        longest = longest.max(bus.health().subscriptions[0].blocked.unwrap_or_default());
        sleep(Duration::from_millis(2)).await;
    }
    assert!(longest < Duration::from_millis(300), "one poll took {longest:?}");
}

#[tokio::test(start_paused = true)]
async fn what_arrives_on_a_lane_that_stands_still_waits() {
    let gated = Gated::new();
    let begun = Instant::now();
    let handler = move |Event(event): Event<Paid>, State(gated): State<Gated>| async move {
        gated.note(Step::Handled(format!("{}/{} {}", event.order, event.step, begun.elapsed().as_secs() >= 60)));
        if event.order == 1 { Err(HandlerError::new("no").permanent()) } else { Ok(()) }
    };
    let letters = DeadLetter::topic().guard(Guard::in_a_row(1).pause(Duration::from_secs(60)));
    let bus = start(&gated, 1, billing().dead_letter(letters).on(handler)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(2, 1)]).await.expect("confirmed");
    sleep(Duration::from_secs(5)).await;
    bus.publish(Paid::of(2, 2)).await.expect("confirmed");
    eventually("all", || handled(&gated).len() >= 3).await;
    assert_eq!(handled(&gated), ["1/1 false", "2/1 true", "2/2 true"]);
}

/// Says when it is dropped.
struct Noted(Gated);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(Step::Handled("dropped".into()));
    }
}

/// Wakes itself for ever: a set of futures looks at so many of these and then ends its turn.
async fn wakes_itself() {
    loop {
        let mut first = true;
        let turn = poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
        });
        turn.await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_attempt_is_dropped_before_the_new_one_begins_however_busy_others_are() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        match event.order {
            100.. => wakes_itself().await,
            2 => return Err(HandlerError::new("no").permanent()),
            _ => {}
        }
        gated.note(Step::Handled("begin".into()));
        let _held = Noted(gated);
        std::future::pending().await
    };
    let letters = DeadLetter::topic().guard(Guard::in_a_row(1).pause(Duration::from_millis(100)));
    let group = billing().concurrency(Concurrency::per_key(300)).dead_letter(letters).on(handler);
    // Called back, its lane waits for what is in work, for so long.
    let bus = start(&gated, 2, group).await;
    let publish = async |order: u32, partition: u32| {
        let payload = format!(r#"{{"order":{order},"step":1}}"#);
        let mut message = Message::new("orders", payload).key(order.to_string());
        message.send.partition = Some(partition);
        gated.publish_raw(message).await;
    };
    publish(1, 0).await;
    for order in 100..200 {
        publish(order, 1).await;
    }
    eventually("it is held", || !handled(&gated).is_empty()).await;
    publish(2, 0).await;
    let until = Instant::now() + Duration::from_secs(30);
    while handled(&gated).len() < 3 && Instant::now() < until {
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(handled(&gated), ["begin", "dropped", "begin"]);
    drop(bus);
}

/// The group goes on after a message of order 1 and what it sets off.
async fn goes_on(subscription: impl FnOnce(Subscription) -> Subscription, fail: fn() -> Result<(), HandlerError>) {
    let gated = Gated::new();
    let handler = move |Event(event): Event<Paid>, State(gated): State<Gated>| async move {
        gated.note(Step::Handled(format!("{}", event.order)));
        if event.order == 1 { fail() } else { Ok(()) }
    };
    let bus = start(&gated, 1, subscription(billing().on(handler))).await;
    for step in 0..6 {
        bus.publish(Paid::of(1, step)).await.expect("confirmed");
    }
    bus.publish(Paid::of(2, 1)).await.expect("confirmed");
    eventually("the group goes on", || handled(&gated).contains(&"2".to_owned())).await;
    eventually("all are letters", || bus.health().subscriptions[0].counts.dead_lettered == 6).await;
}

fn permanent() -> Result<(), HandlerError> {
    Err(HandlerError::new("no").permanent())
}

#[tokio::test(start_paused = true)]
async fn a_naming_of_dead_letters_that_panics_does_not_end_the_group() {
    let calls = AtomicUsize::new(0);
    let name = move |topic: &str, group: &str| {
        assert!(calls.fetch_add(1, SeqCst) < 4, "naming");
        format!("{topic}.{group}.dlq")
    };
    goes_on(|group| group.dead_letter(DeadLetter::topic_named(name)), permanent).await;
}

#[tokio::test(start_paused = true)]
async fn a_taker_of_dead_letters_that_panics_when_it_is_called_is_asked_again() {
    let calls = AtomicUsize::new(0);
    let taker = move |_: Message| {
        assert!(calls.fetch_add(1, SeqCst) > 1, "taker");
        async { Ok(()) }
    };
    goes_on(|group| group.dead_letter(DeadLetter::custom(taker)), permanent).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_carries_what_panics_when_dropped_is_a_failure_like_any_other() {
    struct Evil;
    impl Drop for Evil {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "dropped");
        }
    }
    goes_on(|group| group, || std::panic::panic_any(Evil)).await;
}
