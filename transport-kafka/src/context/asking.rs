//! The client that only asks, and what it hears of brokers that do not answer.

use std::collections::BTreeSet;
use std::sync::Mutex;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::Notify;

use super::{Observer, Weight, lock};

/// The context of a client that only asks: for metadata, or to make topics.
#[derive(Debug)]
pub(crate) struct Asking {
    observer: Observer,
    causes: Mutex<Causes>,
    /// Told at every error.
    pub(crate) heard: Notify,
}

impl Asking {
    pub(crate) fn new(observer: Observer) -> Self {
        Self { observer, causes: Mutex::default(), heard: Notify::new() }
    }

    /// The cause this very client has named that tells most, the first of several.
    pub(crate) fn cause(&self) -> Option<(Code, String)> {
        lock(&self.causes).most_telling.clone()
    }

    /// How many brokers have failed in a way that waiting does not mend.
    pub(crate) fn lost_brokers(&self) -> usize {
        lock(&self.causes).lost.len()
    }

    /// A broker has answered: what was said of others before is over.
    pub(crate) fn forget_causes(&self) {
        *lock(&self.causes) = Causes::default();
    }
}

/// What was said of brokers that do not answer.
#[derive(Debug, Default)]
struct Causes {
    most_telling: Option<(Code, String)>,
    /// Those that waiting does not mend, by what librdkafka calls them.
    lost: BTreeSet<String>,
}

impl Causes {
    fn hear(&mut self, code: Code, said: String) {
        let weight = Weight::of(code, &said);
        if weight == Weight::Lasts {
            let broker = said.split(": ").next().unwrap_or_default();
            self.lost.insert(broker.to_owned());
        }
        if self.most_telling.as_ref().is_none_or(|(code, said)| Weight::of(*code, said) < weight) {
            self.most_telling = Some((code, said));
        }
    }
}

impl ClientContext for Asking {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.observer.log(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let (code, said) = self.observer.error(&error, reason);
        lock(&self.causes).hear(code, said);
        self.heard.notify_one();
    }

    fn stats_raw(&self, _statistics: &[u8]) {}
}

impl ConsumerContext for Asking {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Secrets;

    /// As librdkafka says it to TLS on a listener without: at times only the third try has the reason in it.
    #[test]
    fn a_cause_that_lasts_is_seen_behind_one_that_passes() {
        let observer = Observer::new(Arc::default(), Secrets::default());
        let asking = Asking::new(observer);
        let closed =
            "ssl://h:1/bootstrap: Disconnected: SSL connection closed by peer (after 1ms in state SSL_HANDSHAKE)";
        let no_tls = "ssl://h:1/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener?";
        for (code, said, known) in [
            (Code::AllBrokersDown, "0/1 brokers are down", "0/1 brokers are down"),
            (Code::BrokerTransportFailure, closed, closed),
            (Code::AllBrokersDown, "1/1 brokers are down", closed),
            (Code::BrokerTransportFailure, no_tls, no_tls),
            (Code::BrokerTransportFailure, closed, no_tls),
        ] {
            asking.error(KafkaError::Global(code), said);
            assert_eq!(asking.cause().map(|(_, said)| said).as_deref(), Some(known));
        }
    }

    #[test]
    fn brokers_that_are_lost_are_counted_and_the_most_telling_cause_is_kept() {
        let mut causes = Causes::default();
        causes.hear(Code::BrokerTransportFailure, "ssl://a:1/bootstrap: Connection refused".into());
        causes.hear(Code::SSL, "ssl://b:1/bootstrap: SSL handshake failed: certificate verify failed".into());
        causes.hear(Code::SSL, "ssl://b:1/bootstrap: SSL handshake failed: certificate verify failed: again".into());
        causes.hear(Code::AllBrokersDown, "2/2 brokers are down".into());
        assert_eq!(causes.lost.len(), 1);
        assert_eq!(causes.most_telling.unwrap().0, Code::SSL);
    }
}
