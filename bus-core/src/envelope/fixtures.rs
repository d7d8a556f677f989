//! Messages that other software wrote, from `tests/wire`: what is found in each is what its writer put there.

mod ours;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use proptest::option;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::event::Aggregate;

#[derive(Deserialize)]
struct Fixture {
    key: Option<String>,
    headers: Vec<(String, Option<String>)>,
    value: Option<String>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    id: String,
    source: String,
    r#type: String,
    time: Option<DateTime<Utc>>,
    subject: Option<String>,
    datacontenttype: Option<String>,
    extensions: BTreeMap<String, String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Data {
    Json(Value),
    Text(String),
    Base64(String),
}

/// When the messages arrived.
fn arrival() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
}

pub(super) fn origin() -> Origin {
    Origin { topic: "users".into(), partition: Some(3), offset: Some(42) }
}

/// What an event may be known by, every part of it.
pub(super) fn meta() -> EventMeta {
    let id = |n: u8| format!("0192c5a0-0000-7000-8000-00000000000{n}");
    EventMeta {
        id: id(1),
        time: "2026-11-24T10:00:00.123456Z".parse().expect("a time"),
        event_type: "user.registered".into(),
        version: 2,
        source: "user-service".into(),
        aggregate: Some(Aggregate::new("user", id(2))),
        correlation_id: Some(id(3)),
        causation_id: Some(id(4)),
    }
}

/// Anything that an event may be known by.
pub(super) fn any_meta() -> impl Strategy<Value = EventMeta> {
    let aggregate = option::of(("[^/]*", any::<String>()).prop_map(|(kind, id)| Aggregate::new(kind, id)));
    // What is empty is not told from what is not there; only a source may be.
    let said = "(?s).+";
    let names = (said, said, any::<String>());
    (names, any_time(), any::<u32>(), aggregate, [option::of(said), option::of(said)]).prop_map(
        |((id, event_type, source), time, version, aggregate, [correlation_id, causation_id])| EventMeta {
            id,
            time,
            event_type: event_type.into(),
            version,
            source: source.into(),
            aggregate,
            correlation_id,
            causation_id,
        },
    )
}

/// Times that can be written: to the microsecond, in years of four digits.
pub(super) fn any_time() -> impl Strategy<Value = DateTime<Utc>> {
    (-62_135_596_800_000_000..253_402_300_800_000_000_i64)
        .prop_map(|micros| DateTime::from_timestamp_micros(micros).expect("a time"))
}

fn bytes(base64: &str) -> Bytes {
    STANDARD.decode(base64).expect("base64").into()
}

impl Fixture {
    fn message(&self) -> Message {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_deref().map(bytes)));
        Message {
            key: self.key.as_deref().map(bytes),
            payload: self.value.as_deref().map(bytes),
            headers: headers.collect(),
            timestamp: Some(UNIX_EPOCH + Duration::from_secs(arrival().timestamp().unsigned_abs())),
            ..Message::tombstone("users")
        }
    }
}

fn folder(name: &str) -> Vec<(String, Fixture)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/wire").join(name);
    let files = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let read = |file: PathBuf| {
        let name = format!("{name}/{}", file.file_stem().expect("a name").display());
        (name, serde_json::from_slice(&fs::read(&file).expect("a file")).expect("a fixture"))
    };
    files.map(|file| read(file.expect("a file").path())).collect()
}

/// As a topic opens it that reads `unsaid`.
fn opened(name: &str, message: &Message, unsaid: Unsaid) -> Result<Opened> {
    let opened = Envelope::open(message, origin, unsaid)?;
    assert_eq!(opened.is_none(), name.contains("/binary-"), "{name}: whether the body is the event itself");
    if let Some(opened) = opened {
        return Ok(opened);
    }
    let meta = read(message, &origin(), "no type");
    let content_type = message.headers.get_str(CONTENT_TYPE).map(str::to_owned);
    Ok(Opened {
        meta,
        version_given: message.headers.get(DATA_VERSION).map(version).transpose()?,
        content_type,
        data: message.payload.clone(),
    })
}

fn check(name: &str, opened: &Opened, expected: &Expected) {
    let (meta, said) = (&opened.meta, |extension: &str| expected.extensions.get(extension).cloned());
    let version = said("dataversion").map(|version| version.parse().expect("a version"));
    let what = EventMeta {
        id: expected.id.clone(),
        time: expected.time.unwrap_or_else(arrival),
        event_type: expected.r#type.clone().into(),
        version: version.unwrap_or(1),
        source: expected.source.as_str().into(),
        aggregate: expected.subject.as_deref().and_then(Aggregate::parse),
        correlation_id: said("correlationid"),
        causation_id: said("causationid"),
    };
    assert_eq!(meta, &what, "{name}");
    assert_eq!((opened.version_given, &opened.content_type), (version, &expected.datacontenttype), "{name}");
    let data = opened.data.as_deref().unwrap_or_default();
    match &expected.data {
        Some(Data::Json(value)) => assert_eq!(&serde_json::from_slice::<Value>(data).expect("JSON"), value, "{name}"),
        Some(Data::Text(text)) => assert_eq!(data, text.as_bytes(), "{name}"),
        Some(Data::Base64(base64)) => assert_eq!(data, &*bytes(base64), "{name}"),
        None => assert_eq!(data, b"", "{name}"),
    }
}

fn understood(name: &str, least: usize, unsaid: Unsaid) {
    let fixtures = folder(name);
    assert!(fixtures.len() >= least, "only {} messages of {name}", fixtures.len());
    for (name, fixture) in fixtures {
        let opened = opened(&name, &fixture.message(), unsaid).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(&name, &opened, &fixture.expected);
    }
}

#[test]
fn what_the_cloudevents_sdk_for_python_writes_is_understood() {
    understood("python", 22, Unsaid::default());
}

#[test]
fn what_the_cloudevents_sdk_for_python_wrote_until_2_is_understood() {
    understood("python-v1", 20, Unsaid::default().and(Envelope::CloudEventsStructured));
}

#[test]
fn what_the_cloudevents_sdk_for_java_writes_is_understood() {
    understood("java", 26, Unsaid::default());
}

#[test]
fn what_the_cloudevents_sdk_for_go_writes_is_understood() {
    understood("go", 25, Unsaid::default());
}

#[test]
fn what_the_cloudevents_sdk_for_javascript_writes_is_understood() {
    understood("javascript", 22, Unsaid::default());
}

#[test]
fn what_building_blocks_write_is_understood() {
    understood("building-blocks", 16, Unsaid::default().and(Envelope::BuildingBlocks));
}
