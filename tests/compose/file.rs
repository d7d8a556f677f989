//! What is compared: the compose file and the tables of its guide.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(crate) struct Compose {
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) networks: BTreeMap<String, Value>,
    pub(crate) volumes: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
pub(crate) struct Service {
    pub(crate) image: String,
    pub(crate) restart: String,
    pub(crate) networks: Vec<String>,
    #[serde(default)]
    pub(crate) profiles: Vec<String>,
    #[serde(default)]
    pub(crate) ports: Vec<String>,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) volumes: Vec<String>,
    #[serde(default)]
    pub(crate) depends_on: BTreeMap<String, Dependency>,
    pub(crate) healthcheck: Option<HealthCheck>,
}

#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) condition: String,
}

#[derive(Deserialize)]
pub(crate) struct HealthCheck {
    pub(crate) test: Vec<String>,
    pub(crate) interval: String,
    pub(crate) timeout: String,
    pub(crate) start_period: String,
    pub(crate) retries: u32,
}

impl Service {
    pub(crate) fn is_in(&self, profile: &str) -> bool {
        self.profiles.is_empty() || self.profiles.iter().any(|own| own == profile)
    }

    pub(crate) fn variable(&self, name: &str) -> String {
        plain(self.environment.get(name).unwrap_or_else(|| panic!("{name} is set")))
    }

    /// Ports as address, port of the host, port of the container.
    pub(crate) fn published(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.ports.iter().map(|port| {
            let (address, rest) = port.split_once(':').expect("an address");
            let (outside, inside) = rest.split_once(':').expect("a port outside and one inside");
            (address, outside, inside)
        })
    }

    /// Mounts as source and the rest.
    pub(crate) fn mounts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.volumes.iter().map(|mount| mount.split_once(':').expect("a source and a place"))
    }
}

pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub(crate) fn compose() -> Compose {
    serde_saphyr::from_str(&read("docker-compose.yml")).expect("a compose file")
}

/// Rows of the table between `<!-- name -->` and `<!-- /name -->` of the guide.
pub(crate) fn table(name: &str) -> Vec<Vec<String>> {
    let guide = read("docs/compose.md");
    let (_, rest) = guide.split_once(&format!("<!-- {name} -->\n")).expect("the table");
    let (rows, _) = rest.split_once(&format!("<!-- /{name} -->")).expect("its end");
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    rows.lines().skip(2).map(cells).collect()
}
