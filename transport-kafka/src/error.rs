//! What librdkafka says, in our words.

use gulo_bus_core::transport::Outcome;
use gulo_bus_core::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// An error about making or configuring a client. The client library puts the value into its text, which may be a secret
/// under a mistyped name, so only the name and the problem are kept.
pub(crate) fn of_client(error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, problem, name, _) => {
            // "No such configuration property: "x"" quotes the name only; other texts quote the value.
            let problem = if problem.starts_with("No such") {
                "there is no such property"
            } else {
                "the value is not allowed"
            };
            Error::new(
                ErrorKind::Config,
                format!("Kafka property `{name}`: {problem}"),
            )
            .help("see librdkafka's CONFIGURATION.md")
        }
        other => Error::new(
            ErrorKind::Config,
            format!("the Kafka client cannot be made: {other}"),
        ),
    }
}

/// An error out of a running client, about `what`.
pub(crate) fn of_operation(what: &str, error: &KafkaError) -> Error {
    let code = error.rdkafka_error_code();
    Error::new(
        code.map_or(ErrorKind::Other, kind),
        format!("{what}: {}", text(error)),
    )
}

fn text(error: &KafkaError) -> String {
    error
        .rdkafka_error_code()
        .map_or_else(|| error.to_string(), |code| code.to_string())
}

pub(crate) fn kind(code: RDKafkaErrorCode) -> ErrorKind {
    use RDKafkaErrorCode as Code;
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            ErrorKind::Missing
        }
        Code::MessageSizeTooLarge => ErrorKind::TooLarge,
        Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut => {
            ErrorKind::TimedOut
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve => {
            ErrorKind::Unavailable
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::InvalidTopic
        | Code::InvalidRecord
        | Code::Authentication
        | Code::SaslAuthenticationFailed => ErrorKind::Refused,
        _ => ErrorKind::Other,
    }
}

/// What is known of a message whose delivery failed with `code`.
pub(crate) fn outcome(code: RDKafkaErrorCode) -> Outcome {
    use RDKafkaErrorCode as Code;
    match code {
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::MessageSizeTooLarge
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::InvalidTopic
        | Code::InvalidRecord
        | Code::InvalidMessage
        | Code::InvalidTimestamp
        | Code::PolicyViolation => Outcome::Refused,
        Code::PurgeQueue | Code::QueueFull => Outcome::NotSent,
        // The client does not say whether a message that timed out had left: it may have arrived.
        _ => Outcome::Unknown,
    }
}

/// Why a message for `topic` was not confirmed.
pub(crate) fn of_delivery(topic: &str, code: RDKafkaErrorCode) -> Error {
    let error = Error::new(kind(code), format!("topic `{topic}`: {code}"));
    match kind(code) {
        ErrorKind::Missing => error.help("create it, or name it with `Bus::builder(..).topic(..)`"),
        ErrorKind::TimedOut => error.help("is the broker there? it may have arrived"),
        _ => error,
    }
}
