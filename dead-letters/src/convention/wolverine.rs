//! What Wolverine writes (`DeadLetterQueueConstants.StampFailureMetadata`). Its names have no prefix, so only the
//! three that it always writes together make a letter.

use std::sync::Arc;

use gulo_bus_core::headers::Headers;

use super::Account;
use super::value::{millis, number, offset, words};
use crate::letter::{CameFrom, Failure, Reason};

const TYPE: &str = "exception-type";
const MESSAGE: &str = "exception-message";
const STACK: &str = "exception-stack";
const FAILED_AT: &str = "failed-at";
const DESTINATION: &str = "original-destination";
const PARTITION: &str = "original-partition";
const OFFSET: &str = "original-offset";

pub(super) fn is_one(headers: &Headers) -> bool {
    [TYPE, MESSAGE, FAILED_AT].iter().all(|name| headers.get_all(name).next().is_some())
}

pub(super) fn owns(name: &str) -> bool {
    [TYPE, MESSAGE, STACK, FAILED_AT, DESTINATION, PARTITION, OFFSET].contains(&name)
}

pub(super) fn read(headers: &Headers) -> Account {
    Account {
        origin: CameFrom {
            topic: headers.get_str(DESTINATION).and_then(topic_of),
            partition: number(headers, PARTITION),
            offset: offset(headers, OFFSET),
            published_at: None,
            group: None,
        },
        reason: Reason::Unknown(None),
        failure: Failure {
            class: words(headers, TYPE),
            cause: None,
            message: words(headers, MESSAGE),
            trace: words(headers, STACK),
        },
        last_failed_at: number(headers, FAILED_AT).and_then(millis),
        ..Account::default()
    }
}

/// `orders` of `kafka://topic/orders`, `rabbitmq://queue/orders`. Other addresses name no topic.
fn topic_of(address: &str) -> Option<Arc<str>> {
    let (_, rest) = address.split_once("://")?;
    let (kind, name) = rest.split_once('/')?;
    let plain = !name.is_empty() && !name.contains(['/', '?', '#']);
    (matches!(kind, "topic" | "queue" | "exchange") && plain).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_topic_or_none() {
        let topic = |address| topic_of(address).map(|name| name.to_string());
        assert_eq!(topic("kafka://topic/orders.eu"), Some("orders.eu".into()));
        assert_eq!(topic("rabbitmq://queue/orders"), Some("orders".into()));
        for other in ["orders", "kafka://topic/", "kafka://topic/a/b", "kafka://topics/a", "tcp://localhost:2112", ""] {
            assert_eq!(topic(other), None, "{other}");
        }
    }
}
