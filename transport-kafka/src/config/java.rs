//! Settings that Kafka's Java clients have and librdkafka has not, with what does the same here.

const EQUIVALENTS: &[(&str, &str)] = &[
    ("sasl.jaas.config", "`sasl.username` and `sasl.password`"),
    ("sasl.login.callback.handler.class", "KafkaConfig::token_provider"),
    ("sasl.client.callback.handler.class", "KafkaConfig::token_provider"),
    ("ssl.truststore.location", "`ssl.ca.location`, a PEM file"),
    ("ssl.truststore.certificates", "`ssl.ca.pem`"),
    ("ssl.truststore.password", "`ssl.ca.location`, a PEM file, which needs none"),
    ("ssl.truststore.type", "`ssl.ca.location`, a PEM file"),
    ("ssl.keystore.certificate.chain", "`ssl.certificate.pem`"),
    ("ssl.keystore.key", "`ssl.key.pem`"),
    (
        "ssl.keystore.type",
        "`ssl.keystore.location` for PKCS#12, else `ssl.certificate.location` and `ssl.key.location`",
    ),
    ("ssl.protocol", "`ssl.cipher.suites`; versions are OpenSSL's to choose"),
    ("ssl.enabled.protocols", "`ssl.cipher.suites`; versions are OpenSSL's to choose"),
    ("ssl.secure.random.implementation", "nothing: OpenSSL has its own"),
    ("max.poll.records", "KAFKA_CONSUMER_MAX_POLL_RECORDS or KafkaConfig::max_poll_records"),
    ("max.request.size", "`message.max.bytes`, KAFKA_PRODUCER_MAX_REQUEST_SIZE or KafkaConfig::max_message_bytes"),
    ("buffer.memory", "`queue.buffering.max.kbytes`"),
    ("max.block.ms", "`delivery.timeout.ms`, which counts that time too"),
    ("default.api.timeout.ms", "`socket.timeout.ms`"),
    ("fetch.max.wait.ms", "`fetch.wait.max.ms`"),
    ("send.buffer.bytes", "`socket.send.buffer.bytes`"),
    ("receive.buffer.bytes", "`socket.receive.buffer.bytes`"),
    ("partitioner.class", "`partitioner`"),
    ("interceptor.classes", "a layer (`Subscription::layer`)"),
    ("key.serializer", "nothing: the event names its key"),
    ("value.serializer", "nothing: the event has its codec"),
    ("key.deserializer", "nothing: keys are bytes"),
    ("value.deserializer", "nothing: the event has its codec"),
    ("metric.reporters", "`statistics.interval.ms`"),
    ("auto.include.jmx.reporter", "nothing"),
];

/// What to say instead of `name`.
pub(super) fn equivalent(name: &str) -> Option<&'static str> {
    EQUIVALENTS.iter().find(|(java, _)| *java == name).map(|(_, ours)| *ours)
}

/// The same by the name of a variable, without any prefix.
pub(super) fn by_variable(variable: &str) -> Option<(&'static str, &'static str)> {
    EQUIVALENTS.iter().find(|(java, _)| super::known::variable(java) == variable).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::known;

    #[test]
    fn librdkafka_has_none_of_them_and_has_all_that_they_are_told_for() {
        for (java, ours) in EQUIVALENTS {
            assert!(known::find(java).is_none(), "{java}");
            for named in ours.split('`').skip(1).step_by(2).filter(|named| !named.contains("::")) {
                assert!(known::find(named).is_some(), "{java}: {named}");
            }
        }
    }
}
