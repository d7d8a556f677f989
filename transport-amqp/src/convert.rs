//! Between AMQP's messages and ours. Nothing is lost on the way: null and empty stay apart, headers keep their order.
//!
//! - The metadata of CloudEvents travels as `cloudEvents_*` ([binding]; `ce_*` with us), what AMQP has a property for also
//!   as that, so that other software finds it.
//! - The key is the header `gulo-key`, and the routing key where it can be one.
//! - What the broker writes on a message that waited is taken off again.
//! - A table of AMQP's has no order for its readers: where the names do not stand sorted, `gulo-order` has the order.
//!
//! [binding]: https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/amqp-protocol-binding.md

mod deaths;
mod read;
mod write;

pub(crate) use read::message;
pub(crate) use write::{id_of, largest_header, properties, routing_key, size_of};

/// Before the attributes of CloudEvents, with us and in AMQP.
const OURS: &str = "ce_";
const THEIRS: &str = "cloudEvents_";

/// The same, as some write it: AMQP 1.0 allows a colon there.
const THEIRS_TOO: &str = "cloudEvents:";

const CONTENT_TYPE: &str = "content-type";
const CONTENT_ENCODING: &str = "content-encoding";

/// Of our own.
const KEY: &str = "gulo-key";
const ORDER: &str = "gulo-order";
const TOMBSTONE: &str = "gulo-tombstone";

/// Before the name of a header that the broker or ourselves would take for their own.
const KEPT: &str = "gulo-kept-";

/// RabbitMQ's own name for it: the property has whole seconds.
const MILLIS: &str = "timestamp_in_ms";

/// What begins the id of a message that has none of its own.
pub(crate) const OWN_ID: &str = "gulo-";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use bytes::Bytes;
    use gulo_bus_core::headers::Headers;
    use gulo_bus_core::message::Message;
    use lapin::types::{AMQPValue, FieldTable, ShortString};
    use proptest::prelude::*;

    use super::*;

    /// There and back, as lapin would carry it.
    fn round_trip(message: &Message) -> Message {
        let properties = properties(message, || "gulo-1".into(), true).expect("it fits");
        let payload = message.payload.clone().unwrap_or_default();
        let topic: Arc<str> = message.topic.clone();
        read::parts(&topic, &properties, Bytes::from(payload.to_vec()))
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z-]{1,6}",
            ".{1,9}",
            proptest::sample::select(&["ce_id", "ce_type", "ce_x", "content-type", "content-encoding", "ce_time"][..])
                .prop_map(str::to_owned)
        ]
    }

    fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
        proptest::option::weighted(0.9, proptest::collection::vec(any::<u8>(), 0..9))
    }

    proptest! {
        #[test]
        fn what_is_sent_is_read(
            headers in proptest::collection::btree_map(name(), value(), 0..9),
            shuffle in any::<u64>(),
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
            payload in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
            millis in proptest::option::of(0..4_000_000_000_000_u64),
        ) {
            let mut list: Vec<_> = headers.into_iter().collect();
            list.sort_by_key(|(name, _)| name.bytes().fold(shuffle, |hash, byte| hash.rotate_left(7) ^ u64::from(byte)));
            let headers: Headers = list.into_iter().map(|(name, value)| (name.into(), value.map(Bytes::from))).collect();
            let message = Message {
                key: key.map(Bytes::from),
                payload: payload.map(Bytes::from),
                headers,
                timestamp: millis.map(|millis| UNIX_EPOCH + Duration::from_millis(millis)),
                ..Message::tombstone("t")
            };
            let mut came = round_trip(&message);
            if message.timestamp.is_none() {
                prop_assert!(came.timestamp.take().is_some());
            }
            prop_assert_eq!(&came.headers, &message.headers);
            prop_assert_eq!(came, message);
        }
    }

    #[test]
    fn what_others_wrote_is_read() {
        let mut table = FieldTable::default();
        for (name, value) in [
            ("cloudEvents_id", AMQPValue::LongString("1".into())),
            ("cloudEvents:type", AMQPValue::ShortString("a".into())),
            ("number", AMQPValue::LongLongInt(-7)),
            ("yes", AMQPValue::Boolean(true)),
            ("none", AMQPValue::Void),
            ("list", AMQPValue::FieldArray(vec![AMQPValue::LongUInt(1), AMQPValue::LongString("x\"".into())].into())),
        ] {
            table.insert(name.into(), value);
        }
        let properties = lapin::BasicProperties::default()
            .with_headers(table)
            .with_content_type("text/plain".into())
            .with_type("old.kind".into())
            .with_message_id("m-1".into())
            .with_timestamp(1_700_000_000);
        let came = read::parts(&"t".into(), &properties, Bytes::from_static(b"p"));
        let get = |name| came.headers.get_str(name);
        assert_eq!((get("ce_id"), get("ce_type"), get("content-type")), (Some("1"), Some("a"), Some("text/plain")));
        assert_eq!((get("number"), get("yes"), get("list")), (Some("-7"), Some("true"), Some(r#"[1,"x\""]"#)));
        assert_eq!(get("amqp-type"), None, "what is said as CloudEvents is not said again");
        assert_eq!(came.timestamp, Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        assert_eq!(came.headers.get_all("none").collect::<Vec<_>>(), [None]);
        assert_eq!((came.key, came.payload), (None, Some(Bytes::from_static(b"p"))));
        let bare = lapin::BasicProperties::default().with_type("old.kind".into()).with_message_id("m-1".into());
        let came = read::parts(&"t".into(), &bare, Bytes::new());
        let get = |name| came.headers.get_str(name);
        assert_eq!((get("amqp-type"), get("amqp-message-id")), (Some("old.kind"), Some("m-1")));
    }

    /// What RabbitMQ writes on a message that has gone through these queues, the last one first.
    fn died(mut table: FieldTable, queues: &[&str]) -> FieldTable {
        let text = |text: &str| AMQPValue::LongString(text.into());
        let death = |queue: &&str| {
            let mut death = FieldTable::default();
            death.insert("queue".into(), text(queue));
            death.insert("count".into(), AMQPValue::LongLongInt(1));
            AMQPValue::FieldTable(death)
        };
        table.insert("x-death".into(), AMQPValue::FieldArray(queues.iter().map(death).collect::<Vec<_>>().into()));
        for (which, queue) in [("first", queues.last()), ("last", queues.first())] {
            for (what, value) in [("queue", *queue.expect("one")), ("exchange", "x"), ("reason", "expired")] {
                table.insert(format!("x-{which}-death-{what}").as_str().into(), text(value));
            }
        }
        table
    }

    #[test]
    fn of_waiting_nothing_is_left_on_a_message() {
        let send = gulo_bus_core::message::SendOptions { deliver_at: Some(UNIX_EPOCH), ..Default::default() };
        let message =
            Message::new("t", "p").header("z", "1").header("x-death", "mine").header("a", "2").header("x-last", "3");
        let message = Message { send: send.into(), ..message };
        let sent = properties(&message, || "gulo-1".into(), true).expect("it fits");
        let table = sent.headers().clone().expect("a table");
        assert!(!table.contains_key("x-death"), "the broker has a list there");
        let waited = died(table, &["gulo.delay-delivery.t", "gulo.delay-level-02"]);
        let came = read::parts(&"t".into(), &sent.with_headers(waited), Bytes::from_static(b"p"));
        assert_eq!(came.headers, message.headers);
    }

    #[test]
    fn what_died_elsewhere_says_so() {
        let came = |queues: &[&str]| {
            let properties = lapin::BasicProperties::default().with_headers(died(FieldTable::default(), queues));
            read::parts(&"t".into(), &properties, Bytes::new()).headers
        };
        let all = came(&["orders"]);
        assert_eq!((all.len(), all.get_str("x-first-death-queue")), (7, Some("orders")));
        let mixed = came(&["orders", "gulo.delay-level-02"]);
        assert_eq!(mixed.get_str("x-death"), Some(r#"[{"count":1,"queue":"orders"}]"#));
        assert_eq!((mixed.len(), mixed.get_str("x-last-death-queue")), (4, Some("orders")));
    }

    #[test]
    fn other_software_finds_what_it_looks_for() {
        let message = Message::new("t", "{}").key("k-7").header("content-type", "application/json");
        let message = message.header("ce_id", "e-1").header("ce_type", "user.registered").header("ce_source", "users");
        let properties = properties(&message, || "gulo-1".into(), true).expect("it fits");
        let text = |property: &Option<ShortString>| property.as_ref().map(|text| text.as_str().to_owned());
        assert_eq!(text(properties.content_type()).as_deref(), Some("application/json"));
        assert_eq!(text(properties.message_id()).as_deref(), Some("e-1"));
        assert_eq!(text(properties.kind()).as_deref(), Some("user.registered"));
        assert_eq!(properties.delivery_mode(), &Some(2));
        let table = properties.headers().as_ref().expect("a table");
        assert!(table.contains_key("cloudEvents_id") && !table.contains_key("ce_id"));
        assert_eq!(routing_key(&message).as_str(), "k-7");
    }

    #[test]
    fn headers_by_which_the_broker_routes_do_not_route() {
        for name in ["CC", "BCC"] {
            let message = Message { timestamp: Some(UNIX_EPOCH), ..Message::new("t", "").header(name, "users") };
            let written = properties(&message, || "gulo-1".into(), true).expect("kept");
            assert!(!written.headers().as_ref().expect("some").contains_key(name));
            assert_eq!(round_trip(&message), message);
        }
    }

    /// A dead letter is a copy of what came, whoever wrote that.
    #[test]
    fn what_others_wrote_in_places_of_ours_can_be_sent_on() {
        let text = |text: &str| AMQPValue::LongString(text.into());
        for (name, value) in [
            ("CC", AMQPValue::FieldArray(vec![text("users")].into())),
            ("gulo-order", AMQPValue::LongLongInt(1)),
            ("gulo-key", AMQPValue::Boolean(true)),
            ("gulo-tombstone", text("no")),
            ("timestamp_in_ms", AMQPValue::LongLongInt(-1)),
            ("cloudEvents:id", text("2")),
            ("ce_id", text("3")),
            ("gulo-kept-CC", text("users")),
            ("gulo-kept-a", text("2")),
        ] {
            let mut table = FieldTable::default();
            for (name, value) in [("cloudEvents_id", text("1")), ("a", text("1")), (name, value)] {
                table.insert(name.into(), value);
            }
            let came = read::parts(&"t".into(), &lapin::BasicProperties::default().with_headers(table), Bytes::new());
            let again = properties(&came, || "gulo-1".into(), true);
            let again = again.unwrap_or_else(|refused| panic!("{name}: {refused}"));
            assert_eq!(read::parts(&"t".into(), &again, Bytes::new()).headers, came.headers, "{name}");
        }
    }

    #[test]
    fn a_life_that_the_broker_cannot_count_is_refused() {
        let living = |expires| {
            let send = gulo_bus_core::message::SendOptions { expires: Some(expires), ..Default::default() };
            properties(&Message { send: send.into(), ..Message::new("t", "") }, || "gulo-1".into(), true)
        };
        assert!(living(Duration::from_millis(u32::MAX.into())).is_ok());
        assert!(living(Duration::from_millis(u64::from(u32::MAX) + 1)).is_err());
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let message = Message::new("t", "").header("x".repeat(256), "1");
        assert!(properties(&message, || "gulo-1".into(), true).is_err());
        let long = Message::new("t", "").key(vec![b'k'; 256]);
        assert_eq!(routing_key(&long).as_str(), "");
        assert_eq!(round_trip(&long).key, long.key);
    }
}
