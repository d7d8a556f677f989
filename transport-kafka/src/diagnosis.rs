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
const NO_TLS_THERE: Diagnosis = lasting(
    ErrorKind::Config,
    "the listener does not speak TLS: name its TLS port, or set security.protocol (KAFKA_SECURITY_PROTOCOL) to PLAINTEXT",
);
const NO_TLS_THERE_BUT_A_LOGIN: Diagnosis = lasting(
    ErrorKind::Config,
    "the listener does not speak TLS: name its TLS port, or set security.protocol (KAFKA_SECURITY_PROTOCOL) to SASL_PLAINTEXT",
);
const NO_CLIENT_CERTIFICATE: Diagnosis = lasting(
    ErrorKind::Refused,
    "the broker wants a client certificate that it trusts: ssl.certificate.location and ssl.key.location (KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE)",
);
const NOT_TRUSTED: Diagnosis = lasting(
    ErrorKind::Unavailable,
    "ssl.ca.location (KAFKA_SSL_CAFILE) names the CAs to trust; the broker needs a valid certificate of one of them, for the host that is connected to",
);
const EXPIRED: Diagnosis = lasting(
    ErrorKind::Unavailable,
    "it has to be renewed on the broker: no setting here mends it; or is the clock of this machine wrong?",
);
const TOO_NEW: Diagnosis = lasting(ErrorKind::Unavailable, "is the clock of this machine right, and that of its CA's?");
const FOREIGN_CA: Diagnosis = lasting(
    ErrorKind::Unavailable,
    "set ssl.ca.location (KAFKA_SSL_CAFILE) to a PEM file with the CA that made it; where that is the right one already, the broker does not send a CA between them",
);
const ANOTHER_HOST: Diagnosis = lasting(
    ErrorKind::Unavailable,
    "connect to a name that it is for (KAFKA_BOOTSTRAP_SERVERS, and advertised.listeners of the broker), or have it made for this one too",
);
const NO_SUCH_MECHANISM: Diagnosis =
    lasting(ErrorKind::Refused, "set sasl.mechanism (KAFKA_SASL_MECHANISM) to one that the broker offers");
const NO_LOGIN: Diagnosis = lasting(
    ErrorKind::Refused,
    "check sasl.mechanism, sasl.username and sasl.password (KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD)",
);
const NO_SUCH_TOKEN: Diagnosis = lasting(
    ErrorKind::Refused,
    "the broker does not take the token of KafkaConfig::token_provider: it has to be of an issuer that the broker trusts, for its audience and scope, and valid by its clock",
);
const NO_TOKEN_MADE: Diagnosis =
    lasting(ErrorKind::Refused, "librdkafka makes the tokens itself here, of sasl.oauthbearer.config: check that");
const NO_LOGIN_THERE: Diagnosis = lasting(
    ErrorKind::Config,
    "the listener wants no login: name its port with one, or set security.protocol (KAFKA_SECURITY_PROTOCOL) to PLAINTEXT",
);
const NO_LOGIN_THERE_BUT_TLS: Diagnosis = lasting(
    ErrorKind::Config,
    "the listener wants no login: name its port with one, or set security.protocol (KAFKA_SECURITY_PROTOCOL) to SSL",
);
const TLS: Diagnosis = lasting(ErrorKind::Unavailable, "check security.protocol and the ssl properties");
const MAYBE_OTHERWISE: Diagnosis =
    passing("does the listener want TLS, or a login (security.protocol)? is it running? set KAFKA_BOOTSTRAP_SERVERS");
/// librdkafka says the same where a connection ends in the middle of a handshake, as one does to a broker that restarts.
const MAYBE_NO_TLS: Diagnosis =
    passing("does the listener speak TLS (security.protocol)? is it running? set KAFKA_BOOTSTRAP_SERVERS");
const NO_SUCH_HOST: Diagnosis = passing("is the name right? set KAFKA_BOOTSTRAP_SERVERS");
const AWAY: Diagnosis = passing(IS_IT_RUNNING);

/// Of what librdkafka said with this code.
pub(crate) fn of(code: Code, said: &str) -> Diagnosis {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match code {
        _ if certificate::is_refused(said) => of_certificate(said),
        _ if says(&[certificate::PLAIN]) && says(&["sasl_ssl://"]) => NO_TLS_THERE_BUT_A_LOGIN,
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
        // It takes requests without one, and so calls this one out of place.
        Code::Authentication if says(&["Request not valid in current SASL state"]) => match says(&["sasl_ssl://"]) {
            true => NO_LOGIN_THERE_BUT_TLS,
            false => NO_LOGIN_THERE,
        },
        // A broker that went away in the middle of a login has refused nothing.
        Code::Authentication if says(&["Local: Broker transport failure", "Local: Timed out"]) => AWAY,
        Code::Authentication if says(&["acquire SASL OAUTHBEARER token"]) => NO_TOKEN_MADE,
        // What RFC 7628 has brokers say of a token.
        Code::Authentication | Code::SaslAuthenticationFailed
            if says(&["\"status\":", "invalid_token", "SASL mechanism OAUTHBEARER"]) =>
        {
            NO_SUCH_TOKEN
        }
        Code::Authentication | Code::SaslAuthenticationFailed => NO_LOGIN,
        Code::SSL => TLS,
        Code::AllBrokersDown => MAYBE_OTHERWISE,
        Code::Resolve => NO_SUCH_HOST,
        _ => AWAY,
    }
}

/// Of what is wrong with a broker's certificate.
pub(crate) fn of_certificate(complaint: &str) -> Diagnosis {
    let known = [
        // First: it has a path behind it, which may be of any words.
        (certificate::FOREIGN, FOREIGN_CA),
        (certificate::EXPIRED, EXPIRED),
        (certificate::TOO_NEW, TOO_NEW),
        (certificate::ELSEWHERE, ANOTHER_HOST),
    ];
    known.iter().find(|(words, _)| complaint.contains(words)).map_or(NOT_TRUSTED, |(_, diagnosis)| *diagnosis)
}

/// Whether a broker may have hung up because it wants TLS, none, or a login: librdkafka does not know.
pub(crate) fn is_hung_up(code: Code, said: &str) -> bool {
    let ended = ["Disconnected", "Broken pipe", "Connection reset by peer"];
    code == Code::AllBrokersDown || of(code, said).passes && ended.iter().any(|words| said.contains(words))
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
        let token = "sasl_ssl://h:1/bootstrap: SASL authentication error: {\"status\":\"invalid_token\"} (after 309ms in state AUTH_REQ)";
        let made = "sasl_ssl://h:1/bootstrap: SASL authentication error: Failed to acquire SASL OAUTHBEARER token: ***";
        let no_login = |protocol| {
            format!(
                "{protocol}://h:1/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (after 1ms in state AUTH_HANDSHAKE)"
            )
        };
        for (code, said, expected) in [
            (Code::Authentication, token, NO_SUCH_TOKEN),
            (Code::Authentication, made, NO_TOKEN_MADE),
            (Code::Authentication, &no_login("sasl_ssl"), NO_LOGIN_THERE_BUT_TLS),
            (Code::Authentication, &no_login("sasl_plaintext"), NO_LOGIN_THERE),
            (Code::BrokerTransportFailure, "ssl://h:1/bootstrap: the listener answers without TLS", NO_TLS_THERE),
            (
                Code::BrokerTransportFailure,
                "sasl_ssl://h:1/bootstrap: the listener answers without TLS",
                NO_TLS_THERE_BUT_A_LOGIN,
            ),
            (Code::Authentication, refused, NO_LOGIN),
            (Code::Authentication, mechanism, NO_SUCH_MECHANISM),
            (Code::Authentication, left, AWAY),
            (Code::SSL, foreign, NOT_TRUSTED),
            (Code::BrokerTransportFailure, foreign, NOT_TRUSTED),
            (Code::BrokerTransportFailure, plain, MAYBE_NO_TLS),
            (Code::BrokerTransportFailure, client, NO_CLIENT_CERTIFICATE),
            (Code::BrokerTransportFailure, "h:1: Connect to ipv4#127.0.0.1:1 failed: Connection refused", AWAY),
            (Code::AllBrokersDown, "1/1 brokers are down", MAYBE_OTHERWISE),
            (Code::Resolve, "Failed to resolve 'h:1': Name or service not known", NO_SUCH_HOST),
        ] {
            assert_eq!(of(code, said), expected, "{said}");
        }
    }

    /// In our words, as they stand in the status, and behind "cannot be trusted" at the start.
    #[test]
    fn each_fault_of_a_certificate_has_its_own_help() {
        for (complaint, expected) in [
            ("its certificate has expired: Jan  2 00:00:00 2020 GMT", EXPIRED),
            ("a CA of its certificate has expired: Jan  2 00:00:00 2020 GMT", EXPIRED),
            ("its certificate is not valid yet", TOO_NEW),
            ("its certificate is of no CA in the system's store", FOREIGN_CA),
            ("its certificate is of no CA in /what has expired/not for us.pem", FOREIGN_CA),
            ("its certificate is for elsewhere.test, not for 127.0.0.1", ANOTHER_HOST),
            ("its certificate is not for 127.0.0.1", ANOTHER_HOST),
            ("its certificate was revoked", NOT_TRUSTED),
        ] {
            assert_eq!(of_certificate(complaint), expected, "{complaint}");
            let said = format!("ssl://h:1/bootstrap: certificate verify failed: {complaint}");
            assert_eq!(of(Code::SSL, &said), expected, "{said}");
        }
    }

    #[test]
    fn who_hangs_up_may_want_something_else_and_who_is_not_there_wants_nothing() {
        for (code, said, expected) in [
            (Code::AllBrokersDown, "1/1 brokers are down", true),
            (Code::BrokerTransportFailure, "h:1/bootstrap: Send failed: Broken pipe (after 0ms in state UP)", true),
            (Code::BrokerTransportFailure, "h:1/bootstrap: Disconnected (after 1ms in state UP)", true),
            (Code::BrokerTransportFailure, "h:1: Connect to ipv4#127.0.0.1:1 failed: Connection refused", false),
            (Code::Authentication, "h:1: SASL authentication error: Authentication failed", false),
            (Code::SSL, "ssl://h:1: certificate verify failed", false),
        ] {
            assert_eq!(is_hung_up(code, said), expected, "{said}");
        }
    }
}
