//! What can be seen of a bus: promise 6 of the delivery contract, on the memory transport with its clock paused.

mod support;

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::bus::{Health, LaneHealth, LaneState, ParkedKey, Stage};
use gulo::dead_letter::Guard;
use gulo::message::Message;
use gulo::prelude::*;
use gulo::transport::Outcome;
use gulo::{Error, ErrorKind};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use support::logs::Logs;
use support::{Gated, Paid, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// Lets messages end, one for each permit: odd orders only, the others end at once.
type Gate = Arc<Semaphore>;

async fn waits_for_the_gate(Event(event): Event<Paid>, State(gate): State<Gate>) {
    if event.order % 2 == 1 {
        gate.acquire().await.expect("open").forget();
    }
}

async fn fails_odd_ones(Event(event): Event<Paid>) -> Result<(), HandlerError> {
    if event.order % 2 == 1 { Err(HandlerError::new("the ledger is closed")) } else { Ok(()) }
}

fn group(name: &str) -> Subscription {
    Subscription::group(name).concurrency(Concurrency::per_key(8))
}

async fn start(gated: &Gated, partitions: u32, subscription: Subscription) -> (Bus, Gate) {
    let gate: Gate = Arc::new(Semaphore::new(0));
    let bus = Bus::builder("shop").transport(gated.clone()).topic("orders", |topic| topic.partitions(partitions));
    let bus = bus.subscribe(subscription).state(Arc::clone(&gate)).state(gated.clone());
    (bus.start().await.expect("starts"), gate)
}

/// Into a partition of choice.
async fn publish(gated: &Gated, partition: u32, order: u32, step: u32) {
    let payload = format!(r#"{{"order":{order},"step":{step}}}"#);
    let mut message = Message::new("orders", payload).key(order.to_string());
    message.send.partition = Some(partition);
    gated.publish_raw(message).await;
}

fn lane(bus: &Bus, partition: u32) -> LaneHealth {
    let health = bus.health().subscriptions.remove(0);
    let mut lanes = health.lanes.into_iter().filter(|lane| lane.origin.partition == Some(partition));
    lanes.next().unwrap_or_else(|| panic!("no lane {partition}"))
}

fn parked(bus: &Bus) -> Vec<ParkedKey> {
    bus.health().subscriptions.remove(0).lanes.into_iter().flat_map(|lane| lane.parked).collect()
}

fn degraded(health: &Health) -> &str {
    health.subscriptions[0].degraded.as_deref().unwrap_or("")
}

/// Where the clock is the real one.
async fn soon(what: &str, condition: impl Fn() -> bool) {
    timeout(20 * SECOND, eventually(what, condition)).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_for_its_retry_shows_with_its_reason() {
    let gated = Gated::new();
    let retry = Retry::fixed(10 * SECOND).max_attempts(3);
    let (bus, _gate) = start(&gated, 1, group("billing").retry(retry).on(fails_odd_ones)).await;
    bus.publish_all([Paid::of(1, 1), Paid::of(1, 2), Paid::of(2, 1)]).await.expect("confirmed");
    sleep(14 * SECOND).await;
    let lane = lane(&bus, 0);
    assert_eq!((lane.in_flight, lane.parked_total, lane.parked.len()), (2, 1, 1), "{lane:?}");
    let ParkedKey { key, origin, stage, attempts, since, goes_on_in, reason, .. } = &lane.parked[0];
    assert_eq!((key.as_deref(), origin.offset, *stage, *attempts), (Some("1"), Some(0), Stage::Waiting, 2));
    assert_eq!(reason, "the ledger is closed");
    assert!((since.as_secs_f64() - 14.0).abs() < 0.5 && (goes_on_in.as_secs_f64() - 6.0).abs() < 0.5, "{lane:?}");
    let oldest = lane.oldest.expect("one");
    assert_eq!((oldest.key.as_deref(), oldest.origin.offset, oldest.stage), (Some("1"), Some(0), Stage::Waiting));
    assert!(bus.health().is_up(), "a failure that is tried again is no trouble yet: {:?}", bus.health());
    eventually("both are dead letters", || bus.health().subscriptions[0].counts.dead_lettered == 2).await;
    eventually("nothing waits", || parked(&bus).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_dead_letter_shows_its_key() {
    let gated = Gated::new();
    gated.fail(|message| message.topic.ends_with("dlq").then_some((Outcome::NotSent, ErrorKind::Unavailable)));
    let (bus, _gate) = start(&gated, 1, group("billing").retry(Retry::never()).on(fails_odd_ones)).await;
    publish(&gated, 0, 7, 1).await;
    sleep(30 * SECOND).await;
    let waits = parked(&bus).remove(0);
    assert_eq!((waits.key.as_deref(), waits.stage, waits.attempts), (Some("7"), Stage::Parked, 1));
    assert!(waits.reason.contains("by the gate"), "{waits:?}");
    assert!(waits.since > 29 * SECOND, "from when it failed, however often it was tried since: {waits:?}");
    assert_eq!(lane(&bus, 0).parked_total, 1);
    assert!(degraded(&bus.health()).contains("orders[0]@0 is parked"), "{}", degraded(&bus.health()));
    gated.publish_raw(Message::new("orders", "not JSON").key("never handled")).await;
    sleep(30 * SECOND).await;
    let waits = parked(&bus).remove(1);
    assert_eq!((waits.key.as_deref(), waits.attempts), (Some("never handled"), 0));
    assert!(waits.since > 29 * SECOND && waits.since < 31 * SECOND, "{waits:?}");
    gated.open();
    eventually("taken", || bus.health().is_up() && parked(&bus).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn of_many_keys_that_wait_all_are_counted_and_the_longest_named() {
    let gated = Gated::new();
    let (bus, _gate) = start(&gated, 1, group("billing").retry(Retry::fixed(3600 * SECOND)).on(fails_odd_ones)).await;
    for order in 0..40 {
        publish(&gated, 0, 2 * order + 1, 1).await;
        sleep(SECOND).await;
    }
    let lane = lane(&bus, 0);
    assert_eq!((lane.in_flight, lane.parked_total), (40, 40));
    let named: Vec<_> = lane.parked.iter().map(|parked| parked.key.clone().expect("a key")).collect();
    assert_eq!(named, (0..16).map(|order| (2 * order + 1).to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_lane_without_progress_is_unhealthy_and_named_once() {
    let (gated, logs) = (Gated::new(), Logs::listen());
    let (bus, gate) = start(&gated, 2, group("stalls").stall_after(60 * SECOND).on(waits_for_the_gate)).await;
    publish(&gated, 1, 77, 1).await;
    for second in 0..300 {
        publish(&gated, 0, 2, second).await;
        sleep(SECOND).await;
        let (up, stalled) = (bus.health().is_up(), lane(&bus, 1).stalled);
        assert!(if second < 59 { up && stalled.is_none() } else { second < 61 || !up }, "at {second} s: {stalled:?}");
    }
    assert!(lane(&bus, 1).stalled.is_some_and(|stalled| stalled > 298 * SECOND), "{:?}", lane(&bus, 1));
    assert_eq!((lane(&bus, 0).stalled, lane(&bus, 0).last_progress.is_some()), (None, true), "it goes on");
    let health = bus.health();
    let words = ["orders[1] without progress for", "1 in flight", "orders[1]@0 of key 77, in work"];
    assert!(words.iter().all(|words| degraded(&health).contains(words)), "{}", degraded(&health));
    let said = logs.with(&["without progress", "group=stalls"]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(words.iter().chain(&["WARN", "lane=orders[1]"]).all(|word| said[0].contains(word)), "{said:#?}");

    gate.add_permits(1);
    sleep(2 * SECOND).await;
    assert!(bus.health().is_up(), "{:?}", bus.health());
    assert!(lane(&bus, 1).last_progress.is_some_and(|ago| ago < 3 * SECOND), "{:?}", lane(&bus, 1));
    assert_eq!(logs.with(&["INFO", "orders[1]", "no longer stalled", "group=stalls"]).len(), 1);
    // And once of the next.
    publish(&gated, 1, 79, 1).await;
    sleep(100 * SECOND).await;
    assert_eq!(logs.with(&["without progress", "group=stalls"]).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_moves_or_is_idle_is_healthy_however_long_one_message_takes() {
    let gated = Gated::new();
    let (bus, _gate) = start(&gated, 1, group("billing").stall_after(10 * SECOND).on(waits_for_the_gate)).await;
    publish(&gated, 0, 2, 1).await;
    sleep(3600 * SECOND).await;
    let idle = lane(&bus, 0);
    assert_eq!((idle.in_flight, idle.oldest.is_none(), idle.stalled), (0, true, None));
    assert!(idle.last_progress.is_some_and(|ago| ago > 3599 * SECOND), "{idle:?}");
    publish(&gated, 0, 1, 1).await;
    for step in 0..20 {
        sleep(5 * SECOND).await;
        assert!(bus.health().is_up(), "{:?}", bus.health());
        publish(&gated, 0, 2, step).await;
    }
    let oldest = lane(&bus, 0).oldest.expect("the long one");
    assert_eq!((oldest.key.as_deref(), oldest.stage), (Some("1"), Stage::InWork));
    assert!((oldest.age.as_secs_f64() - 100.0).abs() < 1.0, "{oldest:?}");
    // The ages are those of the moment of looking, whatever the runner does.
    sleep(8 * SECOND).await;
    assert!((lane(&bus, 0).oldest.expect("still").age.as_secs_f64() - 108.0).abs() < 1.0);
}

/// The runner looks four times a second: what has ended since is progress too.
#[tokio::test(start_paused = true)]
async fn progress_at_the_last_moment_is_no_stall() {
    let (gated, logs) = (Gated::new(), Logs::listen());
    let (bus, _gate) = start(&gated, 1, group("last-moment").stall_after(10 * SECOND).on(waits_for_the_gate)).await;
    publish(&gated, 0, 1, 1).await;
    sleep(Duration::from_millis(9_800)).await;
    publish(&gated, 0, 2, 1).await;
    for _ in 0..50 {
        sleep(Duration::from_millis(10)).await;
        assert!(bus.health().is_up(), "{:?}", bus.health());
    }
    assert!(logs.with(&["without progress", "group=last-moment"]).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_has_been_there_since_it_came_even_if_it_was_not_the_oldest_then() {
    let gated = Gated::new();
    let (bus, gate) = start(&gated, 1, group("billing").on(waits_for_the_gate)).await;
    publish(&gated, 0, 1, 1).await;
    sleep(10 * SECOND).await;
    publish(&gated, 0, 1, 2).await;
    sleep(20 * SECOND).await;
    publish(&gated, 0, 1, 3).await;
    sleep(5 * SECOND).await;
    gate.add_permits(1);
    sleep(SECOND).await;
    let oldest = lane(&bus, 0).oldest.expect("the second");
    assert_eq!(oldest.origin.offset, Some(1));
    assert!((oldest.age.as_secs_f64() - 26.0).abs() < 0.6, "{oldest:?}");
    assert_eq!(lane(&bus, 0).in_flight, 2);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_stands_still_or_is_called_back_says_so() {
    let gated = Gated::new();
    let guard = DeadLetter::topic().guard(Guard::in_a_row(1).pause(60 * SECOND));
    let (bus, _gate) =
        start(&gated, 2, group("billing").retry(Retry::never()).dead_letter(guard).on(fails_odd_ones)).await;
    publish(&gated, 0, 1, 1).await;
    sleep(SECOND).await;
    assert_eq!((lane(&bus, 0).state, lane(&bus, 1).state), (LaneState::StandingStill, LaneState::Open));
    assert!(!bus.health().is_up());

    let gated = Gated::new();
    let (first, _gate) = start(&gated, 2, group("billing").on(waits_for_the_gate)).await;
    publish(&gated, 0, 1, 1).await;
    publish(&gated, 1, 1, 1).await;
    sleep(SECOND).await;
    let (second, _gate) = start(&gated, 2, group("billing").on(waits_for_the_gate)).await;
    sleep(SECOND).await;
    let states: Vec<_> = first.health().subscriptions[0].lanes.iter().map(|lane| lane.state).collect();
    assert!(states.contains(&LaneState::Draining) && states.contains(&LaneState::Open), "{states:?}");
    sleep(30 * SECOND).await;
    let lanes = |bus: &Bus| bus.health().subscriptions[0].lanes.len();
    assert_eq!((lanes(&first), lanes(&second)), (1, 1), "each sees its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_blocks_its_thread_shows() {
    let (gated, logs) = (Gated::new(), Logs::listen());
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let blocks = move |Event(event): Event<Paid>| {
        let released = Arc::clone(&released);
        async move {
            if event.order == 1 {
                released.lock().expect("whole").recv().expect("released");
            }
        }
    };
    let (bus, _gate) = start(&gated, 1, group("blocks").stall_after(Duration::from_millis(500)).on(blocks)).await;
    soon("assigned", || !bus.health().subscriptions[0].lanes.is_empty()).await;
    sleep(Duration::from_millis(500)).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    soon("it shows", || bus.health().subscriptions[0].blocked.is_some()).await;
    let health = bus.health();
    assert!(!health.is_up() && degraded(&health).contains("a handler has kept its thread for"), "{health:?}");
    assert_eq!(lane(&bus, 0).oldest.and_then(|oldest| oldest.key).as_deref(), Some("1"));
    let said = |words: &str| logs.with(&["WARN", words, "group=blocks"]).len();
    soon("it is said", || said("has kept its thread") > 0).await;
    release.send(()).expect("it waits for that");
    soon("it goes on", || bus.health().is_up() && bus.health().subscriptions[0].counts.handled == 1).await;
    soon("that is said too", || said("kept its thread") == 2).await;
    assert_eq!(said("has kept its thread"), 1);
}

/// With one thread there is nobody to see it meanwhile.
#[tokio::test]
async fn a_handler_that_blocks_the_only_thread_is_told_of_when_it_returns() {
    let (gated, logs) = (Gated::new(), Logs::listen());
    let blocks = async |Event(_): Event<Paid>| std::thread::sleep(Duration::from_millis(60));
    let (bus, _gate) = start(&gated, 1, group("alone").stall_after(Duration::from_millis(50)).on(blocks)).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    soon("it ends", || bus.health().subscriptions[0].counts.handled == 1).await;
    assert_eq!(logs.with(&["WARN", "a handler kept its thread for", "group=alone"]).len(), 1);
    assert!(bus.health().subscriptions[0].blocked.is_none());
}

#[tokio::test(start_paused = true)]
async fn health_reads_as_json() {
    let gated = Gated::new();
    let retry = Retry::fixed(10 * SECOND);
    let (bus, _gate) = start(&gated, 1, group("billing").retry(retry).on(fails_odd_ones)).await;
    publish(&gated, 0, 2, 1).await;
    publish(&gated, 0, 1, 1).await;
    sleep(4 * SECOND).await;
    let text = bus.health().to_json();
    assert_eq!(text, serde_json::to_string(&bus.health()).expect("encodes"));
    let mut json: Value = serde_json::from_str(&text).expect("JSON");
    let lane = json.pointer_mut("/subscriptions/0/lanes/0").expect("a lane");
    for seconds in
        ["/oldest/age_seconds", "/parked/0/since_seconds", "/parked/0/goes_on_in_seconds", "/last_progress_seconds"]
    {
        let seconds = lane.pointer_mut(seconds).expect("there");
        *seconds = json!(seconds.as_f64().expect("a number").round());
    }
    let key = json!({ "topic": "orders", "partition": 0, "offset": 1, "key": "1", "stage": "waiting" });
    let with = |more: Value| {
        let mut all = key.as_object().expect("an object").clone();
        all.extend(more.as_object().expect("an object").clone());
        all
    };
    let lane = json!({
        "topic": "orders", "partition": 0, "state": "open", "in_flight": 1,
        "oldest": with(json!({ "age_seconds": 4.0 })),
        "parked_total": 1,
        "parked": [with(json!({ "attempts": 1, "since_seconds": 4.0, "goes_on_in_seconds": 6.0,
                                "reason": "the ledger is closed" }))],
        "last_progress_seconds": 4.0, "stalled_seconds": null,
    });
    let subscription = json!({
        "group": "billing", "up": true, "degraded": null, "blocked_seconds": null, "in_flight": 1,
        "handled": 1, "retried": 0, "dead_lettered": 0, "skipped": 0, "postponed": 0, "lanes": [lane],
    });
    let transport = json!({ "state": "up", "since": null, "reason": null });
    assert_eq!(json, json!({ "up": true, "transport": transport, "subscriptions": [subscription] }));

    gated.inner.faults().down();
    let down: Value = serde_json::from_str(&bus.health().to_json()).expect("JSON");
    assert_eq!((&down["up"], &down["transport"]["state"]), (&json!(false), &json!("down")));
    assert!(down["transport"]["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{down}");
    assert_eq!(names(&json, ""), names(&example(), ""), "docs/health.md shows what there is");
}

/// The example of docs/health.md.
fn example() -> Value {
    let page = include_str!("../docs/health.md");
    let block = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    serde_json::from_str(block).expect("JSON")
}

/// The paths of all fields.
fn names(value: &Value, at: &str) -> BTreeSet<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let path = format!("{at}.{name}");
                names(value, &path).into_iter().chain([path])
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(|value| names(value, at)).collect(),
        _ => BTreeSet::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn no_payload_shows_in_health() {
    let gated = Gated::new();
    gated.fail(|message| message.topic.ends_with("dlq").then_some((Outcome::Refused, ErrorKind::Refused)));
    let (bus, _gate) = start(&gated, 1, group("billing").on(fails_odd_ones)).await;
    for payload in [r#"{"order":"4111 1111","step":1}"#, "4111 1111", r#"{"order":1,"step":4111}"#] {
        let mut message = Message::new("orders", payload).key(payload.len().to_string()).header("card", "4111");
        message.send.partition = Some(0);
        gated.publish_raw(message).await;
    }
    sleep(SECOND).await;
    let health = bus.health();
    assert_eq!(health.subscriptions[0].lanes[0].parked_total, 3, "{health:?}");
    for text in [health.to_json(), format!("{health:?}")] {
        assert!(!text.contains("4111"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_bytes_and_a_long_reason_are_cut() {
    let gated = Gated::new();
    let fails = async |Event(_): Event<Paid>| Err::<(), _>(HandlerError::new("no\n".repeat(10_000)));
    let (bus, _gate) = start(&gated, 1, group("billing").retry(Retry::fixed(60 * SECOND)).on(fails)).await;
    gated.publish_raw(Message::new("orders", r#"{"order":1,"step":1}"#).key(vec![0xff; 4096])).await;
    sleep(SECOND).await;
    let waits = parked(&bus).remove(0);
    assert_eq!(waits.key, Some(format!("0x{}…", "ff".repeat(32))));
    assert_eq!((waits.reason.chars().count(), waits.reason.contains('\n')), (256, false));

    let full = |_| async { Err(Error::new(ErrorKind::Unavailable, "no\n".repeat(10_000))) };
    let group = group("billing").retry(Retry::never()).dead_letter(DeadLetter::custom(full)).on(fails_odd_ones);
    let (bus, _gate) = start(&Gated::new(), 1, group).await;
    bus.publish(Paid::of(1, 1)).await.expect("confirmed");
    sleep(SECOND).await;
    assert_eq!(parked(&bus).remove(0).reason.chars().count(), 256);
    assert!(degraded(&bus.health()).len() < 400, "{}", degraded(&bus.health()));
}

#[tokio::test(start_paused = true)]
async fn who_watches_a_bus_sees_that_it_has_ended() {
    let gated = Gated::new();
    let (bus, _gate) = start(&gated, 1, group("billing").on(fails_odd_ones)).await;
    let monitor = bus.monitor();
    sleep(SECOND).await;
    assert!(monitor.health().is_up());
    bus.shutdown(10 * SECOND).await.expect("clean");
    let health = monitor.health();
    assert_eq!(
        (health.is_up(), degraded(&health), health.subscriptions[0].lanes.len()),
        (false, "its task has ended", 0)
    );
}
