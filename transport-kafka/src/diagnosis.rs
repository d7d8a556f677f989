//! What librdkafka says of a connection, and what to do about it. Its codes say little and its words much: the same code stands
//! for a broker that is restarting and for one that never will talk to us.

use gulo_bus_core::{Error, ErrorKind};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::certificate;
use crate::error::IS_IT_RUNNING;

/// What is known of a failure to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    kind: ErrorKind,
    /// What to do.
    pub(crate) help: &'static str,
    /// Whether waiting mends it. librdkafka would try for ever in any case.
    pub(crate) passes: bool,
}

const fn lasting(kind: ErrorKind, help: &'static str) -> Diagnosis {
    Diagnosis { kind, help, passes: false }
}

const fn passing(help: &'static str) -> Diagnosis {
    Diagnosis { kind: ErrorKind::Unavailable, help, passes: true }
}

/// What is known for sure only when the listener has answered without TLS.
pub(crate) const NO_TLS_THERE: Diagnosis = lasting(
    ErrorKind::Config,
    "the listener does not speak TLS: name its TLS port, or set security.protocol to PLAINTEXT or SASL_PLAINTEXT",
);
const NO_CLIENT_CERTIFICATE: Diagnosis = lasting(
    ErrorKind::Refused,
    "the broker wants a client certificate that it trusts: ssl.certificate.location and ssl.key.location (KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE)",
);
const NOT_TRUSTED: Diagnosis = lasting(
    ErrorKind::Unavailable,
    "ssl.ca.location (KAFKA_SSL_CAFILE) names the CAs to trust; the broker needs a valid certificate of one of them, for the host that is connected to",
);
const NO_SUCH_MECHANISM: Diagnosis =
    lasting(ErrorKind::Refused, "set sasl.mechanism (KAFKA_SASL_MECHANISM) to one that the broker offers");
const NO_LOGIN: Diagnosis = lasting(
    ErrorKind::Refused,
    "check sasl.mechanism, sasl.username and sasl.password (KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD)",
);
const TLS: Diagnosis = lasting(ErrorKind::Unavailable, "check security.protocol and the ssl properties");
const MAYBE_TLS: Diagnosis =
    passing("does the listener want TLS (security.protocol)? is it running? set KAFKA_BOOTSTRAP_SERVERS");
/// librdkafka says the same where a connection ends in the middle of a handshake, as one does to a broker that restarts.
const MAYBE_NO_TLS: Diagnosis =
    passing("does the listener speak TLS (security.protocol)? is it running? set KAFKA_BOOTSTRAP_SERVERS");
const NO_SUCH_HOST: Diagnosis = passing("is the name right? set KAFKA_BOOTSTRAP_SERVERS");
const AWAY: Diagnosis = passing(IS_IT_RUNNING);

/// Of what librdkafka said with this code.
pub(crate) fn of(code: Code, said: &str) -> Diagnosis {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match code {
        _ if certificate::is_refused(said) => NOT_TRUSTED,
        _ if says(&[certificate::PLAIN]) => NO_TLS_THERE,
        _ if says(&["PLAINTEXT broker listener", "SSL handshake failed: Disconnected"]) => MAYBE_NO_TLS,
        // What OpenSSL calls the alerts of a server that is not content with our certificate.
        _ if says(&[
            "alert bad certificate",
            "alert certificate required",
            "alert unknown ca",
            "alert certificate unknown",
        ]) =>
        {
            NO_CLIENT_CERTIFICATE
        }
        Code::UnsupportedSASLMechanism => NO_SUCH_MECHANISM,
        _ if says(&["Unsupported SASL mechanism"]) => NO_SUCH_MECHANISM,
        // A broker that went away in the middle of a login has refused nothing.
        Code::Authentication if says(&["Local: Broker transport failure", "Local: Timed out"]) => AWAY,
        Code::Authentication | Code::SaslAuthenticationFailed => NO_LOGIN,
        Code::SSL => TLS,
        Code::AllBrokersDown => MAYBE_TLS,
        Code::Resolve => NO_SUCH_HOST,
        _ => AWAY,
    }
}

impl Diagnosis {
    /// Whether it is librdkafka's guess, which may pass.
    pub(crate) fn is_guess(self) -> bool {
        self == MAYBE_NO_TLS
    }

    pub(crate) fn error(self, text: String) -> Error {
        Error::new(self.kind, text).help(self.help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As librdkafka 2.12.1 says it.
    #[test]
    fn words_say_what_codes_do_not() {
        let refused =
            "sasl_ssl://h:1/bootstrap: SASL authentication error: Authentication failed: Invalid username or password";
        let mechanism = "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512";
        let left = "sasl_ssl://h:1/bootstrap: SASL PLAIN mechanism handshake failed: Local: Broker transport failure: broker's supported mechanisms: n/a";
        let foreign = "ssl://h:1/bootstrap: error:0A000086:SSL routines::certificate verify failed";
        let plain = "ssl://h:1/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener?";
        let client = "ssl://h:1/bootstrap: Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42";
        for (code, said, expected) in [
            (Code::Authentication, refused, NO_LOGIN),
            (Code::Authentication, mechanism, NO_SUCH_MECHANISM),
            (Code::Authentication, left, AWAY),
            (Code::SSL, foreign, NOT_TRUSTED),
            (Code::BrokerTransportFailure, foreign, NOT_TRUSTED),
            (Code::BrokerTransportFailure, plain, MAYBE_NO_TLS),
            (Code::BrokerTransportFailure, client, NO_CLIENT_CERTIFICATE),
            (Code::BrokerTransportFailure, "h:1: Connect to ipv4#127.0.0.1:1 failed: Connection refused", AWAY),
            (Code::AllBrokersDown, "1/1 brokers are down", MAYBE_TLS),
            (Code::Resolve, "Failed to resolve 'h:1': Name or service not known", NO_SUCH_HOST),
        ] {
            assert_eq!(of(code, said), expected, "{said}");
        }
    }
}
