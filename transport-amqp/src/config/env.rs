//! Settings out of the environment.
//!
//! The prefix `AMQP_` is not ours alone: Kubernetes gives every pod variables like `AMQP_SERVICE_HOST` and
//! `AMQP_PORT_5672_TCP` where a service of that name exists, and compose files put the address there in pieces.

use std::ffi::OsString;

use super::AmqpConfig;
use super::keys::{self, PREFIX, nearest};

/// Pieces of an address, which is one here. Beside a whole one they are for somebody else.
const PIECES: &[&str] =
    &["HOST", "HOSTNAME", "PORT", "USER", "USERNAME", "PASS", "PASSWORD", "VHOST", "SCHEME", "PROTOCOL"];

/// A variable: its name without prefix, and its value.
type Variable = (String, String);

/// Takes over what is said. What is wrong is noted as a problem.
pub(super) fn read(config: &mut AmqpConfig, variables: impl IntoIterator<Item = (OsString, OsString)>) {
    let ours: Vec<Variable> = variables.into_iter().filter_map(|variable| text_of(config, variable)).collect();
    config.problems.extend(keys::two_groups(&ours, |name| format!("{PREFIX}{name}")));
    // By the table: the order of an environment means nothing. The address comes first, so that what stands behind its `?`
    // is not said later than what has a variable of its own.
    for key in keys::KEYS {
        let said = ours.iter().find(|(name, _)| name == key.name);
        if let Some((_, value)) = said
            && let Err(wrong) = key.set(config, value)
        {
            config.problems.push(format!("{} {wrong}", key.called()));
        }
    }
    for (name, _) in ours.iter().filter(|(name, _)| keys::find(name).is_none_or(|key| key.name != name)) {
        unknown(config, name);
    }
    let pieces: Vec<String> = ours
        .iter()
        .filter(|(name, _)| PIECES.contains(&name.as_str()))
        .map(|(name, _)| format!("{PREFIX}{name}"))
        .collect();
    if let (Err(wrong), false) = (&mut config.uri, pieces.is_empty()) {
        wrong.push_str(&format!("; {} is not read", pieces.join(", ")));
    }
}

/// Those with our prefix that say something. An empty one is as good as none, which is how compose files leave them.
fn text_of(config: &mut AmqpConfig, (name, value): (OsString, OsString)) -> Option<Variable> {
    let name = name.to_str()?.strip_prefix(PREFIX)?.to_owned();
    match value.into_string() {
        Ok(value) if value.trim().is_empty() => None,
        Ok(value) => Some((name, value)),
        Err(_) if keys::find(&name).is_some() => {
            config.problems.push(format!("{PREFIX}{name} is not text"));
            None
        }
        Err(_) => None,
    }
}

/// A variable that has no meaning here: somebody else's, or a mistake.
fn unknown(config: &mut AmqpConfig, name: &str) {
    let variable = format!("{PREFIX}{name}");
    if is_of_kubernetes(name) || PIECES.contains(&name) {
        tracing::debug!(variable, "ignored: it is a piece of an address, or made by Kubernetes");
    } else if let Some(meant) = nearest(name, keys::KEYS.iter().map(|key| key.name)) {
        config.problems.push(format!("{variable} is unknown; is {PREFIX}{meant} meant?"));
    } else {
        tracing::warn!(variable, "ignored: AMQP has no setting of that name");
    }
}

/// `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_CLIENT`, `PORT`, `PORT_5672_TCP_ADDR`, with the rest of a service's name
/// before it. `SERVICE_NAME` is none of them: it is a setting.
fn is_of_kubernetes(name: &str) -> bool {
    let is = |what: &str| name == what || name.ends_with(&format!("_{what}"));
    let port = name.find("PORT_").is_some_and(|at| name[at + 5..].starts_with(|next: char| next.is_ascii_digit()));
    is("SERVICE_HOST") || is("SERVICE_PORT") || name.contains("SERVICE_PORT_") || is("PORT") || port
}

#[cfg(test)]
mod tests;
