//! The whole application, as a person would run it: its programs as processes, asked over HTTP. In one process over memory,
//! and as five on a real Kafka.

mod brokers;
mod program;

use std::io::Write;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use program::{PATIENCE, Program, ask, listens_at};
use serde_json::json;

/// All that a person does in the README, with what they see.
pub(crate) fn walk(address: &str, email: &Program, crm: &Program, analytics: &Program) {
    let post = |name: &str, to: &str, conversation: &str| {
        ask(address, "POST", "/users", conversation, Some(json!({ "name": name, "email": to })))
    };
    let ann = post("Ann", "ann@example.org", "walk-1");
    assert_eq!((ann.status, ann.header("x-correlation-id")), (201, Some("walk-1")), "{}", ann.headers);
    let id = ann.body["id"].as_str().expect("an id").to_owned();
    assert_eq!(ann.header("location"), Some(&*format!("/users/{id}")));

    let invalid = post("", "nowhere", "walk-2");
    assert_eq!(invalid.status, 422);
    let problems =
        json!([{ "field": "name", "problem": "is empty" }, { "field": "email", "problem": "is no address" }]);
    assert_eq!(invalid.body["problems"], problems);
    assert_eq!(post("Anna", "ann@example.org", "walk-3").status, 409);

    let found = ask(address, "GET", &format!("/users/{id}"), "walk-4", None);
    assert_eq!(
        (found.status, &found.body["name"], &found.body["email"]),
        (200, &json!("Ann"), &json!("ann@example.org"))
    );
    let nobody = ask(address, "GET", "/users/00000000-0000-4000-8000-000000000000", "walk-5", None);
    assert_eq!(nobody.status, 404);

    let changed = Some(json!({ "email": "ann@example.com" }));
    assert_eq!(ask(address, "PUT", &format!("/users/{id}/email"), "walk-6", changed).status, 204);
    assert_eq!(post("Bob", "busy-bob@example.org", "walk-7").status, 201);
    assert_eq!(post("Eve", "eve@poison", "walk-8").status, 201);
    // Of somebody else; one's own is no change.
    for (email, status) in [("eve@poison", 409), ("ann@example.com", 204)] {
        let email = Some(json!({ "email": email }));
        assert_eq!(ask(address, "PUT", &format!("/users/{id}/email"), "walk-9", email).status, status);
    }

    email.until(&["email: welcome, Ann (attempt 1, conversation walk-1)"]);
    email.until(&["email: ann@example.com is confirmed (conversation walk-6)"]);
    email.until(&["email: welcome, Bob (attempt 2, conversation walk-7)"]);
    for (name, conversation) in [("Ann", "walk-1"), ("Bob", "walk-7"), ("Eve", "walk-8")] {
        crm.until(&[&format!("crm: a card for {name} (conversation {conversation})")]);
    }
    crm.until(&["crm: Ann is reached at ann@example.com (conversation walk-6)"]);
    analytics.until(&["analytics: 3 user.registered"]);
    analytics.until(&["analytics: 1 user.email-changed (conversation walk-6)"]);
    // Each once, and nothing of what was refused.
    assert_eq!((email.count("email: welcome"), email.count("email: welcome, Eve")), (2, 0));
    assert_eq!((crm.count("crm: a card for"), analytics.count("analytics: ")), (3, 4));

    let ready = ask(address, "GET", "/health/ready", "walk-9", None);
    assert_eq!((ready.status, &ready.body["kept_events"]), (200, &json!(0)));
    assert_eq!(ask(address, "GET", "/health/live", "walk-9", None).status, 200);
}

fn in_one_process() {
    let mut all = Program::start("in_process", env!("CARGO_BIN_EXE_in_process"), &[]);
    let address = listens_at(&all);
    walk(&address, &all, &all, &all);
    all.stop();
    all.until(&["dead letter: users.email.dlq[", "permanent, 1 attempt"]);
    all.until(&["the mail server knows no such host"]);
    assert_eq!(all.count("dead letter: "), 1);
}

/// It begins to ask, and does not come to the end.
fn half_a_request(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    let head =
        "POST /users HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).expect("it is taken");
    // Whoever is asked later is answered when the first one has been seen.
    assert_eq!(ask(address, "GET", "/health/live", "", None).status, 200);
    stream
}

fn a_client_that_does_not_come_to_its_end_does_not_hold_up_the_stop() {
    let mut all = Program::start("in_process", env!("CARGO_BIN_EXE_in_process"), &[]);
    let _open = half_a_request(&listens_at(&all));
    let begun = Instant::now();
    all.stop();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    all.until(&["group email: 0 handled"]);
}

fn a_second_signal_waits_for_no_client() {
    let mut all = Program::start("in_process", env!("CARGO_BIN_EXE_in_process"), &[]);
    let address = listens_at(&all);
    let _open = half_a_request(&address);
    all.signal();
    // Nothing new is taken: the first one has arrived, and the next is a second one.
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < deadline, "it goes on");
    }
    let begun = Instant::now();
    all.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// The commands of the README name what there is.
fn the_readme_is_true() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let text = std::fs::read_to_string(format!("{folder}README.md")).expect("the README");
    let programs: Vec<_> = text.split("--bin ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    assert!(programs.len() >= 6, "{programs:?}");
    for program in programs {
        assert!(std::path::Path::new(&format!("{folder}src/bin/{program}.rs")).exists(), "{program}");
    }
    for said in [
        "email: welcome, Ann (attempt 1, conversation walk-1)",
        "email: welcome, Bob (attempt 2, conversation walk-7)",
        "crm: a card for Eve (conversation walk-8)",
        "analytics: 3 user.registered (conversation walk-8)",
        "the mail server knows no such host",
    ] {
        assert!(text.contains(said), "the README shows {said}");
    }
}

/// A harness of its own, so that a run without a broker is shown as ignored, with the reason, and never as passed.
fn main() -> ExitCode {
    let trial = |name: &str, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    let mut trials = vec![
        trial("in_one_process_over_memory", in_one_process),
        trial("the_readme_is_true", the_readme_is_true),
        trial(
            "a_client_that_does_not_come_to_its_end_does_not_hold_up_the_stop",
            a_client_that_does_not_come_to_its_end_does_not_hold_up_the_stop,
        ),
        trial("a_second_signal_waits_for_no_client", a_second_signal_waits_for_no_client),
    ];
    trials.push(brokers::on_a_broker("kafka", "KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092", brokers::KAFKA));
    trials.push(brokers::on_a_broker("amqp", "AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f", brokers::AMQP));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
