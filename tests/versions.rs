//! An event whose shape changed: what is read, what is made of it, and what is refused.

mod support;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use gulo::codec::Encoded;
use gulo::dead_letter as dlq;
use gulo::event::Upcast;
use gulo::prelude::*;
use serde::{Deserialize, Serialize};

use support::{Gated, eventually};

/// Today's shape. In version 1 the name was one field; in version 2 the e-mail could not be missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Registered {
    first: String,
    last: String,
    email: Option<String>,
}

#[derive(Deserialize)]
struct RegisteredV1 {
    name: String,
}

fn from_v1(RegisteredV1 { name }: RegisteredV1) -> Result<Registered, &'static str> {
    let (first, last) = name.split_once(' ').ok_or("a name of one word")?;
    Ok(Registered { first: first.into(), last: last.into(), email: None })
}

impl IntegrationEvent for Registered {
    const TYPE: &'static str = "user.registered";
    const VERSION: u32 = 3;
    const ACCEPTS: RangeInclusive<u32> = 1..=3;
    const TOPIC: Option<&'static str> = Some("users");

    fn upcast(version: u32, older: Encoded<'_>) -> gulo::Result<Self> {
        match version {
            1 => from_v1(older.decode()?).upcast(),
            _ => older.decode(),
        }
    }
}

type Seen = Arc<Mutex<Vec<Registered>>>;

async fn sees(Event(user): Event<Registered>, State(seen): State<Seen>) {
    seen.lock().expect("whole").push(user);
}

async fn bus(gated: &Gated, seen: &Seen) -> Bus {
    let bus = Bus::builder("service").transport(gated.clone()).state(seen.clone());
    bus.subscribe(Subscription::group("g").on(sees)).start().await.expect("starts")
}

fn message(version: Option<&str>, payload: &str) -> Message {
    let message = Message::new("users", payload.to_owned()).key("k").header("ce_type", "user.registered");
    version.into_iter().fold(message, |message, version| message.header("ce_dataversion", version.to_owned()))
}

/// The same inside of an envelope of JSON.
fn structured(version: &str, data: &str) -> Message {
    let head =
        r#""specversion":"1.0","id":"1","source":"s","type":"user.registered","datacontenttype":"application/json""#;
    let body = format!(r#"{{{head},"dataversion":"{version}","data":{data}}}"#);
    Message::new("users", body).key("k").header("content-type", "application/cloudevents+json; charset=UTF-8")
}

fn ann(email: Option<&str>) -> Registered {
    Registered { first: "Ann".into(), last: "Lee".into(), email: email.map(Into::into) }
}

#[tokio::test(start_paused = true)]
async fn older_versions_are_read_as_they_are_or_by_the_function_that_is_given() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let bus = bus(&gated, &seen).await;
    let today = r#"{"first":"Ann","last":"Lee","added_later":[1]}"#;
    let all = [
        message(Some("1"), r#"{"name":"Ann Lee"}"#),
        message(Some("2"), r#"{"first":"Ann","last":"Lee","email":"a@b"}"#),
        message(Some("3"), today),
        structured("1", r#"{"name":"Ann Lee"}"#),
        structured("3", today),
        // Other software seldom says a version: it is taken for today's.
        message(None, today),
    ];
    for message in all {
        gated.publish_raw(message).await;
    }
    bus.publish(ann(Some("c@d"))).await.expect("confirmed");
    eventually("all seen", || seen.lock().expect("whole").len() == 7).await;
    let expected = [ann(None), ann(None), ann(None), ann(Some("a@b")), ann(None), ann(None), ann(Some("c@d"))];
    let mut seen = seen.lock().expect("whole").clone();
    let by = |user: &Registered| format!("{user:?}");
    seen.sort_by_key(by);
    let mut expected = expected.to_vec();
    expected.sort_by_key(by);
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_accepted_is_a_permanent_failure_that_names_both() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let _bus = bus(&gated, &seen).await;
    let accept = " (let the event accept it: `ACCEPTS`, and `upcast` where its fields differ)";
    let read = " (let the event read it, or mend what wrote it)";
    let cases = [
        (message(Some("4"), "{}"), "version 4 of `user.registered` is not supported, the handler takes 1 to 3", accept),
        (structured("4", "{}"), "version 4 of `user.registered` is not supported, the handler takes 1 to 3", accept),
        (message(Some("0"), "{}"), "version 0 of `user.registered` is not supported, the handler takes 1 to 3", accept),
        (
            message(Some("new"), "{}"),
            "header `ce_dataversion` is not a whole number from 1",
            " (who sends it has to mend it)",
        ),
        (message(Some("1"), "{}"), "payload missing field `name`, at line 1 column 2", read),
        (
            message(Some("1"), r#"{"name":"Ann"}"#),
            "an older `user.registered` does not become one of today: a name of one word",
            " (let `upcast` take it, or mend what wrote it)",
        ),
    ];
    for (message, ..) in &cases {
        gated.publish_raw(message.clone()).await;
    }
    let letters = gated.read("users.g.dlq", cases.len()).await;
    for (letter, (message, error, help)) in letters.iter().zip(&cases) {
        assert_eq!(letter.payload, message.payload);
        let said = [dlq::REASON, dlq::ATTEMPTS, dlq::ERROR].map(|name| letter.headers.get_str(name));
        assert_eq!(said, [Some("undecodable"), Some("0"), Some(&*format!("{error}{help}"))]);
    }
    assert!(seen.lock().expect("whole").is_empty());
}
