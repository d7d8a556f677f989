//! Settings out of a file, by serde: TOML, YAML, JSON, whatever the application reads.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::keys::{self, KEYS};
use super::said::{By, For, Said};
use super::{KafkaConfig, known};

/// Tables of properties, with the clients they are for.
const TABLES: &[(&str, For)] =
    &[("properties", For::All), ("producer_properties", For::Producers), ("consumer_properties", For::Consumers)];

/// The names of the environment in lower case and without `kafka_`, and three tables with properties of librdkafka:
/// `properties`, `producer_properties`, `consumer_properties`.
///
/// ```
/// # use gulo_transport_kafka::KafkaConfig;
/// let config: KafkaConfig = serde_json::from_str(r#"{
///     "bootstrap_servers": "kafka-1:9092,kafka-2:9092",
///     "security_protocol": "SASL_SSL",
///     "sasl_mechanism": "SCRAM-SHA-512",
///     "sasl_username": "orders",
///     "producer_linger_ms": 5,
///     "consumer_group_id": "orders",
///     "properties": { "client.rack": "eu-1a" },
///     "consumer_properties": { "fetch.min.bytes": 1000 }
/// }"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// There is no `Serialize`: a password would be written.
impl<'de> Deserialize<'de> for KafkaConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Settings)
    }
}

struct Settings;

impl<'de> Visitor<'de> for Settings {
    type Value = KafkaConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings of Kafka")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KafkaConfig, A::Error> {
        let (mut config, mut named) = (KafkaConfig::default(), Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            if let Some((table, audience)) = TABLES.iter().find(|(table, _)| *table == name) {
                for (property, Scalar(value)) in map.next_value::<BTreeMap<String, Scalar>>()? {
                    let by = By::File(format!("{table}.{property}"));
                    config.say(Said::new(*audience, &property, value, by));
                }
            } else if let Some(key) = keys::find(&name).filter(|key| key.file_name() == name) {
                let Scalar(value) = map.next_value()?;
                if let Err(wrong) = key.set(&mut config, &value, By::File(name.clone())) {
                    config.problems.push(format!("`{name}` of the file {wrong}"));
                }
                named.push((key.name.to_owned(), value));
            } else {
                // Kept for the first use, like all that is wrong: an error here would be shown by some readers of files with
                // the whole file, passwords and all.
                map.next_value::<IgnoredAny>()?;
                config.problems.push(unknown(&name));
            }
        }
        let two = keys::two_groups(&named, |name| format!("`{}` of the file", name.to_ascii_lowercase()));
        config.problems.extend(two);
        Ok(config)
    }
}

fn unknown(name: &str) -> String {
    let keys: Vec<String> = KEYS.iter().map(keys::Key::file_name).collect();
    let names = keys.iter().map(String::as_str).chain(TABLES.iter().map(|(table, _)| *table));
    match known::nearest(name, names) {
        Some(meant) => format!("`{name}` of the file is no setting; is `{meant}` meant?"),
        None if known::find(name).is_some() => {
            format!("`{name}` of the file is a property: it stands in the table `properties`")
        }
        None => format!("`{name}` of the file is no setting"),
    }
}

/// A value as text, however it is written.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct AnyScalar;

impl Visitor<'_> for AnyScalar {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, or true or false")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar(value.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }
}

#[cfg(test)]
mod tests;
