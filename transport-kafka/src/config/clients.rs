//! The configuration of each kind of client.

use std::time::Duration;

use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::KafkaConfig;

/// What librdkafka counts on top of key, payload and headers: up to 36 bytes a record and 10 a header. With this much on
/// top, a message of the default limit still fits into the 1,048,588 bytes that a default broker takes for a batch,
/// whose own head has 61 bytes; and what does not fit is refused here, not there.
const FRAMING: usize = 48_000;

/// No request may leave us in the dark for longer: a commit whose answer is lost blocks the next one.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Properties that may only have one of these values, because a promise stands on them.
const KEPT: &[(&str, &[&str], &str)] = &[
    ("enable.auto.commit", NO, "only what is finished is committed"),
    ("enable.auto.offset.store", NO, "only what is finished is committed"),
    ("enable.idempotence", YES, "a retry must neither repeat nor reorder messages"),
    ("acks", ALL, "a publish is confirmed by all in-sync replicas"),
    ("request.required.acks", ALL, "a publish is confirmed by all in-sync replicas"),
    ("partitioner", BY_KEY, "messages of one key go to one partition"),
    ("delivery.report.only.error", NO, "a publish is told of its success"),
];
const BY_KEY: &[&str] = &["murmur2_random", "murmur2", "consistent_random", "consistent", "fnv1a_random", "fnv1a"];
const NO: &[&str] = &["false", "f", "0"];
const YES: &[&str] = &["true", "t", "1"];
const ALL: &[&str] = &["all", "-1"];

/// Properties that are not for the configuration to say.
const OWNED: &[(&str, &str)] = &[
    ("group.id", "the subscription names its group"),
    ("auto.offset.reset", "the subscription says where it starts"),
    ("transactional.id", "a transaction names its id"),
    ("bootstrap.servers", "KafkaConfig::new names the brokers"),
    ("metadata.broker.list", "KafkaConfig::new names the brokers"),
];

impl KafkaConfig {
    /// Says what is wrong with it, as far as that can be known without librdkafka.
    pub(crate) fn check(&self) -> Result<()> {
        if self.servers.trim().is_empty() {
            let help = "KafkaConfig::new takes host:port";
            return Err(Error::new(ErrorKind::Config, "no Kafka broker is named").help(help));
        }
        if self.servers.contains('@') {
            let text = "an address of a Kafka broker has a user or a password in it";
            let help = "it is host:port; `sasl.username` and `sasl.password` are properties";
            return Err(Error::new(ErrorKind::Config, text).help(help));
        }
        for (name, value) in &self.properties {
            check_property(name, value)?;
        }
        if !(1..=900_000_000).contains(&self.max_message_bytes) {
            let text = format!("max_message_bytes is {}", self.max_message_bytes);
            let help = "it must be from 1 to 900,000,000";
            return Err(Error::new(ErrorKind::Config, text).help(help));
        }
        Ok(())
    }

    /// A client that asks for metadata or makes topics.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.finish(self.base())
    }

    /// A client that sends.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Where the Java clients put a key, there it must land from here too.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", millis(self.linger, 0))
            .set("delivery.timeout.ms", millis(self.publish_timeout, 1))
            // How long an unknown topic may take to appear. With the default of 30 s a misspelt name looks like a hang.
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("message.max.bytes", (self.max_message_bytes + FRAMING).to_string())
            // The default would let a gigabyte pile up in front of a broker that is away.
            .set("queue.buffering.max.kbytes", "131072");
        self.finish(config)
    }

    /// A client that receives for `group`.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false")
            // Only for a position that retention has passed over; where a group starts is looked up by ourselves. What
            // is still there is never skipped.
            .set("auto.offset.reset", "earliest")
            // Counted for each partition, since each has a queue of its own.
            .set("queued.max.messages.kbytes", "16384")
            // A partition that was full is asked for more this long after it is not. With the default of 1 s a consumer
            // that keeps up with its queues waits most of the time: `scripts/bench` shows both.
            .set("fetch.queue.backoff.ms", "2");
        if !self.is_new_protocol() {
            self.classic(&mut config);
        }
        config = self.finish(config);
        config.set("group.id", group);
        config
    }

    /// KIP-848 has these on the broker, and librdkafka refuses them there.
    fn classic(&self, config: &mut ClientConfig) {
        config.set("partition.assignment.strategy", "cooperative-sticky");
        // A rebalance is noticed with a heartbeat; the default of 3 s makes every hand-over so long.
        let mut heartbeat = Duration::from_secs(1);
        if let Some(session) = self.session_timeout {
            config.set("session.timeout.ms", millis(session, 1));
            heartbeat = heartbeat.min(session / 4);
        }
        config.set("heartbeat.interval.ms", millis(heartbeat, 1));
    }

    fn is_new_protocol(&self) -> bool {
        self.get("group.protocol").is_some_and(|protocol| protocol.trim().eq_ignore_ascii_case("consumer"))
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.servers)
            .set("client.id", self.client_id.as_deref().unwrap_or("gulo"))
            .set("socket.timeout.ms", millis(REQUEST_TIMEOUT, 1))
            .set("socket.keepalive.enable", "true")
            // The default of 10 s would add that to every outage.
            .set("reconnect.backoff.max.ms", "1000");
        config
    }

    fn finish(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set_log_level(match self.get("debug") {
            Some(_) => RDKafkaLogLevel::Debug,
            None => RDKafkaLogLevel::Info,
        });
        config
    }
}

fn check_property(name: &str, value: &str) -> Result<()> {
    let refuse = |why: &str| {
        let text = format!("the property `{name}` cannot be set so");
        Err(Error::new(ErrorKind::Config, text).help(why))
    };
    if name.contains('\0') || value.contains('\0') {
        return refuse("it contains a NUL");
    }
    if let Some((_, why)) = OWNED.iter().find(|(owned, _)| *owned == name) {
        return refuse(why);
    }
    let value = value.trim().to_ascii_lowercase();
    match KEPT.iter().find(|(kept, _, _)| *kept == name) {
        Some((_, allowed, why)) if !allowed.contains(&value.as_str()) => refuse(why),
        _ => Ok(()),
    }
}

fn millis(duration: Duration, least: u128) -> String {
    duration.as_millis().clamp(least, i32::MAX as u128).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_promise_is_refused_by_name() {
        for (name, value) in [
            ("enable.auto.commit", "true"),
            ("enable.auto.offset.store", "TRUE"),
            ("enable.idempotence", "false"),
            ("acks", "1"),
            ("acks", "0"),
            ("partitioner", "random"),
            ("request.required.acks", "1"),
            ("delivery.report.only.error", "true"),
            ("group.id", "x"),
            ("transactional.id", "x"),
        ] {
            let error = KafkaConfig::new("b").property(name, value).check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn what_says_the_same_as_we_do_is_taken() {
        let config = KafkaConfig::new("b")
            .property("acks", "all")
            .property("enable.auto.commit", "false")
            .property("enable.idempotence", "true")
            .property("request.required.acks", "-1");
        assert!(config.check().is_ok());
    }

    #[test]
    fn properties_win_over_the_defaults() {
        let config = KafkaConfig::new("b").property("linger.ms", "7");
        assert_eq!(config.producer().get("linger.ms"), Some("7"));
        assert_eq!(config.producer().get("acks"), Some("all"));
    }

    #[test]
    fn the_new_protocol_is_spared_what_it_refuses() {
        let config = KafkaConfig::new("b").property("group.protocol", "consumer");
        let config = config.session_timeout(Duration::from_secs(9)).consumer("g");
        for name in ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"] {
            assert_eq!(config.get(name), None, "{name}");
        }
        let classic = KafkaConfig::new("b").consumer("g");
        assert_eq!(classic.get("partition.assignment.strategy"), Some("cooperative-sticky"));
    }

    #[test]
    fn a_message_of_the_limit_fits_a_default_broker() {
        let config = KafkaConfig::new("b");
        let limit: usize = config.producer().get("message.max.bytes").map_or(0, |it| it.parse().unwrap_or(0));
        assert!(limit + 61 <= 1_048_588 && limit >= config.max_message_bytes + 36);
    }
}
