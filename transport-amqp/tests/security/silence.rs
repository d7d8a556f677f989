//! No secret in any line of a log, at the lowest level, those of lapin and of TLS included.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{TopologyMode, Transport as _};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
use tokio::time::Instant;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::place::*;

/// Keeps what is logged. Threads of the client log too, so it is one for the whole process.
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

/// Keeps all, and `RUST_LOG=lapin=debug` shows what there is.
pub(crate) fn listen() {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
    let shown = fmt::layer().with_writer(io::stderr).with_filter(EnvFilter::new(wanted));
    let kept = fmt::layer().with_ansi(false).with_writer(Log::kept).with_filter(EnvFilter::new("trace"));
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

/// Whoever looks for `secret` finds nothing: as text, and as the numbers that `Debug` makes of bytes.
fn nowhere(secret: &str, text: &str) {
    let bytes = format!("{:?}", secret.as_bytes());
    let numbers = bytes.trim_matches(['[', ']']);
    for form in [secret, numbers] {
        let found = text.lines().find(|line| line.contains(form));
        assert!(found.is_none(), "{found:?}");
    }
}

/// Uses all of it; what goes wrong is looked at too.
async fn use_all(config: AmqpConfig) -> String {
    let mut said = format!("{config:?} {config:#?}");
    let transport = AmqpTransport::new(config);
    let topic: Arc<str> = unique("silent").into();
    said += &transport
        .ensure(&topology(TopologyMode::Create, &topic, "g"))
        .await
        .err()
        .map(|error| texts(&error))
        .unwrap_or_default();
    match transport.publisher().await {
        Ok(publisher) => {
            let sent = publisher.publish(vec![Message::new(topic.clone(), "1")]).await;
            said += &sent.err().map(|unsent| format!("{unsent} {unsent:?}")).unwrap_or_default();
            drop(publisher.close(Instant::now() + PATIENCE).await);
        }
        Err(error) => said += &texts(&error),
    }
    match transport.subscribe(reading(&topic)).await {
        Ok(mut source) => drop(source.close(Instant::now() + PATIENCE).await),
        Err(error) => said += &texts(&error),
    }
    said + &format!("{transport:?} {:?}", transport.status())
}

pub(crate) async fn no_login_is_in_an_error_or_in_the_log() {
    let (log, place) = (Log::kept(), place());
    let (user, wrong) = (place.user([".*", ".*", ".*"]), "silent-hunter-1");
    let right = format!("{user}-secret");
    let ca = place.pki("ca.pem");
    for password in [&*right, wrong] {
        for (scheme, listener, more) in [
            ("amqp", "PLAIN", ""),
            ("amqps", "TLS", ""),
            ("amqp", "PLAIN", "/nowhere"),
            ("amqp", "PLAIN", "?auth_mechanism=amqplain"),
            ("amqp", "TLS", ""),
            ("amqps", "PLAIN", ""),
            ("amqps", "EXPIRED", ""),
            ("http", "PLAIN", ""),
            ("amqp", "PLAIN", "/?heartbeat=x"),
        ] {
            let config = quick(&format!("{scheme}://{user}:{password}@{}{more}", place.listener(listener)));
            let config = if scheme == "amqps" { config.ssl_ca(&ca) } else { config };
            nowhere(password, &use_all(config).await);
        }
    }
    let text = log.text();
    assert!(text.contains("TRACE lapin"), "something is looked at");
    nowhere(&right, &text);
    nowhere(wrong, &text);
}

pub(crate) async fn no_key_is_in_an_error_or_in_the_log() {
    let (log, place) = (Log::kept(), place());
    let (crt, key) = (place.pem("client.crt"), place.pem("client.key"));
    let line = key.lines().nth(1).unwrap();
    let der =
        openssl::base64::decode_block(&key.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
    let numbers = format!("{:?}", &der[40..60]);
    for key in [key.clone(), key.replace("BEGIN", "BEGUN"), place.pem("foreign.key")] {
        let said = use_all(place.tls("MTLS").ssl_certificate_pem(&*crt, &*key)).await;
        nowhere(line, &said);
        assert!(!said.contains(numbers.trim_matches(['[', ']'])), "{said}");
    }
    nowhere("key-secret", &use_all(place.tls("MTLS").ssl_pkcs12(place.pki("client.p12"), "key-secret")).await);
    let text = log.text();
    for secret in [line, "key-secret"] {
        nowhere(secret, &text);
    }
    assert!(!text.contains(numbers.trim_matches(['[', ']'])));
}

/// lapin warns of what the broker returns, with all that is in it.
pub(crate) async fn what_comes_back_is_not_in_the_log() {
    let (log, topic) = (Log::kept(), Arc::from(unique("unroutable")));
    let transport = AmqpTransport::new(place().plain("admin"));
    let mut alone = topology(TopologyMode::Create, &topic, "g");
    alone.groups.clear();
    transport.ensure(&alone).await.unwrap();
    let publisher = transport.publisher().await.unwrap();
    let message = Message::new(topic.clone(), "silent-hunter-2").header("authorization", "silent-hunter-3");
    let unsent = publisher.publish(vec![message]).await.unwrap_err();
    publisher.close(Instant::now() + PATIENCE).await.unwrap();
    for secret in ["silent-hunter-2", "silent-hunter-3"] {
        nowhere(secret, &format!("{unsent} {}", texts(&unsent.failed[0].error)));
        nowhere(secret, &log.text());
    }
}
