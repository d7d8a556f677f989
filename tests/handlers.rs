//! What handlers take, what they return, and what can be put around them.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::dead_letter as dlq;
use gulo::handler::{Context, Handler};
use gulo::headers::Headers;
use gulo::layer::{ConcurrencyLimit, HandlerFuture, Invocation, Layer, Log, TimeOut};
use gulo::message::{Message, Origin};
use gulo::prelude::*;
use gulo::{envelope, transport};
use tokio::time::sleep;

use support::{Gated, Paid, Step, eventually};

const DLQ: &str = "orders.billing.dlq";

fn billing() -> Subscription {
    Subscription::group("billing").retry(Retry::immediate().max_attempts(2))
}

async fn start(gated: &Gated, subscription: Subscription) -> Bus {
    let bus = Bus::builder("shop").transport(gated.clone()).subscribe(subscription).state(gated.clone());
    bus.start().await.expect("starts")
}

fn said(text: &str) -> Step {
    Step::Handled(text.into())
}

#[tokio::test(start_paused = true)]
async fn a_handler_takes_headers_the_raw_message_and_its_origin() {
    let gated = Gated::new();
    let handler = async |Event(_): Event<Paid>,
                         headers: Headers,
                         message: Message,
                         origin: Origin,
                         State(gated): State<Gated>| {
        let payload = message.payload.unwrap_or_default();
        let mine = headers.get_str("mine").unwrap_or("none");
        gated.note(Step::Handled(format!("{mine} {} {}", String::from_utf8_lossy(&payload), origin.topic)));
    };
    let _bus = start(&gated, billing().on(handler)).await;
    let message = Message::new("orders", r#"{"order":1,"step":1}"#).header("mine", "yes");
    gated.publish_raw(message).await;
    gated.until("said", |steps| steps.contains(&said(r#"yes {"order":1,"step":1} orders"#))).await;
}

/// A handler that is a type.
#[derive(Clone)]
struct Ledger(Gated);

impl Handler<()> for Ledger {
    type Event = Paid;

    fn call(&self, paid: Paid, cx: &Context<'_>) -> HandlerFuture {
        let (ledger, attempt) = (self.clone(), cx.attempt);
        Box::pin(async move {
            ledger.0.note(Step::Handled(format!("{} at attempt {attempt}", paid.order)));
            if attempt == 1 { Err(HandlerError::new("again")) } else { Ok(()) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_be_a_type() {
    let gated = Gated::new();
    let bus = start(&gated, billing().on(Ledger(gated.clone()))).await;
    bus.publish(Paid::of(7, 1)).await.expect("confirmed");
    gated.until("tried again", |steps| steps.contains(&said("7 at attempt 2"))).await;
}

#[tokio::test(start_paused = true)]
async fn a_raw_handler_takes_what_has_no_handler_of_its_type_and_tombstones() {
    let gated = Gated::new();
    let raw = async |Payload(bytes): Payload, Meta(meta): Meta, State(gated): State<Gated>| {
        let text = bytes.as_deref().map_or_else(|| "gone".into(), String::from_utf8_lossy);
        gated.note(Step::Handled(format!("raw {text} {}", meta.event_type)));
    };
    let typed = async |Event(paid): Event<Paid>, State(gated): State<Gated>| {
        gated.note(Step::Handled(format!("typed {}", paid.order)));
    };
    let bus = start(&gated, billing().on(typed).on_raw("orders", raw)).await;
    bus.publish(Paid::of(7, 1)).await.expect("confirmed");
    let other = Message::new("orders", "not JSON").header(envelope::TYPE, "order.lost");
    let unnamed = Message::new("orders", "bare");
    bus.send(vec![other, unnamed, Message::tombstone("orders").key("7")]).await.expect("confirmed");
    let all = ["typed 7", "raw not JSON order.lost", "raw bare ", "raw gone "].map(said);
    gated.until("all of them", |steps| all.iter().all(|step| steps.contains(step))).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_raw_handler_fails_at_is_a_dead_letter_with_its_bytes() {
    let gated = Gated::new();
    let raw = async |message: Message| Err::<(), _>(HandlerError::new(format!("{:?}", message.key)));
    let bus = start(&gated, billing().on_raw("orders", raw)).await;
    bus.send(vec![Message::new("orders", vec![0xff, 0x00]).key("k")]).await.expect("confirmed");
    let letter = gated.read(DLQ, 1).await.remove(0);
    assert_eq!(letter.payload.as_deref(), Some(&[0xff, 0x00][..]));
    assert_eq!(letter.headers.get_str(dlq::ATTEMPTS), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn messages_are_sent_as_they_are_and_none_of_a_batch_with_one_too_large() {
    let gated = Gated::new();
    let bus = Bus::builder("shop").transport(gated.clone()).topic("raw", |topic| topic).start().await.expect("starts");
    let good = || Message::new("raw", "x").key("k").header("mine", "yes");
    let large = Message::new("raw", vec![0; (1 << 20) + 1]);
    let unsent = bus.send(vec![good(), large]).await.expect_err("too large");
    let outcomes: Vec<_> = unsent.failed.iter().map(|failed| (failed.index, failed.outcome)).collect();
    assert_eq!(outcomes, [(1, transport::Outcome::Refused), (0, transport::Outcome::NotSent)]);
    bus.send(vec![good()]).await.expect("confirmed");
    let sent = gated.read("raw", 1).await;
    assert_eq!((sent.len(), &sent[0].headers, &sent[0].key), (1, &good().headers, &good().key));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_says_what_becomes_of_the_message() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>| match event.order {
        1 => Outcome::Done,
        2 => Outcome::Retry(HandlerError::new("again")),
        _ => Outcome::DeadLetter(HandlerError::new("never")),
    };
    let bus = start(&gated, billing().on(handler)).await;
    bus.publish_all((1..4).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    let letters = gated.read(DLQ, 2).await;
    let mut said: Vec<_> =
        letters.iter().map(|letter| [dlq::REASON, dlq::ATTEMPTS].map(|name| letter.headers.get_str(name))).collect();
    said.sort();
    assert_eq!(said, [[Some("attempts-exhausted"), Some("2")], [Some("permanent"), Some("1")]]);
    eventually("counted", || bus.health().subscriptions[0].counts.handled == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_passes_its_deadline_has_failed_and_its_key_goes_on() {
    let gated = Gated::new();
    let handler = async |Event(event): Event<Paid>, State(gated): State<Gated>| {
        if event.step == 1 {
            sleep(Duration::from_secs(1000)).await;
        }
        gated.note(Step::Handled(event.step.to_string()));
    };
    let bus = start(&gated, billing().deadline(Duration::from_secs(5)).on(handler)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(1, 2)]).await.expect("confirmed");
    gated.until("the key goes on", |steps| steps.contains(&said("2"))).await;
    let letter = gated.read(DLQ, 1).await.remove(0);
    assert_eq!(
        letter.headers.get_str(dlq::ERROR),
        Some("handler did not end within 5s (give it a longer deadline, or less to do)")
    );
    assert_eq!(letter.headers.get_str(dlq::ATTEMPTS), Some("2"));
}

/// Writes down its name before and after.
struct Named(&'static str, Arc<Mutex<Vec<String>>>);

impl Layer for Named {
    fn wrap(&self, call: &Invocation, inner: HandlerFuture) -> HandlerFuture {
        let (name, log, attempt) = (self.0, Arc::clone(&self.1), call.attempt);
        Box::pin(async move {
            log.lock().expect("whole").push(format!("{name} before {attempt}"));
            let result = inner.await;
            log.lock().expect("whole").push(format!("{name} after {}", if result.is_ok() { "ok" } else { "failure" }));
            result
        })
    }
}

#[tokio::test(start_paused = true)]
async fn layers_stand_around_each_attempt_the_first_outermost() {
    let (gated, log) = (Gated::new(), Arc::<Mutex<Vec<String>>>::default());
    let handler = async |Event(_): Event<Paid>, Attempt(attempt): Attempt| {
        if attempt == 1 { Err(HandlerError::new("not yet")) } else { Ok(()) }
    };
    let layered = billing().layer(Named("a", Arc::clone(&log))).layer(Named("b", Arc::clone(&log))).layer(Log);
    let bus = start(&gated, layered.on(handler)).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    eventually("handled", || bus.health().subscriptions[0].counts.handled == 1).await;
    let round = |attempt: u32, end: &str| {
        [
            format!("a before {attempt}"),
            format!("b before {attempt}"),
            format!("b after {end}"),
            format!("a after {end}"),
        ]
    };
    assert_eq!(*log.lock().expect("whole"), [round(1, "failure"), round(2, "ok")].concat());
}

struct Panics;

impl Layer for Panics {
    fn wrap(&self, _: &Invocation, _: HandlerFuture) -> HandlerFuture {
        panic!("in a layer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_layer_is_a_failure_too() {
    let gated = Gated::new();
    let bus = start(&gated, billing().layer(Panics).on(async |Event(_): Event<Paid>| {})).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    let letter = gated.read(DLQ, 1).await.remove(0);
    assert_eq!(letter.headers.get_str(dlq::ERROR), Some("handler panicked: in a layer"));
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_calls_is_shared_by_the_groups_that_share_its_layer() {
    let (gated, limit) = (Gated::new(), ConcurrencyLimit::new(3));
    let running = Arc::new(Mutex::new((0usize, 0usize)));
    let handler = async |Event(_): Event<Paid>, State(running): State<Arc<Mutex<(usize, usize)>>>| {
        {
            let mut running = running.lock().expect("whole");
            running.0 += 1;
            running.1 = running.1.max(running.0);
        }
        sleep(Duration::from_secs(1)).await;
        running.lock().expect("whole").0 -= 1;
    };
    let group = |name: &str| {
        Subscription::group(name)
            .concurrency(Concurrency::per_key(50))
            .layer(limit.clone())
            .layer(TimeOut(Duration::MAX))
    };
    let bus = Bus::builder("shop").transport(gated.clone()).state(Arc::clone(&running));
    let bus = bus.subscribe(group("a").on(handler)).subscribe(group("b").on(handler)).start().await.expect("starts");
    bus.publish_all((0..30).map(|order| Paid::of(order, 1))).await.expect("confirmed");
    let handled = || bus.health().subscriptions.iter().map(|group| group.counts.handled).sum::<u64>();
    eventually("all handled", || handled() == 60).await;
    assert_eq!(running.lock().expect("whole").1, 3);
}
