//! No secret in any line of a log, at the lowest level and with all that librdkafka tells of itself.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use gulo_bus_core::transport::Transport as _;
use gulo_transport_kafka::{KafkaConfig, KafkaTransport, OauthToken, SaslMechanism};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::place::place;
use crate::refusals::texts;
use crate::support::*;

/// Keeps what is logged. Threads of the clients log too, so it is one for the whole process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn kept() -> Self {
        static KEPT: OnceLock<Log> = OnceLock::new();
        KEPT.get_or_init(Self::default).clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Keeps all, and `RUST_LOG=gulo_transport_kafka=debug` shows what the transport does.
pub(crate) fn listen() {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
    let shown = fmt::layer().with_writer(io::stderr).with_filter(EnvFilter::new(wanted));
    let ours = EnvFilter::new("gulo_transport_kafka=trace,gulo_bus_core=trace");
    let kept = fmt::layer().with_ansi(false).with_writer(Log::kept).with_filter(ours);
    tracing_subscriber::registry().with(shown).with(kept).init();
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whoever looks for a secret finds `marker`, or nothing.
fn nowhere(marker: &str, text: &str) {
    let found = text.lines().find(|line| line.contains(marker));
    assert!(found.is_none(), "{found:?}");
}

/// Uses each kind of client; what goes wrong is looked at too.
async fn use_all(config: KafkaConfig) -> String {
    let transport = KafkaTransport::new(config.publish_timeout(Duration::from_secs(2)));
    let mut said = format!("{transport:?}");
    let topic: Arc<str> = unique("silent").into();
    let spec = gulo_bus_core::transport::TopicSpec::new(topic.clone());
    let wanted = topology(gulo_bus_core::transport::TopologyMode::Create, vec![spec]);
    said += &transport.ensure(&wanted).await.err().map(|error| texts(&error)).unwrap_or_default();
    match transport.publisher().await {
        Ok(publisher) => {
            let sent = publisher.publish(numbered(&topic, 0, 0..1)).await;
            said += &sent.err().map(|unsent| format!("{unsent} {unsent:?}")).unwrap_or_default();
        }
        Err(error) => said += &texts(&error),
    }
    match transport.subscribe(eager(&unique("g"), &[&topic])).await {
        Ok(mut source) => drop(source.close(tokio::time::Instant::now() + PATIENCE).await),
        Err(error) => said += &texts(&error),
    }
    said + &format!("{:?}", transport.status())
}

pub(crate) async fn a_login_logs_no_password() {
    let log = Log::kept();
    let place = place();
    for (user, password) in [("alice", "alice-secret"), ("alice", "silent-hunter-1"), ("nobody", "silent-hunter-1")] {
        for mechanism in [SaslMechanism::ScramSha512, SaslMechanism::ScramSha256, SaslMechanism::Plain] {
            let config = place.sasl_ssl().sasl(mechanism, user, password).property("debug", "all");
            nowhere(password, &use_all(config).await);
        }
    }
    let text = log.text();
    assert!(text.contains("DEBUG gulo_transport_kafka::client"), "something is looked at");
    nowhere("alice-secret", &text);
    nowhere("silent-hunter-1", &text);
}

pub(crate) async fn a_key_of_ours_is_in_no_log() {
    let log = Log::kept();
    let place = place();
    let text = |name: &str| std::fs::read_to_string(place.pki(name)).unwrap();
    let key = text("client.key");
    let line = key.lines().nth(1).unwrap();
    let config = place.ssl("MTLS").property("ssl.certificate.pem", text("client.crt")).property("debug", "all");
    nowhere(line, &use_all(config.clone().property("ssl.key.pem", key.clone())).await);
    // Garbage around it, which librdkafka refuses.
    nowhere(line, &use_all(config.property("ssl.key.pem", key.replace("BEGIN", "BEGUN"))).await);
    nowhere(line, &log.text());
}

fn in_a_minute() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}

/// librdkafka quotes a token that it does not like.
pub(crate) async fn a_token_that_cannot_be_one_is_named_and_not_shown() {
    let log = Log::kept();
    for (token, extension) in [
        ("silent-hunter-2\u{e9}", ("tenant", "a")),
        ("silent-hunter-2", ("tenant", "silent-hunter-2\u{7f}")),
        ("silent-hunter-2", ("no letters 1", "a")),
        ("silent-hunter-2", ("auth", "a")),
    ] {
        let config = place().sasl_ssl().connect_timeout(Duration::from_secs(1)).property("debug", "all");
        let config = config.token_provider(move || async move {
            let (name, value) = extension;
            Ok::<_, String>(OauthToken::new(token, "svc", in_a_minute()).extension(name, value))
        });
        let said = use_all(config).await;
        nowhere("silent-hunter-2", &said);
        assert!(said.contains("no token to log in to Kafka: "), "{said}");
        assert!(said.contains("characters") || said.contains("extension"), "{said}");
    }
    nowhere("silent-hunter-2", &log.text());
}

/// An identity server may quote what it was asked with, and a provider pass that on.
pub(crate) async fn a_token_in_the_words_of_a_provider_is_not_shown() {
    let log = Log::kept();
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let config = place().sasl_ssl().connect_timeout(Duration::from_secs(3));
    let config = config.property("ssl.key.password", "silent-hunter-4").token_provider(move || {
        let first = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        async move {
            match first {
                true => Ok(OauthToken::new("silent-hunter-3", "svc", SystemTime::now() + Duration::from_secs(2))),
                false => Err("cannot renew silent-hunter-3\nfor silent-hunter-4"),
            }
        }
    });
    let transport = KafkaTransport::new(config);
    let publisher = transport.publisher().await.unwrap();
    let status = crate::later::until_status(&transport, "the provider's words", |status| {
        crate::later::is_down_by(status, "cannot renew *** for ***")
    });
    nowhere("silent-hunter", &format!("{:?}", status.await));
    publisher.close(tokio::time::Instant::now() + PATIENCE).await.unwrap();
    let error = transport.subscribe(eager(&unique("g"), &[&"it.any".into()])).await.err().unwrap();
    nowhere("silent-hunter", &texts(&error));
    assert!(texts(&error).contains("cannot renew *** for ***"), "{error}");
    nowhere("silent-hunter-3", &log.text());
    nowhere("silent-hunter-4", &log.text());
}
