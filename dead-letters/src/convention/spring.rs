//! What Spring Kafka writes: `DeadLetterPublishingRecoverer`, with the names of its dead-letter topics and, where the
//! message came through retry topics, those of these.

use gulo_bus_core::headers::Headers;

use super::Account;
use super::value::{int, long, millis, name, words};
use crate::letter::{CameFrom, Failure, Reason};

const ORIGINAL: [&str; 2] = ["kafka_dlt-original-", "kafka_original-"];
/// Of the value or the handler first: only a key that could not be read is told in the others alone.
const EXCEPTION: [&str; 4] =
    ["kafka_dlt-exception-", "kafka_exception-", "kafka_dlt-key-exception-", "kafka_key-exception-"];
const RETRY: &str = "retry_topic-";
const ATTEMPTS: &str = "retry_topic-attempts";

/// Whether the header makes a message one of Spring's letters.
pub(super) fn tells(name: &str) -> bool {
    ORIGINAL.iter().chain(&EXCEPTION).any(|prefix| name.starts_with(prefix))
}

pub(super) fn owns(name: &str) -> bool {
    tells(name) || name.starts_with(RETRY)
}

pub(super) fn read(headers: &Headers) -> Account {
    let failure = Failure {
        class: exception(headers, "fqcn"),
        cause: exception(headers, "cause-fqcn"),
        message: exception(headers, "message"),
        trace: exception(headers, "stacktrace"),
    };
    Account {
        origin: CameFrom {
            topic: original(headers, "topic", name),
            partition: original(headers, "partition", int).and_then(|partition| partition.try_into().ok()),
            offset: original(headers, "offset", long),
            published_at: original(headers, "timestamp", long).and_then(millis),
            group: original(headers, "consumer-group", name),
        },
        reason: reason(&failure),
        failure,
        attempts: attempts(headers),
        ..Account::default()
    }
}

fn original<T>(headers: &Headers, what: &str, read: impl Fn(&Headers, &str) -> Option<T>) -> Option<T> {
    ORIGINAL.iter().find_map(|prefix| read(headers, &format!("{prefix}{what}")))
}

fn exception(headers: &Headers, what: &str) -> Option<String> {
    EXCEPTION.iter().find_map(|prefix| words(headers, &format!("{prefix}{what}")))
}

/// It does not say why, but an exception of the deserializer says it.
fn reason(failure: &Failure) -> Reason {
    let undecodable = |class: &String| class.ends_with(".DeserializationException");
    match failure.class.iter().chain(&failure.cause).any(undecodable) {
        true => Reason::Undecodable,
        false => Reason::Unknown(None),
    }
}

/// The header counts the next attempt, that is one more than there have been. One byte in old versions.
fn attempts(headers: &Headers) -> Option<u32> {
    let next = match headers.get(ATTEMPTS)? {
        [one] => i32::from(i8::from_be_bytes([*one])),
        _ => int(headers, ATTEMPTS)?,
    };
    u32::try_from(next).ok()?.checked_sub(1)
}
