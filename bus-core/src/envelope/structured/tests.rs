use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::super::Opened;
use super::super::fixtures::{any_meta, meta, origin};
use super::*;
use crate::codec::AnyCodec;
use crate::error::ErrorKind;

fn message(body: impl Into<Bytes>) -> Message {
    Message::new("users", body).header(CONTENT_TYPE, "application/cloudevents+json")
}

fn opened(body: impl Into<Bytes>) -> Opened {
    open(&message(body), &origin()).expect("an event")
}

fn problem(body: impl Into<Bytes>) -> String {
    let error = open(&message(body), &origin()).expect_err("no event");
    assert_eq!(error.kind(), ErrorKind::Decode);
    error.to_string()
}

fn sealed(meta: &EventMeta, content_type: &str, payload: &[u8]) -> Message {
    let (body, headers) = seal(meta, content_type, payload, &mut BytesMut::new()).expect("seals");
    Message { headers, ..Message::new("users", body) }
}

#[test]
fn an_event_is_one_json_object_and_says_so_by_its_content_type() {
    let message = sealed(&meta(), "application/json", br#"{"user_id":42}"#);
    assert_eq!(
        message.headers.iter().collect::<Vec<_>>(),
        [("content-type", Some(&b"application/cloudevents+json; charset=UTF-8"[..]))]
    );
    let body = r#"{"specversion":"1.0","id":"0192c5a0-0000-7000-8000-000000000001","type":"user.registered","#
        .to_owned()
        + r#""source":"user-service","time":"2026-11-24T10:00:00.123456Z","subject":"user/0192c5a0-0000-7000-8000-000000000002","#
        + r#""datacontenttype":"application/json","dataversion":"2","correlationid":"0192c5a0-0000-7000-8000-000000000003","#
        + r#""causationid":"0192c5a0-0000-7000-8000-000000000004","data":{"user_id":42}}"#;
    assert_eq!(message.payload.as_deref(), Some(body.as_bytes()));
    assert!(message.headers.get(CONTENT_TYPE).is_some_and(is));
}

#[test]
fn what_is_not_known_of_an_event_is_not_written() {
    let meta = EventMeta { aggregate: None, correlation_id: None, causation_id: None, ..meta() };
    let message = sealed(&meta, "application/json", b"1");
    let body: Value = serde_json::from_slice(message.payload.as_deref().expect("a body")).expect("JSON");
    for absent in ["subject", "correlationid", "causationid", "data_base64"] {
        assert_eq!(body.get(absent), None, "{absent}");
    }
}

#[test]
fn data_that_is_json_is_not_copied() {
    let body = Bytes::from_static(br#"{"type":"t","data": {"a": [1, 2]} }"#);
    let data = opened(body.clone()).data.expect("data");
    assert_eq!(data, br#"{"a": [1, 2]}"#[..]);
    assert_eq!(data.as_ptr(), body[20..].as_ptr());
}

#[test]
fn the_content_type_of_the_data_says_what_data_is() {
    let data = |content_type: &str, data: &str| {
        opened(format!(r#"{{"type":"t","datacontenttype":"{content_type}","data":{data}}}"#)).data
    };
    assert_eq!(data("text/plain", r#""plain""#).as_deref(), Some(&b"plain"[..]));
    assert_eq!(data("text/plain", r#""a\n\u00fc\/""#).as_deref(), Some("a\nü/".as_bytes()));
    assert_eq!(data("text/plain", "null"), None);
    assert_eq!(data("text/xml", r#"{"a":1}"#).as_deref(), Some(&br#"{"a":1}"#[..]));
    for json in ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/vnd.x+json"] {
        assert_eq!(data(json, r#""a\n""#).as_deref(), Some(&br#""a\n""#[..]), "{json}");
        assert_eq!(data(json, "null").as_deref(), Some(&b"null"[..]), "{json}");
    }
    assert_eq!(opened(r#"{"type":"t","data":"a"}"#).data.as_deref(), Some(&br#""a""#[..]), "JSON where it is not said");
}

#[test]
fn base64_is_read_with_and_without_padding() {
    for base64 in ["AAH+/4A=", "AAH+/4A", r"AAH+\/4A="] {
        let data = opened(format!(r#"{{"type":"t","data_base64":"{base64}"}}"#)).data;
        assert_eq!(data.as_deref(), Some(&[0, 1, 254, 255, 128][..]), "{base64}");
    }
}

#[test]
fn what_is_missing_is_filled_as_in_binary_mode() {
    let Opened { meta, version_given, content_type, data } = opened(r#"{"type":"t","id":null,"time":"yesterday"}"#);
    assert_eq!((&*meta.id, meta.version, &*meta.source), ("users[3]@42", 1, ""));
    assert_eq!((version_given, content_type, data), (None, None, None));
}

#[test]
fn what_is_no_event_is_named_and_never_quoted() {
    assert!(
        problem(r#"{"type":"t","data_base64":"hunter2!"}"#).contains("`data_base64` of a CloudEvent is not base64")
    );
    assert!(problem(r#"{"type":"t","data":1,"data_base64":"AAA="}"#).contains("both `data` and `data_base64`"));
    assert!(problem(r#"{"type":"t","data":1,"data":2}"#).contains("duplicate field `data`"));
    assert!(problem(r#"{"type":"t","dataversion":"hunter2"}"#).contains("`dataversion` is not a whole number"));
    assert!(problem(r#"{"type":"t","dataversion":-2}"#).contains("`dataversion` is not a whole number"));
    assert!(
        problem(r#"{"type":"t","correlationid":["hunter2"]}"#).contains("expected text, a whole number or a boolean")
    );
    assert!(problem(r#"{"id":"hunter2"}"#).contains("has no `type`"));
    assert!(problem(r#"{"type":"t","specversion":"0.3"}"#).contains("specversion `0.3`, expected `1.0`"));
    assert!(problem("hunter2").contains("payload is not JSON"));
    assert!(problem(r#" ["1.0","id","t"]"#).contains("payload is not a JSON object"));
    assert!(problem(r#"{"type":"t","data":{"hunter2":"#).contains("ends too early"));
    assert!(problem(r#"{"type":"t"} hunter2"#).contains("is not JSON"));
    for body in
        [&br#"{"type":"t","data":"hunter2"#[..], br#""hunter2""#, b"[\"hunter2\"]", b"{\"type\":\"hunter2\xff\"}"]
    {
        assert!(!problem(body).contains("hunter2"), "{}", problem(body));
    }
    let error = open(&Message { payload: None, ..message("") }, &origin()).expect_err("a tombstone");
    let who = "(who sends it has to mend it, or the topic is described with another envelope)";
    assert_eq!(error.to_string(), format!("a CloudEvent in structured mode has no body {who}"));
}

#[test]
fn a_batch_and_other_formats_are_refused_by_their_names() {
    let problem = |content_type: &'static str| {
        let message = Message::new("users", "[]").header(CONTENT_TYPE, content_type);
        assert!(is(content_type.as_bytes()), "{content_type}");
        open(&message, &origin()).expect_err("refused").to_string()
    };
    assert!(problem("application/cloudevents-batch+json; charset=utf-8").contains("is a batch of CloudEvents"));
    assert!(problem("Application/CloudEvents+Avro").contains("`Application/CloudEvents+Avro`"));
    for other in ["application/json", "application/cloudevent", "", "ünïcødé/cloudevents+json"] {
        assert!(!is(other.as_bytes()), "{other}");
    }
}

#[test]
fn an_event_whose_content_type_does_not_say_so_is_known_by_its_specversion() {
    let of = |body: &'static str| Message::new("users", body).header(CONTENT_TYPE, "application/json");
    assert!(is_unsaid(&of(r#"{"type":"t","specversion":"1.0","data":{}}"#)));
    for other in [r#"{"type":"t","data":{}}"#, r#"{"data":{"specversion":"1.0"}}"#, r#"["specversion"]"#, "", "hunter2"]
    {
        assert!(!is_unsaid(&of(other)), "{other}");
    }
    assert!(!is_unsaid(&Message::tombstone("users")));
}

#[test]
fn data_nested_too_deep_for_json_breaks_nothing_and_does_not_decode() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let data = opened(format!(r#"{{"type":"t","other":{deep},"data":{deep}}}"#)).data.expect("data");
    assert_eq!(data.len(), deep.len());
    AnyCodec::JSON.decode::<Value>(&data).expect_err("128 levels are enough");
    assert!(sealed(&meta(), "application/json", &data).payload.is_some());
}

#[test]
fn a_payload_that_is_not_the_json_it_is_said_to_be_is_not_sealed() {
    for payload in [&b"hunter2"[..], b"", b"{}{}", br#"{"a":1},"type":"other""#, b"\"\xff\""] {
        let mut buffer = BytesMut::new();
        let error = seal(&meta(), "application/vnd.x+json", payload, &mut buffer).expect_err("refused");
        assert_eq!((error.kind(), buffer.len()), (ErrorKind::Encode, 0));
        assert!(!error.to_string().contains("hunter2"));
    }
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(meta in any_meta(), bytes: Vec<u8>, text: String, kind in 0..3) {
        let json = serde_json::to_vec(&text).expect("JSON");
        let (content_type, payload) = match kind {
            0 => ("application/json", &json),
            1 => ("application/octet-stream", &bytes),
            _ => ("text/plain; charset=utf-8", &text.into_bytes()),
        };
        let opened = open(&sealed(&meta, content_type, payload), &origin()).expect("opens");
        prop_assert_eq!(opened.version_given, Some(meta.version));
        prop_assert_eq!(opened.meta, meta);
        prop_assert_eq!(opened.content_type.as_deref(), Some(content_type));
        prop_assert_eq!(opened.data.as_deref(), Some(&payload[..]));
    }

    #[test]
    fn no_body_does_harm(body: Vec<u8>, members in "[{\"a-z:,0-9]*") {
        drop(open(&message(body), &origin()));
        drop(open(&message(format!("{{\"type\":\"t\",\"data\":{members}}}")), &origin()));
    }
}
