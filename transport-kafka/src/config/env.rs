//! Settings out of the environment.
//!
//! The prefix `KAFKA_` is not ours alone: broker images configure themselves by it, and Kubernetes gives every pod variables
//! like `KAFKA_SERVICE_HOST` and `KAFKA_PORT_9092_TCP` where a service of that name exists.

use std::ffi::OsString;

use super::KafkaConfig;
use super::keys::{self, PREFIX};
use super::said::{By, For, Said};
use super::{java, known};

/// Begin the names of what broker images read. Where a client has a property of that name, it is taken for the client's.
const OF_BROKERS: &[&str] = &[
    "ADVERTISED_",
    "AUTO_CREATE_",
    "BROKER_",
    "CFG_",
    "CONTROLLER_",
    "CREATE_TOPICS",
    "DEFAULT_REPLICATION_",
    "DELETE_TOPIC_",
    "GROUP_COORDINATOR_",
    "GROUP_INITIAL_",
    "GROUP_MAX_",
    "GROUP_MIN_",
    "HEAP_OPTS",
    "HOME",
    "INTER_BROKER_",
    "JMX_",
    "JVM_",
    "KRAFT_",
    "LISTENER",
    "LOG4J",
    "LOG_",
    "METADATA_LOG_",
    "MIN_INSYNC_",
    "NODE_ID",
    "NUM_",
    "OFFSETS_",
    "OPTS",
    "PROCESS_ROLES",
    "REPLICA_",
    "SHARE_",
    "SUPER_USERS",
    "TRANSACTION_STATE_",
    "VERSION",
    "ZOOKEEPER_",
];

/// Where one of these is set, this is (also) the environment of a broker, and what only Java knows is meant for it.
const SURE_OF_A_BROKER: &[&str] = &["PROCESS_ROLES", "NODE_ID", "BROKER_ID", "LISTENERS", "ZOOKEEPER_CONNECT"];

/// A variable: its name without prefix, and its value.
type Variable = (String, String);

/// Takes over what is said. What is wrong is noted as a problem. What has a name of its own here comes last and so wins over
/// a property of the same meaning, as what is said for producers or consumers wins over what is said for all.
pub(super) fn read(config: &mut KafkaConfig, variables: impl IntoIterator<Item = (OsString, OsString)>) {
    let mut ours: Vec<Variable> = variables.into_iter().filter_map(|variable| text_of(config, variable)).collect();
    // The order of an environment means nothing.
    ours.sort();
    let of_a_broker = ours.iter().any(|(name, _)| SURE_OF_A_BROKER.contains(&&**name));
    let (named, others): (Vec<Variable>, Vec<Variable>) =
        ours.into_iter().partition(|(name, _)| keys::find(name).is_some());
    let (special, general): (Vec<Variable>, Vec<Variable>) = others.into_iter().partition(|(name, _)| is_special(name));
    for (name, value) in general.iter().chain(&special) {
        property(config, name, value, of_a_broker);
    }
    config.problems.extend(keys::two_groups(&named, |name| format!("{PREFIX}{name}")));
    for (name, value) in &named {
        let said = By::Environment(format!("{PREFIX}{name}"));
        if let Some(key) = keys::find(name)
            && let Err(wrong) = key.set(config, value, said)
        {
            config.problems.push(format!("{PREFIX}{name} {wrong}"));
        }
    }
}

/// Those with our prefix that say something. An empty one is as good as none, which is how compose files leave them; but for
/// the servers, where localhost would be a surprise.
fn text_of(config: &mut KafkaConfig, (name, value): (OsString, OsString)) -> Option<Variable> {
    let name = name.to_str()?.strip_prefix(PREFIX)?.to_owned();
    match value.into_string() {
        Ok(value) if value.trim().is_empty() && name != "BOOTSTRAP_SERVERS" => None,
        Ok(value) => Some((name, value)),
        Err(_) if is_ours(&name) => {
            config.problems.push(format!("{PREFIX}{name} is not text"));
            None
        }
        Err(_) => None,
    }
}

fn is_ours(name: &str) -> bool {
    keys::find(name).is_some() || known::by_variable(split(name).1).is_some()
}

/// For which clients, and the rest of the name.
fn split(name: &str) -> (For, &str) {
    match (name.strip_prefix("PRODUCER_"), name.strip_prefix("CONSUMER_")) {
        (Some(rest), _) => (For::Producers, rest),
        (_, Some(rest)) => (For::Consumers, rest),
        _ => (For::All, name),
    }
}

fn is_special(name: &str) -> bool {
    split(name).0 != For::All
}

/// A variable that has no meaning of its own here: a property, somebody else's, or a mistake.
fn property(config: &mut KafkaConfig, name: &str, value: &str, of_a_broker: bool) {
    let ((audience, rest), variable) = (split(name), format!("{PREFIX}{name}"));
    if let Some(property) = known::by_variable(rest) {
        config.say(Said::new(audience, property.name, value, By::Environment(variable)));
    } else if is_of_kubernetes(rest) || OF_BROKERS.iter().any(|of| rest.starts_with(of)) {
        tracing::debug!(variable, "ignored: it is for a broker, or made by Kubernetes");
    } else if let Some((java, ours)) = java::by_variable(rest) {
        if !of_a_broker {
            config.problems.push(format!("{variable}: librdkafka has no `{java}`; here it is {ours}"));
        }
    } else if let Some(meant) = nearest(name, rest) {
        config.problems.push(format!("{variable} is unknown; is {PREFIX}{meant} meant?"));
    } else if audience != For::All {
        config.problems.push(format!("{variable} is unknown: librdkafka has no property of that name"));
    } else {
        tracing::warn!(variable, "ignored: Kafka has no setting of that name");
    }
}

fn nearest(name: &str, rest: &str) -> Option<String> {
    let names: Vec<String> = known::all().iter().map(|property| known::variable(property.name)).collect();
    if let Some(key) = known::nearest(name, keys::KEYS.iter().map(|key| key.name)) {
        return Some(key.to_owned());
    }
    let property = known::nearest(rest, names.iter().map(String::as_str))?;
    Some(format!("{}{property}", name.strip_suffix(rest).unwrap_or_default()))
}

/// `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_CLIENT`, `PORT`, `PORT_9092_TCP_ADDR`, with the rest of a service's name
/// before it. `SERVICE_NAME` is none of them: it is a setting.
fn is_of_kubernetes(rest: &str) -> bool {
    let is = |what: &str| rest == what || rest.ends_with(&format!("_{what}"));
    let port = rest.find("PORT_").is_some_and(|at| rest[at + 5..].starts_with(|next: char| next.is_ascii_digit()));
    is("SERVICE_HOST") || is("SERVICE_PORT") || rest.contains("SERVICE_PORT_") || is("PORT") || port
}

#[cfg(test)]
mod tests;
