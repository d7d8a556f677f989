//! What is wrong with a configuration, as far as it can be known without a broker; all of it in one error.

mod pem;
mod security;

use std::path::Path;

use gulo_bus_core::{Error, ErrorKind, Result};

use super::said::{By, For, Said};
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
        problems.extend(self.addresses());
        problems.extend(self.properties.iter().filter_map(wrong));
        problems.extend(self.security());
        problems.extend(self.pem());
        problems.extend(self.times());
        if !(1..=900_000_000).contains(&self.max_message_bytes) {
            let called = self.call_origin("message.max.bytes");
            problems.push(format!("{called}: a message may have from 1 to 900,000,000 bytes"));
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

    /// Times that cannot go together.
    fn times(&self) -> Vec<String> {
        let said = |name| self.properties.of(For::Consumers, name);
        if self.is_new_protocol() {
            let protocol = self.call(For::Consumers, "group.protocol");
            let of_classic = OF_CLASSIC.iter().filter_map(|name| said(name));
            let wrong =
                of_classic.map(|it| format!("{} is the broker's to say where {protocol} is `consumer`", it.called()));
            return wrong.collect();
        }
        let mut wrong = Vec::new();
        let (session, heartbeat) = (self.session(), self.time(For::Consumers, "heartbeat.interval.ms"));
        let session_called = said("session.timeout.ms").map_or_else(
            || format!("the session time-out of {session:?}"),
            |it| format!("the session time-out of {session:?}, {}", it.called()),
        );
        if heartbeat.is_some_and(|heartbeat| heartbeat >= session) {
            let heartbeat = self.call(For::Consumers, "heartbeat.interval.ms");
            wrong.push(format!("{heartbeat} must be shorter than {session_called}: a third of it"));
        }
        if session > self.max_poll_interval() {
            let most = self.call(For::Consumers, "max.poll.interval.ms");
            wrong.push(format!("{session_called}, must not be longer than {most}, {:?}", self.max_poll_interval()));
        }
        wrong
    }

    /// As an error calls what was said of a property, or where it would be said by who said nothing of it.
    fn call(&self, audience: For, name: &str) -> String {
        self.properties.of(audience, name).map_or_else(|| By::Code.called(name), Said::called)
    }

    /// The same of what is kept in a field of its own.
    fn call_origin(&self, name: &'static str) -> String {
        self.origins.get(name).unwrap_or(&By::Code).called(name)
    }

    /// What is wrong with the addresses. One in which there may be a password is not shown.
    fn addresses(&self) -> Option<String> {
        let (servers, called) = (self.servers.as_str(), self.call_origin("bootstrap.servers"));
        if servers.trim().is_empty() {
            return Some(format!("{called} names no broker: it takes host:port"));
        }
        if servers.contains('@') {
            let by = self.origins.get("bootstrap.servers").unwrap_or(&By::Code);
            let [user, password] = ["sasl.username", "sasl.password"].map(|name| by.would_call(name));
            return Some(format!(
                "{called} has a user or a password in an address, which is host:port: {user} and {password} are for them"
            ));
        }
        let wrong = servers.split(',').map(str::trim).find(|server| !is_address(server))?;
        Some(format!("{called}: `{wrong}` is no address of a broker, which is host:port"))
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
