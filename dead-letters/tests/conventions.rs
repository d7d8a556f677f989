//! Letters as the bus, Spring Kafka, Kafka Connect and Wolverine write them, byte by byte.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use gulo_bus_core::ErrorKind;
use gulo_bus_core::dead_letter as dlq;
use gulo_bus_core::message::{Message, Origin};
use gulo_dead_letters::{Convention, Letter, Reason, provenance};

/// 2026-02-03T04:05:06.789Z, and the bytes of its milliseconds in Java.
const AT: &str = "2026-02-03T04:05:06.789Z";
const MILLIS: u64 = 1_770_091_506_789;
const LONG: [u8; 8] = [0, 0, 1, 156, 33, 172, 236, 101];

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// What the message had before it died.
fn message(topic: &str) -> Message {
    let mut message = Message::new(topic, r#"{"order":7}"#).key("7").header("ce_type", "order.paid");
    message.timestamp = Some(UNIX_EPOCH + Duration::from_millis(MILLIS));
    message.headers.append_nullable("mine", None);
    message
}

fn read(message: Message) -> Letter {
    let stands = Origin { topic: message.topic.clone(), partition: Some(1), offset: Some(9) };
    let letter = Letter::read(message, stands);
    assert_eq!(letter.stands.to_string().rsplit_once('[').unwrap().1, "1]@9");
    assert_eq!((letter.key_text().as_deref(), &*letter.payload_text()), (Some("7"), r#"{"order":7}"#));
    letter
}

fn names(letter: &Letter) -> Vec<String> {
    letter.headers.iter().map(|(name, _)| name.to_owned()).collect()
}

fn place(letter: &Letter) -> String {
    letter.origin.place().map(|place| place.to_string()).unwrap_or_default()
}

fn ours() -> Message {
    message("orders.billing.dlq")
        .header(dlq::REASON, "attempts-exhausted")
        .header(dlq::ERROR, "the ledger is closed")
        .header(dlq::ORIGIN_TOPIC, "orders")
        .header(dlq::ORIGIN_PARTITION, "3")
        .header(dlq::ORIGIN_OFFSET, "42")
        .header(dlq::ORIGIN_TIMESTAMP, "2026-02-03T04:05:00.000Z")
        .header(dlq::ORIGIN_GROUP, "billing")
        .header(dlq::ATTEMPTS, "5")
        .header(dlq::FIRST_FAILED_AT, "2026-02-03T04:05:01.000Z")
        .header(dlq::LAST_FAILED_AT, "2026-02-03T04:05:05.000Z")
}

#[test]
fn a_letter_of_the_bus_says_everything() {
    let letter = read(ours());
    assert_eq!((letter.convention, &letter.reason), (Convention::Gulo, &Reason::AttemptsExhausted));
    assert_eq!((place(&letter), letter.origin.group.as_deref()), ("orders[3]@42".into(), Some("billing")));
    assert_eq!(letter.origin.published_at, Some(at("2026-02-03T04:05:00Z")));
    assert_eq!((letter.failure.message.as_deref(), letter.attempts), (Some("the ledger is closed"), Some(5)));
    assert_eq!(letter.first_failed_at, Some(at("2026-02-03T04:05:01Z")));
    assert_eq!(letter.failed_at(), Some(at("2026-02-03T04:05:05Z")));
    assert_eq!((letter.written_at, letter.replays), (Some(at(AT)), 0));
    assert_eq!((names(&letter), letter.event_type()), (vec!["ce_type".into(), "mine".into()], Some("order.paid")));
    assert_eq!(
        letter.to_string(),
        "orders.billing.dlq[1]@9  attempts-exhausted, 5 attempts\
         \n  from   orders[3]@42, group billing, published 2026-02-03T04:05:00.000Z\
         \n  error  the ledger is closed\
         \n  failed 2026-02-03T04:05:05.000Z, first 2026-02-03T04:05:01.000Z\
         \n  event  order.paid\
         \n  key    7"
    );
}

#[test]
fn the_message_is_what_it_was_before_it_died() {
    let before = message("orders");
    let mut died = ours();
    died.headers.set(dlq::ORIGIN_TIMESTAMP, AT);
    for letter in [died, spring(), connect()] {
        assert_eq!(read(letter).message(), before);
    }
    assert_eq!(read(message("t")).message().topic.as_ref(), "t");
}

#[test]
fn a_letter_with_reason_and_origin_only_is_read_too() {
    let letter = read(message("d").header(dlq::REASON, "permanent").header(dlq::ORIGIN_TOPIC, "orders"));
    assert_eq!((letter.convention, letter.reason.clone()), (Convention::Gulo, Reason::Permanent));
    assert_eq!((place(&letter), letter.attempts, letter.failed_at()), ("orders".into(), None, Some(at(AT))));
    let newer = read(message("d").header(dlq::REASON, "too-old"));
    assert_eq!(newer.reason, Reason::Unknown(Some("too-old".into())));
}

fn spring() -> Message {
    message("orders-dlt")
        .header("kafka_dlt-exception-fqcn", "org.springframework.kafka.listener.ListenerExecutionFailedException")
        .header("kafka_dlt-exception-cause-fqcn", "java.lang.IllegalStateException")
        .header("kafka_dlt-exception-message", "Listener failed; the ledger is closed")
        .header("kafka_dlt-exception-stacktrace", "org.springframework..\n\tat shop.Ledger.book(Ledger.java:17)\n")
        .header("kafka_dlt-original-topic", "orders")
        .header("kafka_dlt-original-partition", &[0u8, 0, 0, 3][..])
        .header("kafka_dlt-original-offset", &[0u8, 0, 0, 0, 0, 0, 0, 42][..])
        .header("kafka_dlt-original-timestamp", &LONG[..])
        .header("kafka_dlt-original-timestamp-type", "CreateTime")
        .header("kafka_dlt-original-consumer-group", "billing")
}

#[test]
fn a_letter_of_spring_kafka_is_read() {
    let letter = read(spring());
    assert_eq!((letter.convention, &letter.reason), (Convention::Spring, &Reason::Unknown(None)));
    assert_eq!((place(&letter), letter.origin.group.as_deref()), ("orders[3]@42".into(), Some("billing")));
    assert_eq!((letter.origin.published_at, letter.written_at), (Some(at(AT)), Some(at(AT))));
    assert_eq!(letter.failure.cause.as_deref(), Some("java.lang.IllegalStateException"));
    assert!(letter.failure.class.as_deref().unwrap().ends_with("ListenerExecutionFailedException"));
    assert!(letter.failure.message.as_deref().unwrap().ends_with("the ledger is closed"));
    assert!(letter.failure.trace.as_deref().unwrap().contains("Ledger.java:17"));
    assert_eq!((letter.attempts, names(&letter)), (None, vec!["ce_type".into(), "mine".into()]));
}

#[test]
fn a_letter_that_came_through_springs_retry_topics_says_how_often_it_was_tried() {
    let attempts = |value: &'static [u8]| {
        let letter = message("orders-dlt")
            .header("kafka_original-topic", "orders")
            .header("kafka_original-partition", &[0u8, 0, 0, 0][..])
            .header("kafka_original-offset", &[0u8, 0, 0, 0, 0, 0, 1, 0][..])
            .header("kafka_dlt-original-consumer-group", "billing")
            .header("kafka_exception-fqcn", "java.lang.IllegalStateException")
            .header("retry_topic-original-timestamp", &LONG[2..])
            .header("retry_topic-attempts", &[0u8, 0, 0, 2][..])
            .header("retry_topic-attempts", value)
            .header("retry_topic-backoff-timestamp", &LONG[2..]);
        let letter = read(letter);
        assert_eq!((place(&letter), letter.origin.group.as_deref()), ("orders[0]@256".into(), Some("billing")));
        assert_eq!(letter.failure.class.as_deref(), Some("java.lang.IllegalStateException"));
        assert_eq!(names(&letter), ["ce_type", "mine"]);
        letter.attempts
    };
    // What it counts is the attempt that would be the next.
    assert_eq!(attempts(&[0, 0, 0, 4]), Some(3));
    assert_eq!(attempts(&[4]), Some(3));
    for odd in [&[][..], &[0, 4], &[255, 255, 255, 255], &[255], &[0, 0, 0, 0]] {
        assert_eq!(attempts(odd), None, "{odd:?}");
    }
}

#[test]
fn what_springs_deserializer_could_not_read_is_undecodable_be_it_the_key() {
    let class = "org.springframework.kafka.support.serializer.DeserializationException";
    let value = read(message("d").header("kafka_dlt-exception-fqcn", class));
    let key = read(
        message("d").header("kafka_dlt-key-exception-fqcn", class).header("kafka_dlt-key-exception-message", "no key"),
    );
    assert_eq!((&value.reason, &key.reason), (&Reason::Undecodable, &Reason::Undecodable));
    assert_eq!((key.failure.message.as_deref(), names(&key).len()), (Some("no key"), 2));
}

fn connect() -> Message {
    message("connect-dlq")
        .header("__connect.errors.topic", "orders")
        .header("__connect.errors.partition", "3")
        .header("__connect.errors.offset", "42")
        .header("__connect.errors.connector.name", "warehouse")
        .header("__connect.errors.task.id", "0")
        .header("__connect.errors.stage", "VALUE_CONVERTER")
        .header("__connect.errors.class.name", "org.apache.kafka.connect.json.JsonConverter")
        .header("__connect.errors.exception.class.name", "org.apache.kafka.connect.errors.DataException")
        .header("__connect.errors.exception.message", "Converting byte[] to Kafka Connect data failed")
        .header("__connect.errors.exception.stacktrace", "org.apache..\n\tat ..\n")
}

#[test]
fn a_letter_of_kafka_connect_is_read() {
    let letter = read(connect());
    assert_eq!((letter.convention, &letter.reason), (Convention::Connect, &Reason::Undecodable));
    assert_eq!((place(&letter), letter.origin.group.as_deref()), ("orders[3]@42".into(), None));
    assert_eq!(letter.failure.class.as_deref(), Some("org.apache.kafka.connect.errors.DataException"));
    assert!(letter.failure.message.is_some() && letter.failure.trace.is_some());
    // Connect's letters have the timestamp of the message.
    assert_eq!((letter.origin.published_at, letter.written_at, letter.failed_at()), (Some(at(AT)), None, None));
    assert_eq!(names(&letter), ["ce_type", "mine"]);

    let mut put = connect();
    put.headers.set("__connect.errors.stage", "TASK_PUT");
    put.headers.set("__connect.errors.class.name", "org.apache.kafka.connect.sink.SinkTask");
    put.headers.set("__connect.errors.partition", "-1");
    put.headers.set("__connect.errors.offset", "-1");
    let put = read(put);
    let told = "stage TASK_PUT, connector warehouse, task 0, class org.apache.kafka.connect.sink.SinkTask";
    assert_eq!((put.reason.to_string().as_str(), place(&put).as_str()), (told, "orders"));
}

fn wolverine() -> Message {
    message("wolverine-dead-letter-queue")
        .header("message-type", "Shop.OrderPaid")
        .header("exception-type", "System.InvalidOperationException")
        .header("exception-message", "the ledger is closed")
        .header("exception-stack", "   at Shop.Ledger.Book() in Ledger.cs:line 17")
        .header("failed-at", "1770091506789")
        .header("original-destination", "kafka://topic/orders")
        .header("original-partition", "3")
        .header("original-offset", "42")
}

#[test]
fn a_letter_of_wolverine_is_read() {
    let letter = read(wolverine());
    assert_eq!((letter.convention, place(&letter)), (Convention::Wolverine, "orders[3]@42".into()));
    assert_eq!((letter.last_failed_at, letter.origin.group.as_deref()), (Some(at(AT)), None));
    assert_eq!(letter.failure.class.as_deref(), Some("System.InvalidOperationException"));
    assert_eq!(letter.failure.to_string(), "System.InvalidOperationException: the ledger is closed");
    assert_eq!(names(&letter), ["ce_type", "mine", "message-type"]);
}

#[test]
fn a_name_without_a_prefix_alone_makes_no_letter() {
    let plain = read(message("t").header("failed-at", "yesterday").header("original-offset", "7"));
    assert_eq!((plain.convention, place(&plain)), (Convention::Unknown, String::new()));
    assert_eq!(names(&plain), ["ce_type", "mine", "failed-at", "original-offset"]);
    assert_eq!((plain.reason, plain.origin.topic), (Reason::Unknown(None), None));
}

#[test]
fn who_wrote_last_says_where_it_failed_and_the_rest_are_headers_of_the_message() {
    let mut dead_again = spring();
    dead_again.headers.extend(ours().headers.into_iter().skip(2));
    let letter = read(dead_again);
    assert_eq!((letter.convention, letter.origin.topic.as_deref()), (Convention::Gulo, Some("orders")));
    assert_eq!(names(&letter)[2..].len(), 10, "Spring's own stay: {:?}", names(&letter));

    let mut other_way = ours();
    other_way.headers.extend(spring().headers.into_iter().skip(2));
    let letter = read(other_way);
    assert_eq!(letter.convention, Convention::Spring);
    assert_eq!(letter.headers.get_str(dlq::REASON), Some("attempts-exhausted"));
}

#[test]
fn how_often_it_was_sent_back_is_carried_over_whoever_wrote_the_letter() {
    for (message, convention) in [
        (ours(), Convention::Gulo),
        (spring(), Convention::Spring),
        (connect(), Convention::Connect),
        (wolverine(), Convention::Wolverine),
        (message("t"), Convention::Unknown),
    ] {
        let sent_back = message
            .header(provenance::FROM, "orders.billing.dlq[0]@1")
            .header(provenance::FOR, "billing")
            .header(provenance::REPLAYS, "2");
        let letter = read(sent_back);
        assert_eq!((letter.convention, letter.replays), (convention, 2));
        assert!(!names(&letter).iter().any(|name| name.starts_with(dlq::PREFIX)), "{convention:?}");
    }
}

#[test]
fn json_is_read_and_its_errors_quote_nothing() {
    #[derive(Debug, serde::Deserialize)]
    struct Paid {
        order: u32,
    }
    let letter = read(ours());
    assert_eq!(letter.json::<Paid>().unwrap().order, 7);
    let secret = Letter::read(Message::new("d", r#"{"order":"4111"}"#), letter.stands.clone());
    let error = secret.json::<Paid>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("orders.billing.dlq[1]@9") && !error.to_string().contains("4111"), "{error}");
    let tombstone = Letter::read(Message::tombstone("d"), letter.stands.clone());
    assert_eq!((tombstone.payload.clone(), tombstone.json::<Paid>().unwrap_err().kind()), (None, ErrorKind::Decode));
}

#[test]
fn debug_shows_sizes_and_no_payload_key_or_header() {
    let message = Message::new("d", "hunter2").key("hunter2").header("authorization", "hunter2");
    let letter = Letter::read(message, Origin { topic: "d".into(), partition: None, offset: None });
    let (debug, display) = (format!("{letter:?}"), letter.to_string());
    assert!(!debug.contains("hunter2") && debug.contains("payload_bytes: Some(7)"), "{debug}");
    assert_eq!(display, "d  reason unknown\n  from   unknown\n  key    hunter2");
}
