//! Events of other software reach their handlers, and what is written for it is what it reads. The messages are those of
//! `tests/wire`, byte for byte.

mod support;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use chrono::{DateTime, Utc};
use gulo::ErrorKind;
use gulo::codec::{Codec, CodecError, ReadEvent, erased_serde};
use gulo::dead_letter as dlq;
use gulo::message::Message;
use gulo::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use support::{Gated, eventually};

/// What a handler was given: the name of its type, what is known of it, and the event.
type Seen = Arc<Mutex<Vec<(&'static str, Arc<EventMeta>, Value)>>>;

macro_rules! event {
    ($name:ident($content:ty) = $type:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        struct $name($content);

        impl IntegrationEvent for $name {
            const TYPE: &'static str = $type;
            const ACCEPTS: std::ops::RangeInclusive<u32> = 1..=3;
            const TOPIC: Option<&'static str> = Some("users");
        }

        impl $name {
            async fn seen(Event(event): Event<Self>, Meta(meta): Meta, State(seen): State<Seen>) {
                seen.lock().expect("whole").push((Self::TYPE, meta, json!(event)));
            }
        }
    };
}

event!(Registered(Value) = "user.registered");
event!(Renamed(String) = "user.renamed");
event!(Written(String) = "note.written");
event!(Taken(Vec<u8>) = "picture.taken");
event!(FromPython(Value) = "UserRegistered");
event!(FromPythonInGerman(Value) = "Nutzer/Größe");

async fn bus(gated: &Gated, seen: &Seen, envelope: Envelope) -> Bus {
    let group = Subscription::group("g")
        .on(Registered::seen)
        .on(Renamed::seen)
        .on(Written::seen)
        .on(Taken::seen)
        .on(FromPython::seen)
        .on(FromPythonInGerman::seen);
    let bus = Bus::builder("user-service").transport(gated.clone()).state(seen.clone()).subscribe(group);
    bus.topic("users", |topic| topic.reads(Raw).envelope(envelope)).start().await.expect("starts")
}

#[derive(Deserialize)]
struct Fixture {
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
    extensions: serde_json::Map<String, Value>,
    data: Option<Value>,
}

fn bytes(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("base64")
}

impl Fixture {
    fn message(&self) -> Message {
        let mut message = Message::tombstone("users").key(self.expected.id.clone());
        message.payload = self.value.as_deref().map(|value| bytes(value).into());
        for (name, value) in &self.headers {
            message.headers.append_nullable(name.as_str(), value.as_deref().map(|value| bytes(value).into()));
        }
        message
    }
}

/// The messages of a folder that carry an event.
fn fixtures(folder: &str) -> Vec<(String, Fixture)> {
    let path = Path::new("tests/wire").join(folder);
    let files = fs::read_dir(path).expect("a folder").map(|file| file.expect("a file").path());
    let read = |file: &Path| serde_json::from_slice::<Fixture>(&fs::read(file).expect("a file")).expect("a fixture");
    let all = files.map(|file| (file.display().to_string(), read(&file)));
    all.filter(|(_, fixture)| fixture.expected.data.is_some()).collect()
}

fn assert_seen(name: &str, seen: &(&'static str, Arc<EventMeta>, Value), expected: &Expected) {
    let (event_type, meta, event) = seen;
    assert_eq!((*event_type, &*meta.event_type), (&*expected.r#type, &*expected.r#type), "{name}");
    assert_eq!((&meta.id, &*meta.source), (&expected.id, &*expected.source), "{name}");
    if let Some(time) = expected.time {
        assert_eq!(meta.time, time, "{name}");
    }
    assert_eq!(meta.aggregate, expected.subject.as_deref().and_then(Aggregate::parse), "{name}");
    let said = |name: &str| expected.extensions.get(name).and_then(Value::as_str);
    assert_eq!(meta.correlation_id.as_deref(), said("correlationid"), "{name}");
    assert_eq!(meta.causation_id.as_deref(), said("causationid"), "{name}");
    assert_eq!(meta.version.to_string(), said("dataversion").unwrap_or("1"), "{name}");
    let (kind, data) =
        expected.data.as_ref().and_then(Value::as_object).and_then(|data| data.iter().next()).expect("data");
    match kind.as_str() {
        "base64" => assert_eq!(event, &json!(bytes(data.as_str().expect("text"))), "{name}"),
        _ => assert_eq!(event, data, "{name}"),
    }
}

/// Every event of `folder` reaches its handler on a topic of this envelope, one after another.
async fn all_are_seen(folder: &str, envelope: Envelope) {
    let (gated, seen) = (Gated::new(), Seen::default());
    let _bus = bus(&gated, &seen, envelope).await;
    let fixtures = fixtures(folder);
    assert!(fixtures.len() >= 15, "only {} in {folder}", fixtures.len());
    for (name, fixture) in fixtures {
        gated.publish_raw(fixture.message()).await;
        eventually(&name, || !seen.lock().expect("whole").is_empty()).await;
        let handled = seen.lock().expect("whole").pop().expect("one");
        assert_seen(&name, &handled, &fixture.expected);
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_the_cloudevents_sdks_are_handled_in_either_mode() {
    for folder in ["python", "java", "go", "javascript"] {
        all_are_seen(folder, Envelope::CloudEvents).await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_the_older_python_sdk_are_handled_on_a_topic_of_structured_events() {
    all_are_seen("python-v1", Envelope::CloudEventsStructured).await;
}

#[tokio::test(start_paused = true)]
async fn events_of_building_blocks_are_handled_its_dead_letter_too() {
    all_are_seen("building-blocks", Envelope::BuildingBlocks).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_opened_is_a_dead_letter_that_says_why_and_stays_as_it_was() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let _bus = bus(&gated, &seen, Envelope::BuildingBlocks).await;
    let of = |content_type: &'static str, body: &'static str| {
        Message::new("users", body).key("k").header("content-type", content_type)
    };
    let cases = [
        (of("application/cloudevents-batch+json", "[]"), "is a batch of CloudEvents, which is not read"),
        (of("application/cloudevents+json", r#"{"id":"hunter2"}"#), "has no `type`"),
        (of("application/json", r#"{"payload":{}}"#), "the envelope has no `event_type`"),
        (of("application/json", r#"{"event_type":"user.registered"}"#), "the envelope has no `payload`"),
        (of("application/json", "hunter2"), "envelope: payload is not JSON"),
    ];
    for (message, _) in &cases {
        gated.publish_raw(message.clone()).await;
    }
    let letters = gated.read("users.g.dlq", cases.len()).await;
    for (letter, (message, problem)) in letters.iter().zip(&cases) {
        assert_eq!(letter.payload, message.payload);
        let error = letter.headers.get_str(dlq::ERROR).expect("an error");
        assert!(error.contains(problem) && !error.contains("hunter2"), "{error}");
        assert_eq!(letter.headers.get_str(dlq::REASON), Some("undecodable"));
    }
    assert!(seen.lock().expect("whole").is_empty());
}

/// A UUID each, as building blocks ask.
fn ids() -> [String; 3] {
    [(); 3].map(|()| uuid::Uuid::now_v7().to_string())
}

#[tokio::test(start_paused = true)]
async fn what_is_published_in_an_envelope_is_handled_with_all_that_was_said() {
    for envelope in [Envelope::CloudEvents, Envelope::CloudEventsStructured, Envelope::BuildingBlocks] {
        let (gated, seen) = (Gated::new(), Seen::default());
        let bus = bus(&gated, &seen, envelope).await;
        let [id, correlation, causation] = ids();
        let cause = EventMeta { id: causation.clone(), correlation_id: Some(correlation.clone()), ..meta_of_cause() };
        bus.publish(Outgoing::new(Registered(json!({"user_id": 42}))).id(&id).caused_by(&cause))
            .await
            .expect("confirmed");
        eventually("handled", || !seen.lock().expect("whole").is_empty()).await;
        let (_, meta, event) = seen.lock().expect("whole").pop().expect("one");
        assert_eq!((&*meta.source, &meta.id, meta.version), ("user-service", &id, 1), "{envelope:?}");
        assert_eq!((meta.correlation_id.clone(), meta.causation_id.clone()), (Some(correlation), Some(causation)));
        assert_eq!(event["user_id"], 42, "{envelope:?}");
    }
}

fn meta_of_cause() -> EventMeta {
    EventMeta::of(&Registered(Value::Null), "elsewhere")
}

#[tokio::test(start_paused = true)]
async fn what_consumers_of_building_blocks_could_not_read_is_refused_and_not_sent() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let bus = bus(&gated, &seen, Envelope::BuildingBlocks).await;
    let refused = [
        (Outgoing::new(Registered(json!([1]))), "takes only events that are JSON objects"),
        (Outgoing::new(Registered(json!({}))).id("order 7"), "takes only a UUID as `event_id`"),
        (Outgoing::new(Registered(json!({}))).correlation_id("request 7"), "takes only a UUID as `correlation_id`"),
    ];
    for (event, problem) in refused {
        let error = &bus.publish(event).await.expect_err("refused").failed[0].error;
        assert_eq!(error.kind(), ErrorKind::Encode);
        assert!(error.to_string().contains(problem), "{error}");
    }
    assert_eq!(gated.steps(), [], "nothing was sent");
}

/// It gets the bytes as they are, and knows of the event what any handler knows.
#[tokio::test(start_paused = true)]
async fn a_raw_handler_is_told_what_stands_in_the_envelope_of_the_body() {
    let raw = async |message: Message, Meta(meta): Meta, State(seen): State<Seen>| {
        seen.lock().expect("whole").push(("raw", meta, json!(message.payload.as_deref().unwrap_or_default())));
    };
    for envelope in [Envelope::CloudEvents, Envelope::CloudEventsStructured, Envelope::BuildingBlocks] {
        let (gated, seen) = (Gated::new(), Seen::default());
        let bus = Bus::builder("service").transport(gated.clone()).state(seen.clone());
        let bus = bus.subscribe(Subscription::group("g").on_raw("users", raw));
        let bus = bus.topic("users", |topic| topic.envelope(envelope)).start().await.expect("starts");
        let [id, correlation, _] = ids();
        let event = Outgoing::new(Registered(json!({"user_id": 42}))).id(&id).correlation_id(&correlation);
        bus.publish(event).await.expect("confirmed");
        bus.send(vec![Message::tombstone("users").key("k")]).await.expect("confirmed");
        eventually("both", || seen.lock().expect("whole").len() == 2).await;
        let sent = gated.read("users", 2).await;
        let payload = sent.iter().find_map(|message| message.payload.as_deref()).expect("a payload");
        let seen = seen.lock().expect("whole");
        let (_, meta, _) = seen.iter().find(|(_, _, bytes)| *bytes == json!(payload)).expect("as it came");
        assert_eq!((&meta.id, &*meta.event_type, &*meta.source), (&id, "user.registered", "service"), "{envelope:?}");
        assert_eq!(meta.correlation_id, Some(correlation), "{envelope:?}");
    }
}

/// JSON in capitals: no envelope of JSON is written so.
struct Upper;

impl Codec for Upper {
    fn content_type(&self) -> &str {
        "text/upper"
    }

    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
        buffer.extend_from_slice(serde_json::to_string(event)?.to_uppercase().as_bytes());
        Ok(())
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        Json.decode(&payload.to_ascii_lowercase(), read)
    }
}

/// A topic that changes its envelope carries both for a while.
#[tokio::test(start_paused = true)]
async fn bare_messages_are_read_on_a_topic_of_any_envelope() {
    let only = async |Event(Registered(event)): Event<Registered>, Meta(meta): Meta, State(seen): State<Seen>| {
        seen.lock().expect("whole").push((Registered::TYPE, meta, event));
    };
    for envelope in [Envelope::CloudEvents, Envelope::CloudEventsStructured, Envelope::BuildingBlocks, Envelope::Raw] {
        let (gated, seen) = (Gated::new(), Seen::default());
        let bus = Bus::builder("service").transport(gated.clone()).state(seen.clone());
        let bus = bus.subscribe(Subscription::group("g").on(only));
        let _bus = bus.topic("users", |topic| topic.reads(Upper).envelope(envelope)).start().await.expect("starts");
        gated.publish_raw(Message::new("users", r#"{"user_id":42}"#).key("k")).await;
        gated
            .publish_raw(Message::new("users", r#"{"USER_ID":42}"#).header("content-type", "text/upper").key("k"))
            .await;
        eventually("handled", || seen.lock().expect("whole").len() == 2).await;
        let events: Vec<_> = seen.lock().expect("whole").iter().map(|(_, _, event)| event.clone()).collect();
        assert_eq!(events, [json!({"user_id": 42}), json!({"user_id": 42})], "{envelope:?}");
    }
}

/// What is empty is not said: an id that all messages share would make each look like the one before.
#[tokio::test(start_paused = true)]
async fn an_empty_id_is_none_and_so_is_an_empty_conversation() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let _bus = bus(&gated, &seen, Envelope::CloudEvents).await;
    let binary = Message::new("users", "{}").header("ce_type", "user.registered").header("ce_id", "");
    let binary = binary.header("ce_correlationid", "").header("ce_causationid", "").key("k");
    let body = r#"{"specversion":"1.0","type":"user.registered","id":"","source":"s","correlationid":"",
        "causationid":"","data":{}}"#;
    let structured = Message::new("users", body).header("content-type", " Application/CloudEvents+JSON").key("k");
    for message in [binary, structured] {
        gated.publish_raw(message).await;
        eventually("handled", || !seen.lock().expect("whole").is_empty()).await;
        let (_, meta, event) = seen.lock().expect("whole").pop().expect("one");
        assert_eq!(event, json!({}));
        assert!(meta.id.starts_with("users["), "{}", meta.id);
        assert_eq!((&meta.correlation_id, &meta.causation_id), (&None, &None));
    }
}

/// Passed over like a type of somebody else's, it would be lost without a word.
#[tokio::test(start_paused = true)]
async fn an_empty_type_is_no_type_of_somebody_elses() {
    let (gated, seen) = (Gated::new(), Seen::default());
    let _bus = bus(&gated, &seen, Envelope::CloudEvents).await;
    let structured = r#"{"specversion":"1.0","type":"","id":"1","source":"s","data":{}}"#;
    gated.publish_raw(Message::new("users", "{}").header("ce_type", "").key("k")).await;
    gated.publish_raw(Message::new("users", structured).header("content-type", "application/cloudevents+json")).await;
    let letters = gated.read("users.g.dlq", 2).await;
    let mut said: Vec<_> = letters.iter().map(|letter| letter.headers.get_str(dlq::ERROR).expect("text")).collect();
    said.sort_unstable();
    let expected = ["a CloudEvent in structured mode has no `type`", "header `ce_type` is empty: the type is unknown"];
    let as_expected = said.iter().zip(expected).all(|(said, expected)| said.starts_with(expected));
    assert!(as_expected && said.len() == expected.len(), "{said:?}");
}

/// Whatever a topic writes today, it reads what it wrote yesterday and what others write, and it always reads its own.
#[tokio::test(start_paused = true)]
async fn a_topic_reads_what_it_writes_and_every_envelope_that_it_names() {
    let all = [Envelope::CloudEvents, Envelope::CloudEventsStructured, Envelope::BuildingBlocks, Envelope::Raw];
    let only = async |Event(Registered(event)): Event<Registered>, State(seen): State<Seen>, Meta(meta): Meta| {
        seen.lock().expect("whole").push((Registered::TYPE, meta, event));
    };
    for writes in all {
        let (gated, seen) = (Gated::new(), Seen::default());
        let bus = Bus::builder("service").transport(gated.clone()).state(seen.clone());
        let named = [Envelope::CloudEventsStructured, Envelope::BuildingBlocks, Envelope::CloudEvents];
        let bus = bus
            .topic("users", |topic| named.into_iter().fold(topic.envelope(writes), |t, named| t.reads_envelope(named)));
        let bus = bus.subscribe(Subscription::group("g").on(only)).start().await.expect("starts");
        bus.publish(Registered(json!({"n": 0}))).await.expect("published");
        for (number, other) in (1..).zip(all) {
            let other = Bus::builder("other").transport(gated.clone()).topic("users", |topic| topic.envelope(other));
            let event = Registered(json!({"n": number}));
            other.start().await.expect("starts").publish(event).await.expect("published");
        }
        let unsaid = r#"{"specversion":"1.0","type":"user.registered","id":"7","source":"s","data":{"n":5}}"#;
        gated.publish_raw(Message::new("users", unsaid).header("content-type", "application/json").key("k")).await;
        eventually("handled", || seen.lock().expect("whole").len() == 6).await;
        let mut events: Vec<_> = seen.lock().expect("whole").iter().map(|(_, _, event)| event["n"].clone()).collect();
        events.sort_by_key(Value::as_u64);
        assert_eq!(events, [0, 1, 2, 3, 4, 5], "written: {writes:?}");
    }
}

/// Events are what they are: text, a list, fields that have the names of the envelope's and are of another kind.
#[tokio::test(start_paused = true)]
async fn bare_messages_of_any_shape_are_read_beside_the_envelope_of_building_blocks() {
    let only = async |Event(Registered(event)): Event<Registered>, Meta(meta): Meta, State(seen): State<Seen>| {
        seen.lock().expect("whole").push((Registered::TYPE, meta, event));
    };
    let (gated, seen) = (Gated::new(), Seen::default());
    let bus = Bus::builder("service").transport(gated.clone()).state(seen.clone());
    let bus = bus.subscribe(Subscription::group("g").on(only));
    let bus = bus.topic("users", |topic| topic.reads_envelope(Envelope::BuildingBlocks)).start().await;
    let _bus = bus.expect("starts");
    let events = [json!("ann"), json!([1, 2]), json!(7), json!({"event_id": 7, "user_id": 42})];
    for event in &events {
        gated.publish_raw(Message::new("users", event.to_string()).key("k")).await;
    }
    eventually("handled", || seen.lock().expect("whole").len() == events.len()).await;
    let seen: Vec<_> = seen.lock().expect("whole").iter().map(|(_, _, event)| event.clone()).collect();
    assert_eq!(seen, events);
}
