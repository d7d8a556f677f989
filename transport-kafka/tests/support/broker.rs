//! Where the broker is.

use std::collections::HashMap;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

const SERVERS: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// What is known of the broker: from the environment where that names one, else from what `scripts/brokers` left.
pub struct Broker {
    from_environment: bool,
    file: HashMap<String, String>,
}

impl Broker {
    pub fn find() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/brokers/kafka/env");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let unquoted = |value: &str| value.trim().trim_matches('"').to_owned();
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), unquoted(value)));
        let from_environment = std::env::var(SERVERS).is_ok_and(|servers| !servers.is_empty());
        Self { from_environment, file: text.lines().filter_map(pair).collect() }
    }

    fn get(&self, name: &str) -> Option<String> {
        // Somebody's own broker shares nothing with ours.
        if self.from_environment { std::env::var(name).ok() } else { self.file.get(name).cloned() }
    }

    /// The brokers to begin with; an address that nobody listens on where none is known.
    pub fn servers(&self) -> String {
        self.get(SERVERS).unwrap_or_else(|| "127.0.0.1:9".to_owned())
    }

    /// Its name and version and where it is.
    pub fn title(&self) -> String {
        let version = self.get("GULO_KAFKA_VERSION").unwrap_or_else(|| "Apache Kafka".to_owned());
        format!("{version} at {}", self.servers())
    }

    /// Why it cannot be used.
    pub fn unavailable(&self) -> Option<String> {
        let Some(servers) = self.get(SERVERS) else {
            return Some(format!("no {SERVERS}, and `scripts/brokers up kafka` has not been run"));
        };
        let reached = servers.split(',').any(|server| answers(server.trim()));
        (!reached).then(|| format!("no broker answers at {servers}"))
    }

    /// The listener that only the proxy should use, and the address that it tells clients.
    pub fn faulty(&self) -> Option<(String, String)> {
        Some((self.get("GULO_KAFKA_FAULTY_UPSTREAM")?, self.get("GULO_KAFKA_FAULTY_ADVERTISED")?))
    }
}

fn answers(server: &str) -> bool {
    let Ok(mut addresses) = server.to_socket_addrs() else { return false };
    addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok())
}
