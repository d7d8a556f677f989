//! Settings out of a file, by serde: TOML, YAML, JSON, whatever the application reads.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::keys::{self, Key, nearest};
use super::{AmqpConfig, QueueArgument};

/// The names of the environment in lower case and without `amqp_`; `queue_arguments` is a table. Without a `url` the
/// environment must name the broker: [`with_env`](AmqpConfig::with_env).
///
/// ```
/// # use gulo_transport_amqp::AmqpConfig;
/// let config: AmqpConfig = serde_json::from_str(r#"{
///     "url": "amqps://orders:secret@rabbit:5671/shop",
///     "ssl_cafile": "/etc/rabbitmq/ca.pem",
///     "heartbeat_seconds": 10,
///     "single_active_consumer": false,
///     "consumer_group_id": "orders",
///     "queue_arguments": { "x-max-length": 100000, "x-overflow": "reject-publish" }
/// }"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// There is no `Serialize`: a password would be written.
impl<'de> Deserialize<'de> for AmqpConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Settings)
    }
}

struct Settings;

impl<'de> Visitor<'de> for Settings {
    type Value = AmqpConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings of RabbitMQ")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AmqpConfig, A::Error> {
        let (mut config, mut named) = (AmqpConfig::unnamed(), Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            let Some(key) = keys::find(&name).filter(|key| key.file_name() == name) else {
                // Kept for the first use, like all that is wrong: an error here would be shown by some readers of files with
                // the whole file, passwords and all.
                map.next_value::<IgnoredAny>()?;
                config.problems.push(unknown(&name));
                continue;
            };
            match map.next_value()? {
                Value::Scalar(value) => named.push((key, value)),
                Value::Table(table) if key.name == "QUEUE_ARGUMENTS" => {
                    let table = table.into_iter().map(|(name, value)| (name.into(), value));
                    config.queue_arguments.extend(table);
                }
                Value::Table(_) => config.problems.push(format!("`{name}` of the file is no table")),
            }
        }
        settle(&mut config, named);
        Ok(config)
    }
}

/// The address first, as out of the environment: order in a file means nothing.
fn settle(config: &mut AmqpConfig, mut named: Vec<(&Key, String)>) {
    named.sort_by_key(|(key, _)| key.name != "URL");
    for (key, value) in &named {
        if let Err(wrong) = key.set(config, value) {
            config.problems.push(format!("`{}` of the file {wrong}", key.file_name()));
        }
    }
    let named: Vec<_> = named.into_iter().map(|(key, value)| (key.name.to_owned(), value)).collect();
    let two = keys::two_groups(&named, |name| format!("`{}` of the file", name.to_ascii_lowercase()));
    config.problems.extend(two);
}

fn unknown(name: &str) -> String {
    let names: Vec<String> = keys::KEYS.iter().map(Key::file_name).collect();
    match nearest(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("`{name}` of the file is no setting; is `{meant}` meant?"),
        None => format!("`{name}` of the file is no setting"),
    }
}

/// A value as text, however it is written, or a table of such.
enum Value {
    Scalar(String),
    Table(BTreeMap<String, QueueArgument>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

impl<'de> Deserialize<'de> for QueueArgument {
    /// Text, a whole number, or true or false.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        AnyScalar.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            table.insert(name, value);
        }
        Ok(Value::Table(table))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }
}

struct AnyScalar;

impl Visitor<'_> for AnyScalar {
    type Value = QueueArgument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a whole number, or true or false")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<QueueArgument, E> {
        Ok(value.into())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<QueueArgument, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<QueueArgument, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<QueueArgument, E> {
        i64::try_from(value).map(QueueArgument::from).map_err(|_| E::custom("a number that is too large"))
    }
}

#[cfg(test)]
mod tests;
