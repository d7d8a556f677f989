//! What is wrong with a configuration, as far as it can be known without a broker; all of it in one error.

use std::path::Path;

use gulo_bus_core::{Error, ErrorKind, Result};

use super::said::{For, Said};
use super::{KafkaConfig, java, known};

/// Properties that may only have one of these values, because a promise stands on them.
const KEPT: &[(&str, &[&str], &str)] = &[
    ("enable.auto.commit", NO, "only what is finished is committed"),
    ("auto.commit.enable", NO, "only what is finished is committed"),
    ("enable.auto.offset.store", NO, "only what is finished is committed"),
    ("enable.idempotence", YES, "a retry must neither repeat nor reorder messages"),
    ("acks", ALL, "a publish is confirmed by all in-sync replicas"),
    ("partitioner", BY_KEY, "messages of one key go to one partition"),
    ("delivery.report.only.error", NO, "a publish is told of its success"),
    ("isolation.level", COMMITTED, "what a transaction took back is never delivered"),
];
const BY_KEY: &[&str] = &["murmur2_random", "murmur2", "consistent_random", "consistent", "fnv1a_random", "fnv1a"];
const NO: &[&str] = &["false", "f", "0"];
const YES: &[&str] = &["true", "t", "1"];
const ALL: &[&str] = &["all", "-1"];
const COMMITTED: &[&str] = &["read_committed"];

/// Properties that are not for the configuration to say.
const OWNED: &[(&str, &str)] = &[
    (
        "group.id",
        "the subscription names its group (`Subscription::group`), or KAFKA_CONSUMER_GROUP_ID with `Subscription::configured`",
    ),
    (
        "auto.offset.reset",
        "the subscription says where a new group begins (`Subscription::start`), or KAFKA_CONSUMER_AUTO_OFFSET_RESET with `Subscription::configured`",
    ),
    ("transactional.id", "a transaction names its id"),
    ("bootstrap.servers", "KafkaConfig::new or KAFKA_BOOTSTRAP_SERVERS names the brokers"),
];

/// Those that KIP-848 has on the broker.
const OF_CLASSIC: &[&str] = &["heartbeat.interval.ms", "partition.assignment.strategy", "group.protocol.type"];

/// Those that name a file that must be there. librdkafka's own error does not say which.
const FILES: &[&str] =
    &["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location"];

impl KafkaConfig {
    /// Says all that is wrong with it.
    pub(crate) fn check(&self) -> Result<()> {
        let mut problems = self.problems.clone();
        problems.extend(servers(&self.servers));
        problems.extend(self.properties.iter().filter_map(wrong));
        problems.extend(self.login());
        problems.extend(self.times());
        if !(1..=900_000_000).contains(&self.max_message_bytes) {
            problems.push(format!("max_message_bytes is {}: it must be from 1 to 900,000,000", self.max_message_bytes));
        }
        self::problems(&problems)
    }

    pub(super) fn is_new_protocol(&self) -> bool {
        self.said(For::Consumers, "group.protocol").is_some_and(|said| said.trim().eq_ignore_ascii_case("consumer"))
    }

    /// What is allowed and should be known.
    pub(crate) fn warnings(&self) -> Vec<&'static str> {
        let is =
            |name, value: &str| self.said(For::All, name).is_some_and(|said| said.trim().eq_ignore_ascii_case(value));
        let mut warnings = Vec::new();
        if is("security.protocol", "sasl_plaintext") && is("sasl.mechanism", "PLAIN") {
            warnings.push("the password goes to Kafka in the open: PLAIN belongs on SASL_SSL");
        }
        if is("enable.ssl.certificate.verification", "false") || is("enable.ssl.certificate.verification", "0") {
            warnings.push("anybody can pass for Kafka: its certificate is not verified");
        } else if is("ssl.endpoint.identification.algorithm", "none") {
            warnings.push("anybody with a certificate of this CA can pass for Kafka: its host name is not verified");
        }
        warnings
    }

    /// Security that would not be used as it is meant.
    fn login(&self) -> Vec<String> {
        let said = |name| self.said(For::All, name).filter(|value| !value.is_empty());
        let protocol = said("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
        let mechanism = said("sasl.mechanism").map(str::to_ascii_uppercase);
        let mut wrong = Vec::new();
        if protocol.starts_with("sasl_") {
            match mechanism.as_deref() {
                None => wrong.push(
                    "security.protocol wants a login and `sasl.mechanism` names none: one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"
                        .into(),
                ),
                Some("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512") => {
                    let absent = ["sasl.username", "sasl.password"].into_iter().filter(|name| said(name).is_none());
                    wrong.extend(absent.map(|name| format!("`sasl.mechanism` needs `{name}`")));
                }
                Some("OAUTHBEARER") if self.has_no_tokens() => wrong.push(
                    "`sasl.mechanism` OAUTHBEARER needs KafkaConfig::token_provider; tests may set `enable.sasl.oauthbearer.unsecure.jwt`"
                        .into(),
                ),
                _ => {}
            }
            if self.tokens.is_some() && mechanism.as_deref() != Some("OAUTHBEARER") {
                wrong.push("the token provider would not be used: `sasl.mechanism` is not OAUTHBEARER".into());
            }
        } else if let Some(unused) =
            ["sasl.mechanism", "sasl.username", "sasl.password"].into_iter().find(|name| said(name).is_some())
        {
            wrong
                .push(format!("`{unused}` would not be used: set `security.protocol` to SASL_SSL (or SASL_PLAINTEXT)"));
        }
        if !protocol.ends_with("ssl")
            && let Some(unused) = FILES.iter().find(|name| said(name).is_some())
        {
            wrong.push(format!("`{unused}` would not be used: set `security.protocol` to SSL or SASL_SSL"));
        }
        for (one, other) in
            [("ssl.certificate.location", "ssl.key.location"), ("ssl.key.location", "ssl.certificate.location")]
        {
            if said(one).is_some()
                && [other, "ssl.key.pem", "ssl.certificate.pem"].iter().all(|name| said(name).is_none())
            {
                wrong.push(format!("`{one}` needs `{other}`"));
            }
        }
        wrong
    }

    fn has_no_tokens(&self) -> bool {
        let is =
            |name, value: &str| self.said(For::All, name).is_some_and(|said| said.trim().eq_ignore_ascii_case(value));
        let by_itself = is("sasl.oauthbearer.method", "oidc") || is("enable.sasl.oauthbearer.unsecure.jwt", "true");
        self.tokens.is_none() && !by_itself
    }

    /// Times that cannot go together.
    fn times(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.is_new_protocol() {
            let said = OF_CLASSIC.iter().filter(|name| self.said(For::Consumers, name).is_some());
            wrong.extend(said.map(|name| format!("`{name}` is the broker's to say with `group.protocol=consumer`")));
            return wrong;
        }
        let (session, heartbeat) = (self.session(), self.time(For::Consumers, "heartbeat.interval.ms"));
        if heartbeat.is_some_and(|heartbeat| heartbeat >= session) {
            wrong.push(format!(
                "`heartbeat.interval.ms` must be shorter than the session time-out of {session:?}: a third of it"
            ));
        }
        if session > self.max_poll_interval() {
            wrong.push(format!(
                "`session.timeout.ms` must not be longer than `max.poll.interval.ms`, {:?}",
                self.max_poll_interval()
            ));
        }
        wrong
    }
}

/// One error of all of them.
pub(super) fn problems(problems: &[String]) -> Result<()> {
    let text = match problems {
        [] => return Ok(()),
        [one] => format!("the configuration of Kafka: {one}"),
        several => format!("{} settings of Kafka are wrong: {}", several.len(), several.join("; ")),
    };
    Err(Error::new(ErrorKind::Config, text))
}

/// What is wrong with the addresses. An address is not shown: somebody may have put a password into it.
fn servers(servers: &str) -> Option<String> {
    if servers.trim().is_empty() {
        return Some("no broker is named: KafkaConfig::new or KAFKA_BOOTSTRAP_SERVERS takes host:port".into());
    }
    if servers.contains('@') {
        return Some(
            "an address of a broker has a user or a password in it: it is host:port; `sasl.username` and `sasl.password` are properties"
                .into(),
        );
    }
    let wrong = servers.split(',').map(str::trim).find(|server| !is_address(server))?;
    Some(format!("`{wrong}` is no address of a broker: it is host:port"))
}

fn is_address(server: &str) -> bool {
    // librdkafka takes its own protocols in front, and no others.
    let known = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
    let server = match server.split_once("://") {
        Some((protocol, rest)) if known.contains(&&*protocol.to_ascii_lowercase()) => rest,
        Some(_) => return false,
        None => server,
    };
    let (host, port) = match server.strip_prefix('[').and_then(|server| server.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => server.rsplit_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    !host.is_empty() && is_port && !host.contains(['/', ' '])
}

/// What is wrong with a property.
fn wrong(said: &Said) -> Option<String> {
    let (called, name) = (said.called(), said.name.as_str());
    if name.contains('\0') || said.value.contains('\0') {
        return Some(format!("{called} contains a NUL"));
    }
    if let Some((_, why)) = OWNED.iter().find(|(owned, _)| *owned == name) {
        return Some(format!("{called} is not set here: {why}"));
    }
    let Some(property) = known::find(name) else {
        return Some(unknown(said));
    };
    let value = said.value.trim().to_ascii_lowercase();
    if let Some((_, allowed, why)) = KEPT.iter().find(|(kept, allowed, _)| *kept == name && !allowed.contains(&&*value))
    {
        return Some(format!("{called} must be {}: {why}", allowed.first().unwrap_or(&"")));
    }
    if known::is_left_out(property, &said.value) {
        return Some(format!("{called} asks for what this build of librdkafka has not"));
    }
    if !known::takes(property, &said.value) {
        return Some(format!("{called} has a value that it does not take; it takes {}", property.takes));
    }
    if FILES.contains(&name) && name != "ssl.ca.location" && !Path::new(&said.value).is_file() {
        return Some(format!("{called}: there is no file {}", said.value));
    }
    (name == "ssl.ca.location" && !is_ca(&said.value)).then(|| format!("{called}: there is no file {}", said.value))
}

/// A file, a folder, or librdkafka's word for "look for it".
fn is_ca(value: &str) -> bool {
    value == "probe" || Path::new(value).exists()
}

fn unknown(said: &Said) -> String {
    let (called, names) = (said.called(), known::all().iter().map(|property| property.name));
    match (java::equivalent(&said.name), known::nearest(&said.name, names)) {
        (Some(ours), _) => format!("{called} is a name that only Java clients know: here it is {ours}"),
        (None, Some(meant)) => format!("{called} is unknown to librdkafka; is `{meant}` meant?"),
        (None, None) => format!("{called} is unknown to librdkafka"),
    }
}

#[cfg(test)]
mod tests;
