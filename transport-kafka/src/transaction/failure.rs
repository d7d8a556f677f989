//! What went wrong with a step of a transaction, and what is left to do.

use gulo_bus_core::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::config::Secrets;
use crate::error::coded;

/// librdkafka sorts these errors itself. What it calls neither retriable nor abortable is the end of the producer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) said: String,
    /// The same call may be made again.
    pub(crate) retriable: bool,
    /// The transaction must be taken back; the producer goes on.
    pub(crate) aborts: bool,
}

impl Failure {
    pub(crate) fn of(error: &KafkaError) -> Self {
        match error {
            KafkaError::Transaction(error) => Self {
                code: error.code(),
                said: error.string(),
                retriable: error.is_retriable(),
                aborts: error.txn_requires_abort(),
            },
            other => {
                let code = other.rdkafka_error_code().unwrap_or(Code::Fail);
                Self { code, said: other.to_string(), retriable: false, aborts: false }
            }
        }
    }

    /// `what` failed like this; `cause` is why the broker cannot be reached, where that is so.
    pub(crate) fn error(&self, what: &str, secrets: &Secrets, cause: Option<String>) -> Error {
        let said = secrets.scrub(&self.said);
        match self.code {
            Code::Fenced | Code::InvalidProducerEpoch | Code::ProducerFenced | Code::InvalidProducerIdMapping => {
                // librdkafka says the same where the broker took back what took too long.
                let help = "another owner of this transactional.id has taken over, or it took longer than transaction.timeout.ms; open a new one";
                Error::new(ErrorKind::Refused, format!("{what}: {said}")).help(help)
            }
            Code::OperationTimedOut | Code::WaitingForCoordinator => {
                let text = match cause {
                    Some(cause) => format!("{what}: {said}: {cause}"),
                    None => format!("{what}: {said}"),
                };
                Error::new(ErrorKind::TimedOut, text).help("the broker did not answer in time: is it busy, or cut off?")
            }
            code => coded(what, code, Some(&said)),
        }
    }
}
