use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::fixtures::{any_meta, meta, origin};
use super::*;
use crate::error::ErrorKind;
use crate::headers::Headers;

fn opened(body: impl Into<Bytes>) -> Opened {
    open_one(&Message::new("users", body))
}

fn open_one(message: &Message) -> Opened {
    open(message, &origin()).expect("an event").expect("in an envelope")
}

fn problem(body: impl Into<Bytes>) -> String {
    let error = open(&Message::new("users", body), &origin()).expect_err("no event");
    assert_eq!(error.kind(), ErrorKind::Decode);
    error.to_string()
}

fn sealed(meta: &EventMeta, payload: &[u8]) -> Message {
    let (body, headers) = seal(meta, "application/json", payload, &mut BytesMut::new()).expect("seals");
    Message { headers, ..Message::new("users", body) }
}

fn body(message: &Message) -> Value {
    serde_json::from_slice(message.payload.as_deref().expect("a body")).expect("JSON")
}

#[test]
fn an_event_lies_in_the_envelope_as_its_consumers_read_it() {
    let message = sealed(&meta(), br#"{"user_id":42, "rate": 1.10}"#);
    let about =
        r#""event_id":"0192c5a0-0000-7000-8000-000000000001","event_type":"user.registered","event_version":"2.0","#
            .to_owned()
            + r#""occurred_at":"2026-11-24T10:00:00.123456","correlation_id":"0192c5a0-0000-7000-8000-000000000003","#
            + r#""causation_id":"0192c5a0-0000-7000-8000-000000000004","source_service":"user-service","#;
    let aggregate = r#""aggregate_id":"0192c5a0-0000-7000-8000-000000000002","aggregate_type":"user","#;
    let body = format!(r#"{{{about}"payload":{{{about}{aggregate}"user_id":42,"rate":1.10}},"#)
        + r#""content_type":"application/json","schema_version":"1.0"}"#;
    assert_eq!(std::str::from_utf8(message.payload.as_deref().expect("a body")), Ok(&*body));
    let headers: Headers = [
        ("event_type", "user.registered"),
        ("event_id", "0192c5a0-0000-7000-8000-000000000001"),
        ("event_version", "2.0"),
        ("correlation_id", "0192c5a0-0000-7000-8000-000000000003"),
        ("source_service", "user-service"),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), Some(value.into())))
    .collect();
    assert_eq!(message.headers, headers);
}

#[test]
fn what_is_not_known_is_null_in_the_body_and_empty_in_the_headers() {
    let meta = EventMeta { aggregate: None, correlation_id: None, causation_id: None, ..meta() };
    let message = sealed(&meta, b"{}");
    assert_eq!(message.headers.get("correlation_id"), Some(&b""[..]));
    let body = body(&message);
    for (of, name) in
        [(&body, "correlation_id"), (&body["payload"], "causation_id"), (&body["payload"], "aggregate_id")]
    {
        assert_eq!(of.get(name), Some(&Value::Null), "{name}");
    }
}

#[test]
fn a_whole_second_has_no_fraction() {
    let time = |text: &str| {
        let meta = EventMeta { time: text.parse().expect("a time"), ..meta() };
        body(&sealed(&meta, b"{}"))["occurred_at"].as_str().map(str::to_owned)
    };
    assert_eq!(time("2026-11-24T12:30:00.000000999+02:30").as_deref(), Some("2026-11-24T10:00:00"));
    assert_eq!(time("2026-11-24T10:00:00.5Z").as_deref(), Some("2026-11-24T10:00:00.500000"));
}

#[test]
fn a_field_of_the_events_own_stays_and_stands_once() {
    let message = sealed(&meta(), br#"{"event_id": 7, "aggregate_id": {"a": 1}, "user_id": 42}"#);
    let payload = message.payload.as_deref().map(String::from_utf8_lossy).expect("a body");
    assert_eq!(payload.matches("event_id").count(), 2, "once in the envelope, once in the event: {payload}");
    let opened = open_one(&message);
    let event: Value = serde_json::from_slice(&opened.data.expect("an event")).expect("JSON");
    assert_eq!((&event["event_id"], &event["aggregate_id"]), (&json!(7), &json!({"a": 1})));
    assert_eq!((opened.meta.id, opened.meta.aggregate), (meta().id, None));
}

#[test]
fn what_its_consumers_could_not_read_is_not_sealed() {
    let problem = |meta: &EventMeta, content_type: &str, payload: &[u8]| {
        let mut buffer = BytesMut::new();
        let error = seal(meta, content_type, payload, &mut buffer).expect_err("refused");
        assert_eq!((error.kind(), buffer.len()), (ErrorKind::Encode, 0));
        error.to_string()
    };
    let json = "application/json";
    assert!(problem(&meta(), json, b"[1]").contains("takes only events that are JSON objects"));
    assert!(problem(&meta(), json, b"null").contains("takes only events that are JSON objects"));
    assert!(problem(&meta(), json, b"{hunter2").contains("is not JSON"));
    assert!(problem(&meta(), "application/msgpack", b"\x80").contains("not of `application/msgpack`"));
    let id = EventMeta { id: "7".into(), ..meta() };
    assert!(problem(&id, json, b"{}").contains("takes only a UUID as `event_id`"));
    let correlation = EventMeta { correlation_id: Some("request 7".into()), ..meta() };
    assert!(problem(&correlation, json, b"{}").contains("takes only a UUID as `correlation_id`"));
    let aggregate = EventMeta { aggregate: Some(Aggregate::new("user", "42")), ..meta() };
    assert!(problem(&aggregate, json, b"{}").contains("takes only a UUID as `aggregate_id`"));
}

#[test]
fn what_the_body_lacks_is_taken_from_the_headers() {
    let message = Message::new("users", r#"{"payload": {}, "event_version": null}"#)
        .header(EVENT_TYPE, "UserRegistered")
        .header(EVENT_ID, "7")
        .header(EVENT_VERSION, "3.1")
        .header(CORRELATION_ID, "")
        .header(SOURCE_SERVICE, "user-service");
    let Opened { meta, version_given, .. } = open_one(&message);
    assert_eq!((&*meta.event_type, &*meta.id, &*meta.source), ("UserRegistered", "7", "user-service"));
    assert_eq!((meta.version, version_given, meta.correlation_id), (3, Some(3), None));
    let bare = opened(r#"{"event_type": "t", "payload": 1}"#);
    assert_eq!(opened(r#"{"event_type": "t", "payload": ["id", "type"]}"#).meta.aggregate, None);
    assert_eq!((&*bare.meta.id, bare.meta.version, bare.version_given), ("users[3]@42", 1, None));
}

#[test]
fn the_event_is_not_copied() {
    let body = Bytes::from_static(br#"{"payload": {"a": 1}, "event_type": "t"}"#);
    let data = opened(body.clone()).data.expect("an event");
    assert_eq!((data.as_ptr(), &*data), (body[12..].as_ptr(), &br#"{"a": 1}"#[..]));
}

#[test]
fn times_are_utc_unless_they_say_otherwise() {
    let utc: DateTime<Utc> = "2026-11-24T10:00:00.5Z".parse().expect("a time");
    for text in ["2026-11-24T10:00:00.500000", "2026-11-24T10:00:00.5Z", "2026-11-24T12:30:00.5+02:30"] {
        let body = format!(r#"{{"event_type": "t", "payload": {{}}, "occurred_at": "{text}"}}"#);
        assert_eq!(opened(body).meta.time, utc, "{text}");
    }
}

#[test]
fn what_is_not_the_envelope_is_named_and_never_quoted() {
    assert!(problem(r#"{"event_type":"hunter2"}"#).contains("no `payload`"));
    assert!(problem(r#"{"event_type":"t","payload":null}"#).contains("no `payload`"));
    assert!(problem(r#"{"event_type":"","payload":{}}"#).contains("no `event_type`"));
    assert!(problem(r#"{"event_type":"t","event_version":"hunter2","payload":{}}"#).contains("`event_version`"));
    for body in ["hunter2", r#"{"event_type":7,"payload":"hunter2"}"#, r#"{"event_id":"hunter2"#] {
        assert!(!problem(body).contains("hunter2"), "{}", problem(body));
    }
    for body in [r#""hunter2""#, r#"["hunter2"]"#, r#"{"event_id":7,"password":"hunter2"}"#] {
        assert!(open(&Message::new("users", body), &origin()).is_ok_and(|opened| opened.is_none()), "{body}");
        let headed = Message::new("users", body).header(EVENT_TYPE, "t");
        let problem = open(&headed, &origin()).expect_err("no envelope").to_string();
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    let error = open(&Message::tombstone("users"), &origin()).expect_err("a tombstone");
    let who = "(who sends it has to mend it, or the topic is described with another envelope)";
    assert_eq!(error.to_string(), format!("message has no body, expected an envelope {who}"));
}

#[test]
fn an_event_nested_too_deep_breaks_nothing() {
    let deep = format!("{}{}", r#"{"a":"#.repeat(50_000), "1".to_owned() + &"}".repeat(50_000));
    let message = sealed(&meta(), deep.as_bytes());
    assert_eq!(open_one(&message).meta, meta());
}

fn any_uuids() -> impl Strategy<Value = [Option<String>; 3]> {
    let uuid = || option::of(any::<u128>().prop_map(|id| uuid::Uuid::from_u128(id).to_string()));
    [uuid(), uuid(), uuid()]
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(
        meta in any_meta(), id: u128, ids in any_uuids(), fields: BTreeMap<String, String>
    ) {
        let [correlation_id, causation_id, aggregate_id] = ids;
        let kind = meta.aggregate.map(|aggregate| aggregate.kind).unwrap_or_default();
        let aggregate = aggregate_id.map(|id| Aggregate::new(kind, id));
        let id = uuid::Uuid::from_u128(id).to_string();
        let meta = EventMeta { id, correlation_id, causation_id, aggregate, ..meta };
        let payload = serde_json::to_vec(&fields).expect("JSON");
        let opened = open_one(&sealed(&meta, &payload));
        prop_assert_eq!(opened.version_given, Some(meta.version));
        prop_assert_eq!(opened.meta, meta);
        let event: Map<String, Value> = serde_json::from_slice(&opened.data.expect("an event")).expect("an object");
        for (name, value) in fields {
            prop_assert_eq!(event.get(&name).and_then(Value::as_str), Some(&*value));
        }
    }

    #[test]
    fn no_body_does_harm(body: Vec<u8>, members in "[{\"a-z:,0-9]*") {
        drop(open(&Message::new("users", body), &origin()));
        drop(open(&Message::new("users", format!("{{\"event_type\":\"t\",\"payload\":{members}}}")), &origin()));
    }
}
