//! What tests against a real broker share: where it is.

#[allow(dead_code, clippy::unwrap_used)]
pub(crate) mod rooms;

use std::collections::HashMap;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

const URL: &str = "AMQP_URL";

/// What is known of the broker: from the environment where that names one, else from what `scripts/brokers` left.
pub(crate) struct Broker {
    from_environment: bool,
    file: HashMap<String, String>,
}

impl Broker {
    pub(crate) fn find() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/brokers/amqp/env");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let unquoted = |value: &str| value.trim().trim_matches('"').to_owned();
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), unquoted(value)));
        let from_environment = std::env::var(URL).is_ok_and(|url| !url.is_empty());
        Self { from_environment, file: text.lines().filter_map(pair).collect() }
    }

    fn get(&self, name: &str) -> Option<String> {
        // Somebody's own broker shares nothing with ours.
        if self.from_environment { std::env::var(name).ok() } else { self.file.get(name).cloned() }
    }

    /// The broker; an address that nobody listens on where none is known.
    pub(crate) fn url(&self) -> String {
        self.get(URL).unwrap_or_else(|| "amqp://guest:guest@127.0.0.1:9/%2f".to_owned())
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        let url = self.url();
        let (_, rest) = url.split_once("//").unwrap_or(("", &url));
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let port = if self.is_encrypted() { 5671 } else { 5672 };
        if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") }
    }

    /// The same with another host and port.
    pub(crate) fn url_by_way_of(&self, address: &str) -> String {
        let url = self.url();
        let host = self.address();
        if url.contains(&host) {
            url.replace(&host, address)
        } else {
            url.replace(host.split(':').next().unwrap_or(""), address)
        }
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.url().starts_with("amqps:")
    }

    /// Its name and version and where it is.
    pub(crate) fn title(&self) -> String {
        let version = self.get("GULO_AMQP_VERSION").unwrap_or_else(|| "RabbitMQ".to_owned());
        format!("{version} at {}", self.address())
    }

    /// Why it cannot be used.
    pub(crate) fn unavailable(&self) -> Option<String> {
        if self.get(URL).is_none() {
            return Some(format!("no {URL}, and `scripts/brokers up amqp` has not been run"));
        }
        let address = self.address();
        (!answers(&address)).then(|| format!("no broker answers at {address}"))
    }
}

fn answers(address: &str) -> bool {
    let Ok(mut addresses) = address.to_socket_addrs() else { return false };
    addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok())
}
