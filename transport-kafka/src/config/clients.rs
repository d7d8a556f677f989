//! The configuration of each kind of client.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::said::For;
use super::{KafkaConfig, keys, millis};

/// No request may leave us in the dark for longer: a commit whose answer is lost blocks the next one.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Kafka's heartbeats, unless the session is so short that it would miss them.
const HEARTBEAT: Duration = Duration::from_secs(10);

impl KafkaConfig {
    /// A client that asks for metadata or makes topics.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.finish(self.base(For::All), For::All)
    }

    /// A client that sends.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.base(For::Producers);
        config
            // Where the Java clients put a key, there it must land from here too.
            .set("partitioner", "murmur2_random")
            .set("delivery.timeout.ms", millis(self.publish_timeout, 1))
            // How long an unknown topic may take to appear. With the default of 30 s a misspelt name looks like a hang.
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("message.max.bytes", self.max_request_size.to_string())
            // The default would let a gigabyte pile up in front of a broker that is away.
            .set("queue.buffering.max.kbytes", "131072");
        self.finish(config, For::Producers)
    }

    /// A client that sends in transactions of `id`.
    pub(crate) fn transactional(&self, id: &str) -> ClientConfig {
        let mut config = self.producer();
        config.set("transactional.id", id);
        // A message that is given up later than its transaction would be given up by nobody.
        let transaction = self.time(For::Producers, "transaction.timeout.ms").unwrap_or(Duration::from_secs(60));
        config.set("delivery.timeout.ms", millis(self.publish_timeout.min(transaction), 1));
        // librdkafka wants requests to end before their transaction does.
        if self.said(For::Producers, "socket.timeout.ms").is_none() {
            config.set("socket.timeout.ms", millis(REQUEST_TIMEOUT.min(transaction), 1));
        }
        config
    }

    /// A client that receives for `group`.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.base(For::Consumers);
        config
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
            config.set("partition.assignment.strategy", "cooperative-sticky");
            config.set("heartbeat.interval.ms", millis(HEARTBEAT.min(self.session() / 3), 1));
        }
        config = self.finish(config, For::Consumers);
        if self.is_new_protocol() {
            // It has these on the broker, and librdkafka refuses them here.
            config.remove("session.timeout.ms");
            config.remove("heartbeat.interval.ms");
        }
        if !group.is_empty() {
            config.set("group.id", group);
        }
        config
    }

    /// A consumer without a group of its own: nobody else is a member of `group`, and it comes back under another name.
    pub(crate) fn solo(&self, group: &str) -> ClientConfig {
        let mut config = self.consumer(group);
        config.remove("group.instance.id");
        config
    }

    /// How long a member that gives no sign of life keeps its lanes.
    pub(crate) fn session(&self) -> Duration {
        // The default of brokers, where it is theirs to say.
        let unless_said = Duration::from_secs(if self.is_new_protocol() { 45 } else { 30 });
        self.time(For::Consumers, "session.timeout.ms").unwrap_or(unless_said)
    }

    fn base(&self, audience: For) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.servers)
            .set("socket.timeout.ms", millis(REQUEST_TIMEOUT, 1))
            .set("socket.keepalive.enable", "true")
            // The default of 10 s would add that to every outage.
            .set("reconnect.backoff.max.ms", "1000");
        for (name, value) in keys::defaults(audience) {
            config.set(name, value);
        }
        config
    }

    fn finish(&self, mut config: ClientConfig, audience: For) -> ClientConfig {
        for (name, value) in self.properties.all_of(audience) {
            config.set(name, value);
        }
        config.set_log_level(match self.said(For::All, "debug") {
            Some(_) => RDKafkaLogLevel::Debug,
            None => RDKafkaLogLevel::Info,
        });
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_win_over_the_defaults_and_go_to_the_clients_that_have_them() {
        let config = KafkaConfig::new("b").property("linger.ms", "7").property("fetch.min.bytes", "9");
        let config = config.producer_property("client.rack", "p").property("client.rack", "all");
        assert_eq!(config.producer().get("linger.ms"), Some("7"));
        assert_eq!(config.producer().get("acks"), Some("all"));
        assert_eq!((config.consumer("g").get("linger.ms"), config.admin().get("linger.ms")), (None, None));
        assert_eq!(
            (config.consumer("g").get("fetch.min.bytes"), config.producer().get("fetch.min.bytes")),
            (Some("9"), None)
        );
        assert_eq!(
            (config.consumer("g").get("client.rack"), config.producer().get("client.rack")),
            (Some("all"), Some("p"))
        );
    }

    #[test]
    fn the_new_protocol_is_spared_what_it_refuses() {
        let config = KafkaConfig::new("b").group_protocol(crate::GroupProtocol::Consumer);
        assert_eq!(config.session(), Duration::from_secs(45));
        let config = config.session_timeout(Duration::from_secs(9));
        assert!(config.check().is_ok() && config.session() == Duration::from_secs(9));
        for name in ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"] {
            assert_eq!(config.consumer("g").get(name), None, "{name}");
        }
        let classic = KafkaConfig::new("b").consumer("g");
        assert_eq!(classic.get("partition.assignment.strategy"), Some("cooperative-sticky"));
    }

    #[test]
    fn a_short_session_has_heartbeats_enough() {
        let config = KafkaConfig::new("b").session_timeout(Duration::from_secs(6));
        assert_eq!(config.consumer("g").get("heartbeat.interval.ms"), Some("2000"));
        let config = config.heartbeat_interval(Duration::from_millis(500));
        assert_eq!(config.consumer("g").get("heartbeat.interval.ms"), Some("500"));
        assert_eq!(KafkaConfig::new("b").consumer("g").get("heartbeat.interval.ms"), Some("10000"));
    }

    #[test]
    fn a_solo_reader_is_no_static_member() {
        let config = KafkaConfig::new("b").group_instance_id("pod-0");
        assert_eq!(config.consumer("g").get("group.instance.id"), Some("pod-0"));
        assert_eq!(config.solo("g").get("group.instance.id"), None);
    }

    /// Key, payload and headers count for us, each record and header some bytes more for librdkafka, and each batch for brokers.
    #[test]
    fn a_message_of_the_limit_fits_a_default_broker() {
        let config = KafkaConfig::new("b");
        let limit: usize = config.producer().get("message.max.bytes").map_or(0, |it| it.parse().unwrap_or(0));
        assert!(limit <= 1_048_588 && config.max_message_bytes + 36 + 61 + 10 * 1000 <= limit);
    }

    #[test]
    fn a_limit_of_messages_leaves_room_for_their_framing() {
        let limit = |config: KafkaConfig| {
            (config.max_message_bytes, config.producer().get("message.max.bytes").map(str::to_owned))
        };
        let said = |bytes: &str| KafkaConfig::new("b").property("message.max.bytes", bytes);
        assert_eq!(limit(KafkaConfig::new("b")), (1_000_000, Some("1048576".into())));
        assert_eq!(limit(said("10000")), (9_500, Some("10000".into())));
        assert_eq!(limit(KafkaConfig::new("b").max_message_bytes(500)), (500, Some("49076".into())));
    }

    #[test]
    fn a_short_transaction_is_outlived_by_nothing_in_it() {
        use rdkafka::producer::{BaseProducer, DefaultProducerContext};
        let config = KafkaConfig::new("b").property("transaction.timeout.ms", "5000").transactional("id");
        assert_eq!((config.get("delivery.timeout.ms"), config.get("socket.timeout.ms")), (Some("5000"), Some("5000")));
        let made: Result<BaseProducer<DefaultProducerContext>, _> = config.create();
        assert!(made.is_ok());
        let made: Result<BaseProducer<DefaultProducerContext>, _> = KafkaConfig::new("b").transactional("id").create();
        assert!(made.is_ok());
    }

    #[test]
    fn librdkafka_makes_clients_of_all_of_it() {
        use rdkafka::consumer::BaseConsumer;
        use rdkafka::producer::{BaseProducer, DefaultProducerContext};
        for config in [KafkaConfig::default(), KafkaConfig::default().group_protocol(crate::GroupProtocol::Consumer)] {
            let config = config.max_message_bytes(100).session_timeout_where_classic();
            let producer: Result<BaseProducer<DefaultProducerContext>, _> = config.producer().create();
            let consumer: Result<BaseConsumer, _> = config.consumer("g").create();
            let admin: Result<BaseConsumer, _> = config.admin().create();
            assert!(producer.is_ok() && consumer.is_ok() && admin.is_ok());
        }
    }

    impl KafkaConfig {
        fn session_timeout_where_classic(self) -> Self {
            if self.is_new_protocol() { self } else { self.session_timeout(Duration::from_secs(6)) }
        }
    }
}
