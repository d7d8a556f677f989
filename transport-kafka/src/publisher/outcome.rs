//! What is known of a message that was not confirmed, and the words for it.

use gulo_bus_core::message::{Message, SendOptions};
use gulo_bus_core::transport::{Capabilities, Capability, Outcome};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::NAME;
use crate::convert;
use crate::diagnosis;
use crate::error::coded;

/// Refuses what never will be taken, before anything else.
pub(super) fn check(can: &Capabilities, message: &Message) -> Result<()> {
    if !message.send.is_empty() {
        check_wishes(can, &message.send)?;
    }
    match can.max_message_bytes {
        Some(limit) if message.size() > limit => Err(too_large(message, limit)),
        _ => convert::check(message),
    }
}

fn check_wishes(can: &Capabilities, wishes: &SendOptions) -> Result<()> {
    let asked = [
        (wishes.deliver_at.is_some(), Capability::DeliverAt),
        (wishes.expires.is_some(), Capability::Expires),
        (wishes.priority.is_some(), Capability::Priority),
    ];
    let mut asked = asked.into_iter().filter(|(asked, _)| *asked);
    asked.try_for_each(|(_, capability)| can.require(NAME, capability))
}

/// Names size and limit.
pub(super) fn too_large(message: &Message, limit: usize) -> Error {
    let (size, topic) = (message.size(), &message.topic);
    let text = format!("a message of {size} bytes for topic `{topic}` is over the limit of {limit} bytes");
    let help =
        "KafkaConfig::max_message_bytes (KAFKA_PRODUCER_MAX_REQUEST_SIZE) sets it; brokers and topics have limits too";
    Error::new(ErrorKind::TooLarge, text).help(help)
}

/// A message that librdkafka took and then reported as failed.
pub(super) fn reported(code: Code) -> Outcome {
    match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => Outcome::Refused,
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => Outcome::Refused,
        code if crate::error::is_refusal(code) => Outcome::Refused,
        // Timed out, purged, connection lost, and all we know nothing about: it may have arrived. What was purged from the
        // queue too: librdkafka counts requests in there that were sent once and wait to be sent again.
        _ => Outcome::Unknown,
    }
}

/// Whether the broker found something too large, which may be the request and not this message: it measures the messages
/// that went together as a whole.
pub(super) fn is_about_size(code: Code) -> bool {
    matches!(code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize)
}

/// A message that was too large together with others: it was not appended, and may be taken alone.
pub(super) fn too_large_together(message: &Message) -> Error {
    let text =
        format!("a message for topic `{}`: the broker refused it together with others, as too large", message.topic);
    Error::new(ErrorKind::TooLarge, text).help("publish fewer at a time, or raise max.message.bytes of the topic")
}

/// A message that librdkafka did not take.
pub(super) fn not_taken(code: Code) -> Outcome {
    match reported(code) {
        Outcome::Unknown => Outcome::NotSent,
        outcome => outcome,
    }
}

/// The error of a failed message. The first cause the client named tells more than "timed out".
pub(super) fn error(message: &Message, code: Code, limit: usize, cause: Option<(Code, String)>) -> Error {
    let what = format!("a message for topic `{}`", message.topic);
    match code {
        // Larger than we allow, or larger than this topic allows: the broker does not say how much that is.
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            let size = message.size();
            let text = format!("{what}: {size} bytes with its framing are over a limit (ours is {limit} bytes)");
            Error::new(ErrorKind::TooLarge, text).help("max.message.bytes of the topic may be lower than ours")
        }
        Code::UnknownPartition if message.send.partition.is_some() => {
            let partition = message.send.partition.unwrap_or_default();
            Error::new(ErrorKind::Missing, format!("{what}: there is no partition {partition}"))
                .help("they count from 0; or name none")
        }
        Code::MessageTimedOut => {
            let error = coded(&what, code, None);
            match cause {
                Some(cause) => timed_out_by(&error.to_string(), &cause),
                None => error,
            }
        }
        code => coded(&what, code, None),
    }
}

/// What took too long, with what librdkafka said meanwhile, and what to do about that.
pub(super) fn timed_out_by(what: &str, (code, said): &(Code, String)) -> Error {
    Error::new(ErrorKind::TimedOut, format!("{what}: {said}")).help(diagnosis::of(*code, said).help)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn outcomes_say_what_is_known() {
        for (code, taken, refused_at_once) in [
            (Code::MessageTimedOut, Outcome::Unknown, Outcome::NotSent),
            (Code::PurgeInflight, Outcome::Unknown, Outcome::NotSent),
            (Code::BrokerTransportFailure, Outcome::Unknown, Outcome::NotSent),
            (Code::PurgeQueue, Outcome::Unknown, Outcome::NotSent),
            (Code::QueueFull, Outcome::Unknown, Outcome::NotSent),
            (Code::MessageSizeTooLarge, Outcome::Refused, Outcome::Refused),
            (Code::UnknownTopicOrPartition, Outcome::Refused, Outcome::Refused),
            (Code::UnknownPartition, Outcome::Refused, Outcome::Refused),
            (Code::TopicAuthorizationFailed, Outcome::Refused, Outcome::Refused),
            (Code::InvalidRecord, Outcome::Refused, Outcome::Refused),
        ] {
            assert_eq!((reported(code), not_taken(code)), (taken, refused_at_once), "{code:?}");
        }
    }

    #[test]
    fn wishes_that_kafka_lacks_are_named() {
        let mut can = crate::transport::CAPABILITIES;
        can.max_message_bytes = Some(10);
        let plain = Message::new("t", "x");
        let mut at = plain.clone();
        at.send.deliver_at = Some(SystemTime::now());
        let mut expires = plain.clone();
        expires.send.expires = Some(Duration::from_secs(1));
        let mut priority = plain.clone();
        priority.send.priority = Some(1);
        for (message, name) in [(at, "deliver_at"), (expires, "expires"), (priority, "priority")] {
            let error = check(&can, &message).unwrap_err();
            assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains(name), "{error}");
        }
        assert!(check(&can, &plain).is_ok());
        let error = check(&can, &Message::new("topic-x", vec![0; 11])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("topic-x") && text.contains("11 bytes") && text.contains("10 bytes"), "{text}");
    }
}
