//! librdkafka's errors in ours: what kind, with what to do.

use gulo_bus_core::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::config::Secrets;
use crate::diagnosis;

/// What to do where no broker answers.
pub(crate) const IS_IT_RUNNING: &str = "is it running? set KAFKA_BOOTSTRAP_SERVERS";

/// The kind of a code.
pub(crate) fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => ErrorKind::TooLarge,
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => ErrorKind::Missing,
        Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => {
            ErrorKind::TimedOut
        }
        Code::InvalidArgument | Code::InvalidConfig | Code::NotConfigured => ErrorKind::Config,
        code if is_refusal(code) => ErrorKind::Refused,
        code if is_connection(code) || is_passing(code) => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

/// Rights, credentials, and what the broker will not take whoever asks.
pub(crate) fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::InvalidTopic
            | Code::InvalidMessage
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::PolicyViolation
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::GroupMaxSizeReached
            | Code::FencedInstanceId
    )
}

/// About the connection itself.
pub(crate) fn is_connection(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::Resolve
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::SSL
    )
}

fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::NetworkException
            | Code::BrokerNotAvailable
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::WaitingForCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::PurgeQueue
            | Code::PurgeInflight
            | Code::QueueFull
            | Code::IllegalGeneration
            | Code::RebalanceInProgress
    )
}

fn help_for(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => "the broker's ACLs do not allow it",
        Code::UnknownTopicOrPartition | Code::UnknownTopic => "create what is missing with `ensure`",
        Code::InvalidReplicationFactor => "there are no more replicas than brokers: say fewer, or nothing of them",
        Code::InvalidPartitions => "a topic has at least 1: say more, or nothing of them",
        Code::InvalidConfig => "settings of topics are in the broker's words, as `retention.ms`",
        Code::PolicyViolation => "the broker has a policy of its own: ask who runs it",
        Code::InvalidGroupId => "give the group another name",
        Code::GroupMaxSizeReached => "the group has as many members as the broker allows: group.max.size",
        Code::FencedInstanceId => "another member has this group.instance.id: each needs its own",
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            "fewer replicas are in sync than min.insync.replicas of the topic asks for"
        }
        Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => {
            "the broker did not answer in time: is it busy, or cut off?"
        }
        _ => return None,
    })
}

/// What happened, to what, by its code; `said` is what librdkafka said beside it, where it did.
pub(crate) fn coded(what: &str, code: Code, said: Option<&str>) -> Error {
    let text = match said.filter(|said| !said.is_empty()) {
        Some(said) => format!("{what}: {said}"),
        None => format!("{what}: {}", plain(code)),
    };
    if is_connection(code) {
        return diagnosis::of(code, said.unwrap_or_default()).error(text);
    }
    let error = Error::new(kind_of(code), text);
    match help_for(code) {
        Some(help) => error.help(help),
        None => error,
    }
}

/// librdkafka's words for a code, without its name.
pub(crate) fn plain(code: Code) -> String {
    let text = code.to_string();
    match text.split_once(" (") {
        Some((_, words)) => words.trim_end_matches(')').to_owned(),
        None => text,
    }
}

/// An error of a call. Those about the configuration quote values, so they are told without.
pub(crate) fn of_call(what: &str, error: &KafkaError, secrets: &Secrets) -> Error {
    match error {
        KafkaError::ClientConfig(_, said, name, _) => {
            let said = match crate::config::is_harmless(name) || said.starts_with("No such") {
                true => secrets.scrub(said).into_owned(),
                false => "its value is not valid".to_owned(),
            };
            Error::new(ErrorKind::Config, format!("the Kafka property `{name}`: {said}"))
        }
        KafkaError::ClientCreation(said) => {
            let said = secrets.scrub(said);
            Error::new(ErrorKind::Config, format!("Kafka's client was not made: {said}"))
        }
        KafkaError::Nul(_) => Error::new(ErrorKind::Config, format!("{what}: a name contains a NUL"))
            .help("take it out: no name on Kafka has one"),
        KafkaError::AdminOpCreation(said) => Error::new(ErrorKind::Config, format!("{what}: {}", secrets.scrub(said))),
        other => match other.rdkafka_error_code() {
            Some(code) => coded(what, code, None),
            None => Error::new(ErrorKind::Other, format!("{what}: {}", secrets.scrub(&other.to_string()))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_kind_and_help() {
        let error = coded("topic `t`", Code::UnknownTopicOrPartition, None);
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert!(error.to_string().contains("`ensure`"), "{error}");
        assert_eq!(kind_of(Code::BrokerTransportFailure), ErrorKind::Unavailable);
        assert_eq!(kind_of(Code::Authentication), ErrorKind::Refused);
        assert_eq!(kind_of(Code::MessageSizeTooLarge), ErrorKind::TooLarge);
        assert_eq!(kind_of(Code::MessageTimedOut), ErrorKind::TimedOut);
    }

    /// The same words and the same help wherever a connection fails: at the start, in a source, of a message.
    #[test]
    fn what_is_wrong_with_a_connection_is_told_by_what_was_said() {
        let foreign = "ssl://h:1/bootstrap: SSL handshake failed: certificate verify failed";
        let error = coded("no Kafka broker", Code::BrokerTransportFailure, Some(foreign));
        assert!(error.to_string().contains("ssl.ca.location"), "{error}");
        let error = coded("no Kafka broker", Code::Authentication, Some("wrong"));
        assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("sasl.password"), "{error}");
        assert!(!coded("x", Code::GroupAuthorizationFailed, None).to_string().contains("sasl"), "a right is no login");
    }

    #[test]
    fn words_come_without_the_name_of_the_code() {
        assert_eq!(plain(Code::MessageTimedOut), "Local: Message timed out");
    }

    #[test]
    fn an_error_about_a_secret_property_does_not_quote_it() {
        use rdkafka::ClientConfig;
        use rdkafka::producer::{BaseProducer, DefaultProducerContext};
        let config = crate::KafkaConfig::new("b").property("enable.random.seed", "hunter2-hunter2");
        let made: Result<BaseProducer<DefaultProducerContext>, _> = ClientConfig::create(&config.admin());
        let error = of_call("x", &made.err().unwrap(), &config.secrets());
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = format!("{error} {error:?}");
        assert!(text.contains("enable.random.seed") && !text.contains("hunter2"), "{text}");
    }
}
