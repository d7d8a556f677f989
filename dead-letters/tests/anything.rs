//! Headers come from outside: whatever stands in them, a letter is read, shown and sent back, and nothing panics.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gulo_bus_core::dead_letter as dlq;
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::{Message, Origin};
use gulo_dead_letters::{Convention, Filter, Letter, provenance};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const NAMES: &[&str] = &[
    dlq::REASON,
    dlq::ERROR,
    dlq::ORIGIN_TOPIC,
    dlq::ORIGIN_PARTITION,
    dlq::ORIGIN_OFFSET,
    dlq::ORIGIN_TIMESTAMP,
    dlq::ORIGIN_GROUP,
    dlq::ATTEMPTS,
    dlq::FIRST_FAILED_AT,
    dlq::LAST_FAILED_AT,
    provenance::FROM,
    provenance::FOR,
    provenance::REPLAYS,
    "kafka_dlt-original-topic",
    "kafka_dlt-original-partition",
    "kafka_dlt-original-offset",
    "kafka_dlt-original-timestamp",
    "kafka_original-timestamp",
    "kafka_dlt-original-consumer-group",
    "kafka_dlt-exception-fqcn",
    "kafka_exception-message",
    "kafka_dlt-key-exception-stacktrace",
    "retry_topic-attempts",
    "__connect.errors.topic",
    "__connect.errors.partition",
    "__connect.errors.offset",
    "__connect.errors.stage",
    "__connect.errors.connector.name",
    "__connect.errors.exception.message",
    "exception-type",
    "exception-message",
    "failed-at",
    "original-destination",
    "original-partition",
    "original-offset",
    "ce_type",
    "mine",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    let extreme = prop::sample::select(vec![
        b"-1".to_vec(),
        b"99999999999999999999999999".to_vec(),
        b"9223372036854775807".to_vec(),
        b"-9223372036854775808".to_vec(),
        b"+275760-09-13T00:00:00Z".to_vec(),
        b"9999-12-31T23:59:60+23:59".to_vec(),
        b"kafka://topic/orders".to_vec(),
        i64::MAX.to_be_bytes().to_vec(),
        i64::MIN.to_be_bytes().to_vec(),
        i32::MIN.to_be_bytes().to_vec(),
        vec![0xff; 4],
        vec![0x80],
    ]);
    prop_oneof![extreme, vec(any::<u8>(), 0..12), "\\PC{0,8}".prop_map(String::into_bytes)]
}

fn header() -> impl Strategy<Value = (String, Option<Vec<u8>>)> {
    let name = prop_oneof![8 => prop::sample::select(NAMES).prop_map(str::to_owned), 1 => "\\PC{0,8}"];
    (name, option::weighted(0.9, value()))
}

fn message() -> impl Strategy<Value = Message> {
    let parts = (vec(header(), 0..30), option::of(vec(any::<u8>(), 0..8)), option::of(vec(any::<u8>(), 0..8)));
    (parts, option::of(any::<u64>())).prop_map(|((headers, key, payload), millis)| {
        let headers: Headers =
            headers.into_iter().map(|(name, value)| (Arc::from(name), value.map(Into::into))).collect();
        let timestamp = millis.and_then(|millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis)));
        let tombstone = Message::tombstone("d");
        Message { headers, key: key.map(Into::into), payload: payload.map(Into::into), timestamp, ..tombstone }
    })
}

fn stands() -> Origin {
    Origin { topic: "d".into(), partition: Some(0), offset: Some(i64::MAX) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_headers_make_a_letter_that_can_be_shown_and_asked(message in message()) {
        let letter = Letter::read(message.clone(), stands());
        prop_assert_eq!((&letter.key, &letter.payload), (&message.key, &message.payload));
        prop_assert!(letter.origin.offset.is_none_or(|offset| offset >= 0));
        prop_assert!(letter.origin.topic.as_deref() != Some(""));
        let shown = letter.to_string();
        prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{}", shown);
        prop_assert!(shown.lines().count() <= 7, "{}", shown);
        let _ = (format!("{letter:?}"), letter.json::<u8>().is_ok(), letter.payload_text());
        let filter = Filter::new().error("e").group("g").after(&stands());
        prop_assert!(!filter.accepts(&letter));
    }

    #[test]
    fn what_a_letter_keeps_are_headers_of_the_message_in_their_order(message in message()) {
        let letter = Letter::read(message.clone(), stands());
        let mut rest = message.headers.iter();
        for kept in letter.headers.iter() {
            prop_assert!(rest.any(|had| had == kept), "{:?} stood there, behind the one before", kept.0);
        }
        for mine in ["mine", "ce_type"] {
            prop_assert!(letter.headers.get_all(mine).eq(message.headers.get_all(mine)));
        }
        for name in [provenance::FROM, provenance::FOR, provenance::REPLAYS] {
            prop_assert_eq!(letter.headers.get_all(name).count(), 0);
        }
        // Read once more, what the last writer wrote is gone.
        let again = Letter::read(Message { headers: letter.headers.clone(), ..message }, stands());
        prop_assert!(again.convention == Convention::Unknown || again.convention != letter.convention);
    }
}
