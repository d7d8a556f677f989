//! The secured broker: where its listeners are, and transports for each way in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gulo_transport_kafka::{KafkaConfig, KafkaTransport, SaslMechanism, SecurityProtocol};

/// What `scripts/brokers up kafka-secure` left; the environment wins.
pub(crate) struct Place(HashMap<String, String>);

impl Place {
    pub(crate) fn find() -> Self {
        // The root of the checkout, from whichever crate.
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let mut left = folders.map(|folder| folder.join("target/brokers/kafka-secure/env"));
        let text = left.find_map(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let pair =
            |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.trim_matches('"').into()));
        let mut known: HashMap<String, String> = text.lines().filter_map(pair).collect();
        known.extend(std::env::vars().filter(|(name, _)| name.starts_with("GULO_KAFKA_SECURE_")));
        Self(known)
    }

    fn get(&self, name: &str) -> String {
        self.0.get(&format!("GULO_KAFKA_SECURE_{name}")).cloned().unwrap_or_default()
    }

    pub(crate) fn unavailable(&self) -> Option<String> {
        let address = self.get("PLAIN");
        match address.parse().map(|address| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2))) {
            Ok(Ok(_)) => None,
            _ => Some("`scripts/brokers up kafka-secure` has not been run".into()),
        }
    }

    pub(crate) fn title(&self) -> String {
        format!("{} at {}", self.get("VERSION"), self.get("SASL_SSL"))
    }

    pub(crate) fn listener(&self, name: &str) -> String {
        self.get(name)
    }

    /// A file of the certificates.
    pub(crate) fn pki(&self, name: &str) -> PathBuf {
        Path::new(&self.get("PKI")).join(name)
    }

    /// To a listener that logs in over TLS.
    pub(crate) fn sasl_ssl(&self) -> KafkaConfig {
        quick(&self.get("SASL_SSL")).security_protocol(SecurityProtocol::SaslSsl).ssl_ca(self.pki("ca.pem"))
    }

    pub(crate) fn alice(&self) -> KafkaConfig {
        self.sasl_ssl().sasl(SaslMechanism::ScramSha512, "alice", "alice-secret")
    }

    /// By TLS alone, with or without a certificate of ours, to any listener.
    pub(crate) fn ssl(&self, listener: &str) -> KafkaConfig {
        quick(&self.get(listener)).security_protocol(SecurityProtocol::Ssl).ssl_ca(self.pki("ca.pem"))
    }

    /// Without login, and may do everything.
    pub(crate) fn checker(&self) -> KafkaTransport {
        KafkaTransport::new(quick(&self.get("PLAIN")))
    }

    /// Runs one of Kafka's own tools against the broker.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) {
        let plain = self.get("PLAIN");
        let output = Command::new(self.get("TOOL"))
            .args([class, "--bootstrap-server", &plain])
            .args(arguments)
            .output()
            .expect("the tool runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Gives `user` a new password for SCRAM.
    pub(crate) fn set_password(&self, user: &str, password: &str) {
        let scram = format!("SCRAM-SHA-512=[password={password}]");
        let entity = ["--entity-type", "users", "--entity-name", user];
        self.tool("kafka.admin.ConfigCommand", &[&["--alter"][..], &entity, &["--add-config", &scram]].concat());
    }

    /// Gives or takes all rights on a group or a topic of this very name, on top of all else.
    pub(crate) fn deny(&self, user: &str, kind: &str, name: &str, denied: bool) {
        self.deny_to(user, "All", kind, name, denied);
    }

    /// The same for one operation.
    pub(crate) fn deny_to(&self, user: &str, operation: &str, kind: &str, name: &str, denied: bool) {
        let (principal, kind) = (format!("User:{user}"), format!("--{kind}"));
        let verb: &[&str] = if denied { &["--add"] } else { &["--remove", "--force"] };
        let rule = ["--deny-principal", &principal, "--operation", operation, &kind, name];
        self.tool("org.apache.kafka.tools.AclCommand", &[verb, &rule].concat());
    }
}

impl Place {
    /// Gives `user` the right to these operations on what is called `name`, and on nothing else.
    pub(crate) fn allow(&self, user: &str, operations: &[&str], kind: &str, name: &str) {
        let (principal, kind) = (format!("User:{user}"), format!("--{kind}"));
        let mut rule = vec!["--add", "--allow-principal", &principal, &kind, name];
        rule.extend(operations.iter().flat_map(|operation| ["--operation", operation]));
        self.tool("org.apache.kafka.tools.AclCommand", &rule);
    }
}

fn quick(servers: &str) -> KafkaConfig {
    KafkaConfig::new(servers)
        .session_timeout(Duration::from_secs(6))
        .property("topic.metadata.refresh.interval.ms", "1000")
        .publish_timeout(Duration::from_secs(15))
}

pub(crate) fn place() -> Place {
    Place::find()
}
