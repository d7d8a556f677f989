//! What librdkafka tells us unasked: its log, its errors, and so how the connections are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use gulo_bus_core::transport::Status;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::Notify;

use crate::config::Secrets;
use crate::diagnosis;
use crate::error::is_connection;

/// Locks, whatever a thread that held it did: the states behind our locks are whole after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the connections are, as all clients of a transport last heard.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Option<Trouble>>);

#[derive(Debug)]
struct Trouble {
    since: SystemTime,
    weight: Weight,
    code: Code,
    reason: String,
}

/// How much a cause tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// "All brokers down" follows every cause.
    Nothing,
    /// A broker that is restarting, say.
    Passes,
    /// A password that is wrong stays so; when connections have to be made anew, their end is heard of first.
    Lasts,
    Ours,
}

impl Weight {
    fn of(code: Code, reason: &str) -> Self {
        match code {
            Code::AllBrokersDown => Self::Nothing,
            _ if diagnosis::of(code, reason).passes => Self::Passes,
            _ => Self::Lasts,
        }
    }
}

impl Health {
    /// Keeps the first cause, unless another one tells more.
    fn bad(&self, code: Code, reason: &str) {
        self.set(Weight::of(code, reason), code, reason);
    }

    /// There is no token to log in with: whatever librdkafka says besides follows from that.
    pub(crate) fn no_token(&self, reason: &str) {
        self.set(Weight::Ours, Code::Authentication, reason);
    }

    fn set(&self, weight: Weight, code: Code, reason: &str) {
        let mut trouble = lock(&self.0);
        let known = trouble.as_ref();
        if known.is_none_or(|known| known.weight < weight) {
            let since = known.map_or_else(SystemTime::now, |known| known.since);
            *trouble = Some(Trouble { since, weight, code, reason: reason.to_owned() });
        }
    }

    /// A broker has answered just now.
    pub(crate) fn good(&self) {
        lock(&self.0).take();
    }

    pub(crate) fn is_down(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// The first cause, where something is wrong.
    pub(crate) fn cause(&self) -> Option<(Code, String)> {
        lock(&self.0).as_ref().map(|trouble| (trouble.code, trouble.reason.clone()))
    }

    pub(crate) fn status(&self) -> Status {
        match &*lock(&self.0) {
            None => Status::Up,
            Some(trouble) => Status::Down { since: trouble.since, reason: trouble.reason.clone() },
        }
    }
}

/// What the contexts of all our clients have in common.
#[derive(Debug, Clone)]
pub(crate) struct Observer {
    pub(crate) health: Arc<Health>,
    secrets: Secrets,
}

impl Observer {
    pub(crate) fn new(health: Arc<Health>, secrets: Secrets) -> Self {
        Self { health, secrets }
    }

    /// The code and the text, which rdkafka gives only here.
    pub(crate) fn error(&self, error: &KafkaError, reason: &str) -> (Code, String) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        let reason = self.secrets.scrub(reason).into_owned();
        tracing::debug!(target: "gulo_transport_kafka::client", ?code, "{reason}");
        if is_connection(code) {
            self.health.bad(code, &reason);
        }
        (code, reason)
    }

    pub(crate) fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        use RDKafkaLogLevel as Level;
        let text = self.secrets.scrub(text);
        // Properties are given to all clients, and each says which are not for it.
        let level = if text.contains("property and will be ignored by this") { Level::Debug } else { level };
        // What it calls an error, it goes on with: errors that matter come by the other way.
        match level {
            Level::Emerg | Level::Alert | Level::Critical => {
                tracing::error!(target: "gulo_transport_kafka::client", facility, "{text}");
            }
            Level::Error | Level::Warning => {
                tracing::warn!(target: "gulo_transport_kafka::client", facility, "{text}");
            }
            Level::Notice | Level::Info => {
                tracing::info!(target: "gulo_transport_kafka::client", facility, "{text}");
            }
            Level::Debug => {
                tracing::debug!(target: "gulo_transport_kafka::client", facility, "{text}");
            }
        }
    }
}

/// The context of a client that only asks: for metadata, or to make topics.
#[derive(Debug)]
pub(crate) struct Asking {
    observer: Observer,
    known: Mutex<Option<(Code, String)>>,
    /// Told at every error.
    pub(crate) heard: Notify,
}

impl Asking {
    pub(crate) fn new(observer: Observer) -> Self {
        Self { observer, known: Mutex::default(), heard: Notify::new() }
    }

    /// The first cause this very client has named, of those that tell most: librdkafka may need some tries until it sees that
    /// it is no TLS that the listener speaks.
    pub(crate) fn cause(&self) -> Option<(Code, String)> {
        lock(&self.known).clone()
    }

    fn keep(&self, heard: (Code, String)) {
        let mut known = lock(&self.known);
        let weight = |(code, reason): &(Code, String)| Weight::of(*code, reason);
        if known.as_ref().is_none_or(|known| weight(known) < weight(&heard)) {
            *known = Some(heard);
        }
    }
}

impl ClientContext for Asking {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.observer.log(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.keep(self.observer.error(&error, reason));
        self.heard.notify_one();
    }

    fn stats_raw(&self, _statistics: &[u8]) {}
}

impl ConsumerContext for Asking {}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_log_of_librdkafka_is_scrubbed_too() {
        let (bytes, secret) = (Arc::new(Mutex::new(Vec::new())), "hunter2-hunter2");
        let secrets = crate::KafkaConfig::new("h").property("sasl.password", secret).secrets();
        let writer = bytes.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || Lines(writer.clone())).finish();
        tracing::subscriber::with_default(subscriber, || {
            Observer::new(Arc::default(), secrets).log(RDKafkaLogLevel::Error, "CONF", &format!("password={secret}"));
        });
        let text = String::from_utf8_lossy(&lock(&bytes)).into_owned();
        assert!(text.contains("password=***") && !text.contains(secret), "{text}");
    }

    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_first_cause_stays_and_a_real_one_replaces_all_brokers_down() {
        let health = Health::default();
        assert_eq!(health.status(), Status::Up);
        health.bad(Code::AllBrokersDown, "1/1 brokers are down");
        health.bad(Code::BrokerTransportFailure, "b:9092: refused");
        health.bad(Code::Resolve, "later");
        health.bad(Code::AllBrokersDown, "1/1 brokers are down");
        let reason = |health: &Health| health.cause().map(|(_, reason)| reason).unwrap_or_default();
        assert_eq!(reason(&health), "b:9092: refused");
        health.bad(Code::Authentication, "wrong password");
        health.bad(Code::BrokerTransportFailure, "b:9092: refused");
        assert_eq!(reason(&health), "wrong password", "what lasts tells more");
        health.no_token("no token");
        health.bad(Code::Authentication, "wrong token");
        assert_eq!(reason(&health), "no token");
        health.good();
        assert_eq!(health.status(), Status::Up);
    }
}
