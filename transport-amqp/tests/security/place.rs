//! The secured broker: where its listeners are, and configurations for each way in.

use std::collections::HashMap;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{
    GroupSpec, Inbox, SubscribeSpec, TopicSpec, Topics, Topology, TopologyMode, Transport as _,
};
use gulo_bus_core::{Error, Result};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport, QueueType};
use tokio::time::{Instant, timeout};

/// The longest wait for anything. Machines that test are slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What `scripts/brokers up amqp-secure` left; the environment wins.
pub(crate) struct Place(HashMap<String, String>);

pub(crate) fn place() -> Place {
    // The root of the checkout, from whichever crate.
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut left = folders.map(|folder| folder.join("target/brokers/amqp-secure/env"));
    let text = left.find_map(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.trim_matches('"').into()));
    let mut known: HashMap<String, String> = text.lines().filter_map(pair).collect();
    known.extend(std::env::vars().filter(|(name, _)| name.starts_with("GULO_AMQP_SECURE_")));
    Place(known)
}

impl Place {
    fn get(&self, name: &str) -> String {
        self.0.get(&format!("GULO_AMQP_SECURE_{name}")).cloned().unwrap_or_default()
    }

    pub(crate) fn unavailable(&self) -> Option<String> {
        match self.get("PLAIN").parse().map(|address| TcpStream::connect_timeout(&address, Duration::from_secs(2))) {
            Ok(Ok(_)) => None,
            _ => Some("`scripts/brokers up amqp-secure` has not been run".into()),
        }
    }

    pub(crate) fn title(&self) -> String {
        format!("{} at {}", self.get("VERSION"), self.get("TLS"))
    }

    /// Host and port.
    pub(crate) fn listener(&self, name: &str) -> String {
        self.get(name)
    }

    pub(crate) fn pki(&self, name: &str) -> PathBuf {
        Path::new(&self.get("PKI")).join(name)
    }

    pub(crate) fn pem(&self, name: &str) -> String {
        std::fs::read_to_string(self.pki(name)).unwrap()
    }

    /// Without TLS, in the vhost `/`.
    pub(crate) fn plain(&self, user: &str) -> AmqpConfig {
        quick(&format!("amqp://{user}:{user}-secret@{}", self.get("PLAIN")))
    }

    /// By TLS to any listener, trusting the right CA.
    pub(crate) fn tls(&self, listener: &str) -> AmqpConfig {
        quick(&format!("amqps://admin:admin-secret@{}", self.get(listener))).ssl_ca(self.pki("ca.pem"))
    }

    /// With the client's certificate and no password.
    pub(crate) fn external(&self) -> AmqpConfig {
        let config = quick(&format!("amqps://{}", self.get("MTLS"))).ssl_ca(self.pki("ca.pem")).external();
        config.ssl_certificate(self.pki("client.crt"), self.pki("client.key"))
    }

    /// `rabbitmqctl`, on this broker.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let output = Command::new(self.get("CTL")).args(arguments).output().expect("the tool runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Lets `user` configure, write and read only what these patterns say.
    pub(crate) fn permit(&self, user: &str, rights: [&str; 3]) {
        self.told(&[&["set_permissions", "-p", "/", user][..], &rights].concat());
    }

    /// A user of its own for one test, with rights on `/`.
    pub(crate) fn user(&self, rights: [&str; 3]) -> String {
        let user = unique("user");
        self.told(&["add_user", &user, &format!("{user}-secret")]);
        self.permit(&user, rights);
        user
    }
}

/// Classic queues are made sooner.
pub(crate) fn quick(url: &str) -> AmqpConfig {
    AmqpConfig::new(url).queue_type(QueueType::Classic).publish_timeout(Duration::from_secs(5))
}

/// A name that no other test and no other run has, and that everybody may use.
pub(crate) fn unique(what: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("it.{what}.{:x}.{}", since.as_micros(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn topology(mode: TopologyMode, topic: &Arc<str>, group: &str) -> Topology {
    let groups = vec![GroupSpec { group: group.into(), topics: Topics::Named(vec![topic.clone()]) }];
    Topology { mode, topics: vec![TopicSpec::new(topic.clone())], groups }
}

/// A topic of its own with group `g`, made by who may.
pub(crate) async fn topic(what: &str) -> Arc<str> {
    let (name, maker) = (unique(what).into(), AmqpTransport::new(place().plain("admin")));
    maker.ensure(&topology(TopologyMode::Create, &name, "g")).await.unwrap();
    name
}

pub(crate) fn reading(topic: &Arc<str>) -> SubscribeSpec {
    SubscribeSpec::group("g", [topic.clone()])
}

pub(crate) async fn publish(
    transport: &AmqpTransport,
    topic: &Arc<str>,
) -> Result<(), gulo_bus_core::transport::Unsent> {
    let publisher = transport.publisher().await.unwrap();
    let sent = publisher.publish(vec![Message::new(topic.clone(), "1").key("k")]).await;
    publisher.close(Instant::now() + PATIENCE).await.unwrap();
    sent
}

/// Makes, publishes, reads and acknowledges.
pub(crate) async fn works(config: AmqpConfig) {
    let (transport, topic) = (AmqpTransport::new(config), Arc::from(unique("works")));
    transport.ensure(&topology(TopologyMode::Create, &topic, "g")).await.unwrap();
    publish(&transport, &topic).await.unwrap();
    one_arrives(&transport, &topic).await;
}

pub(crate) async fn one_arrives(transport: &AmqpTransport, topic: &Arc<str>) {
    let mut source = transport.subscribe(reading(topic)).await.unwrap();
    let mut inbox = Inbox::default();
    while inbox.deliveries.is_empty() {
        timeout(PATIENCE, source.recv(&mut inbox, 10)).await.expect("it arrives").unwrap();
    }
    source.settle(&mut vec![Settlement::done(inbox.deliveries[0].token)]).unwrap();
    source.close(Instant::now() + PATIENCE).await.unwrap();
}

/// Display and Debug, and what `main` would print.
pub(crate) fn texts(error: &Error) -> String {
    format!("{error}\n{error:?}\n{error:#?}")
}
