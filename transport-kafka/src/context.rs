//! What librdkafka tells us unasked: its log, its errors, and so how the connections are.

mod asking;
mod bootstrap;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::SystemTime;

use gulo_bus_core::transport::Status;
use rdkafka::client::Client;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{ClientConfig, ClientContext};

use crate::certificate::{self, Trust};
use crate::config::Secrets;
use crate::diagnosis;
use crate::error::is_connection;

pub(crate) use asking::Asking;
pub(crate) use bootstrap::Bootstrap;

/// Locks, whatever a thread that held it did: the states behind our locks are whole after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the connections are, as all clients of a transport last heard.
#[derive(Debug, Default)]
pub(crate) struct Health {
    connections: Mutex<Option<Trouble>>,
    /// That there is no token to log in with. What librdkafka says besides follows from that, and a connection that is up still
    /// says nothing against it.
    token: Mutex<Option<Trouble>>,
    /// What a broker's certificate is looked at with, where one is refused.
    trust: Trust,
}

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
    /// A listener that may have no TLS, or a connection that ended.
    Guess,
    /// A password that is wrong stays so; when connections have to be made anew, their end is heard of first.
    Lasts,
}

impl Weight {
    fn of(code: Code, reason: &str) -> Self {
        match diagnosis::of(code, reason) {
            _ if code == Code::AllBrokersDown => Self::Nothing,
            diagnosis if diagnosis.is_guess() => Self::Guess,
            diagnosis if diagnosis.passes => Self::Passes,
            _ => Self::Lasts,
        }
    }
}

impl Health {
    pub(crate) fn new(trust: Trust) -> Self {
        Self { trust, ..Self::default() }
    }

    /// Keeps the first cause, unless another one tells more. Says whether it is this one now.
    fn bad(&self, code: Code, reason: &str) -> bool {
        let weight = Weight::of(code, reason);
        let mut trouble = lock(&self.connections);
        let known = trouble.as_ref();
        let tells_more = known.is_none_or(|known| known.weight < weight);
        if tells_more {
            let since = known.map_or_else(SystemTime::now, |known| known.since);
            *trouble = Some(Trouble { since, weight, code, reason: reason.to_owned() });
        }
        tells_more
    }

    /// What librdkafka means by `said`, where that is the cause still.
    fn found_out(&self, said: &str, reason: String) {
        if let Some(trouble) = lock(&self.connections).as_mut().filter(|trouble| trouble.reason == said) {
            trouble.weight = Weight::of(trouble.code, &reason);
            trouble.reason = reason;
        }
    }

    /// Why there is no token to log in with, where there is none.
    pub(crate) fn token(&self, trouble: Option<&str>) {
        let mut token = lock(&self.token);
        let since = token.as_ref().map_or_else(SystemTime::now, |known| known.since);
        let (weight, code) = (Weight::Lasts, Code::Authentication);
        *token = trouble.map(|reason| Trouble { since, weight, code, reason: reason.to_owned() });
    }

    /// A broker has answered just now.
    pub(crate) fn good(&self) {
        lock(&self.connections).take();
    }

    pub(crate) fn is_down(&self) -> bool {
        self.look(|_| ()).is_some()
    }

    /// The cause, where something is wrong.
    pub(crate) fn cause(&self) -> Option<(Code, String)> {
        self.look(|trouble| (trouble.code, trouble.reason.clone()))
    }

    pub(crate) fn status(&self) -> Status {
        let down = |trouble: &Trouble| Status::Down { since: trouble.since, reason: trouble.reason.clone() };
        self.look(down).unwrap_or(Status::Up)
    }

    fn look<T>(&self, what: impl Fn(&Trouble) -> T) -> Option<T> {
        let token = lock(&self.token).as_ref().map(&what);
        token.or_else(|| lock(&self.connections).as_ref().map(&what))
    }
}

/// Whether a broker that is asked by ourselves tells more.
fn is_unclear(code: Code, reason: &str) -> bool {
    certificate::is_refused(reason) || diagnosis::of(code, reason).is_guess()
}

/// What the contexts of all our clients have in common.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) health: Arc<Health>,
    secrets: Secrets,
    bootstrap: Bootstrap,
}

impl Observer {
    pub(crate) fn new(health: Arc<Health>, secrets: Secrets) -> Self {
        Self { health, secrets, bootstrap: Bootstrap::default() }
    }

    /// Of a client that lives on when its brokers are lost, and whose thread calls [`step`](Self::step).
    pub(crate) fn lasting(health: Arc<Health>, secrets: Secrets, settings: &ClientConfig) -> Self {
        Self { bootstrap: Bootstrap::of(settings), ..Self::new(health, secrets) }
    }

    /// For the thread that serves the client, at each turn.
    pub(crate) fn step<C: ClientContext>(&self, client: &Client<C>) {
        self.bootstrap.step(client);
    }

    /// A broker has answered this client just now.
    pub(crate) fn answered(&self) {
        self.bootstrap.answered();
        if self.health.is_down() {
            self.health.good();
        }
    }

    /// The code and the text, which rdkafka gives only here.
    pub(crate) fn error(&self, error: &KafkaError, reason: &str) -> (Code, String) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        let reason = self.secrets.scrub(reason).into_owned();
        tracing::debug!(target: "gulo_transport_kafka::client", ?code, "{reason}");
        if code == Code::AllBrokersDown {
            self.bootstrap.all_down();
        }
        if is_connection(code) && self.health.bad(code, &reason) && is_unclear(code, &reason) {
            self.look_closer(reason.clone());
        }
        (code, reason)
    }

    /// librdkafka does not say what is wrong with a certificate, and guesses that a listener has no TLS. Finding it out takes a connection, and this thread polls.
    fn look_closer(&self, said: String) {
        let health = self.health.clone();
        let look = move || {
            if let Some(reason) = certificate::explained(&said, &health.trust) {
                tracing::debug!(target: "gulo_transport_kafka::client", "{reason}");
                health.found_out(&said, reason);
            }
        };
        if let Err(error) = thread::Builder::new().name("gulo-kafka-certificate".into()).spawn(look) {
            tracing::debug!("no thread to look at a certificate: {error}");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
        health.good();
        assert_eq!(health.status(), Status::Up);
    }

    #[test]
    fn without_a_token_it_is_down_until_there_is_one_whatever_a_connection_says() {
        let health = Health::default();
        health.bad(Code::Authentication, "wrong token");
        health.token(Some("no token"));
        let reason = |health: &Health| health.cause().map(|(_, reason)| reason);
        assert_eq!(reason(&health).as_deref(), Some("no token"));
        health.good();
        assert_eq!(reason(&health).as_deref(), Some("no token"), "a connection of before is up still");
        health.token(None);
        assert_eq!(health.status(), Status::Up);
    }

    #[test]
    fn what_was_found_out_replaces_what_it_is_about_and_nothing_else() {
        let health = Health::default();
        assert!(health.bad(Code::SSL, "certificate verify failed"));
        assert!(!health.bad(Code::SSL, "certificate verify failed"), "looked at once");
        health.found_out("certificate verify failed", "it has expired".into());
        assert_eq!(health.cause(), Some((Code::SSL, "it has expired".into())));
        health.good();
        health.found_out("certificate verify failed", "it has expired".into());
        assert_eq!(health.status(), Status::Up, "too late");
    }
}
