//! Keeping secrets out of every text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;

use super::known;

/// Properties whose values may be seen. All others may hold a secret, also those that nobody has thought of yet.
const HARMLESS: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "batch.size",
    "bootstrap.servers",
    "broker.address.family",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "debug",
    "delivery.report.only.error",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "enable.ssl.certificate.verification",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "isolation.level",
    "log_level",
    "max.in.flight.requests.per.connection",
    "message.send.max.retries",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "retries",
    "sasl.mechanism",
    "sasl.mechanisms",
    "security.protocol",
    "socket.keepalive.enable",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.keystore.location",
    "transactional.id",
];

/// Whether the value of this property may be seen.
pub(crate) fn is_harmless(name: &str) -> bool {
    // Times and sizes.
    let measure = [".ms", ".bytes", ".kbytes", ".messages", ".max.messages"];
    HARMLESS.contains(&name) || measure.iter().any(|end| name.ends_with(end))
}

/// A flag, a number in its range, one of the words that there are: whoever knows the property knows its values.
fn is_one_of_few(name: &str, value: &str) -> bool {
    let (Some(property), value) = (known::find(name), value.trim()) else { return false };
    let is = |word: &str| word.eq_ignore_ascii_case(value);
    match property.takes {
        "text" | "list" => false,
        // As librdkafka has them too.
        "true, false" => ["true", "false", "t", "f", "1", "0"].into_iter().any(is),
        takes => match (takes.split_once(".."), value.parse::<i64>()) {
            (Some((least, most)), Ok(number)) => {
                least.parse().is_ok_and(|least: i64| least <= number)
                    && most.parse().is_ok_and(|most: i64| number <= most)
            }
            _ => takes.split(", ").any(is),
        },
    }
}

/// The value of a property, for people to see.
pub(super) fn shown_value<'a>(name: &str, value: &'a str) -> &'a str {
    if is_harmless(name) || is_one_of_few(name, value) || value.is_empty() { value } else { "***" }
}

/// What a client gets, for people to see.
pub(super) fn shown(config: &ClientConfig) -> BTreeMap<String, String> {
    let properties = config.config_map().into_iter();
    properties.map(|(name, value)| (name.to_owned(), shown_value(name, value).to_owned())).collect()
}

/// Values that are blotted out of the texts that come from librdkafka, which quotes what it does not like.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn of<'a>(properties: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let secret = |(name, value): &(&str, &str)| {
            // A flag or a number is no secret, and blotting it out would spoil every text.
            let telling = value.len() >= 4
                && *value != "true"
                && *value != "false"
                && !value.bytes().all(|byte| byte.is_ascii_digit());
            let named_so = ["password", "secret", "token"].iter().any(|word| name.contains(word)) && !value.is_empty();
            (telling || named_so) && !is_harmless(name) && !is_one_of_few(name, value)
        };
        let mut values: Vec<String> =
            properties.filter(secret).flat_map(|(name, value)| quotable(name, value)).collect();
        // A value that contains another goes first, or its rest would stay.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// `text` in one line, without any of them.
    pub(crate) fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut clean = Cow::Borrowed(text.trim());
        for secret in &self.0 {
            if clean.contains(secret.as_str()) {
                clean = Cow::Owned(clean.replace(secret.as_str(), "***"));
            }
        }
        if clean.contains('\n') {
            clean = Cow::Owned(clean.replace('\n', " "));
        }
        clean
    }
}

/// A secret, and parts of it that librdkafka quotes alone: a list of `name=value` it reads up to where it does not understand it.
fn quotable(name: &str, value: &str) -> Vec<String> {
    let mut all = vec![value.to_owned()];
    if name.starts_with("sasl.oauthbearer.") {
        let parts =
            value.split([' ', ',']).flat_map(|part| [part, part.split_once('=').map_or(part, |(_, value)| value)]);
        all.extend(parts.filter(|part| part.len() >= 4).map(str::to_owned));
    }
    all
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_numbers_and_words_are_shown_and_free_text_is_not() {
        for (name, value) in [
            ("socket.nagle.disable", "true"),
            ("log.queue", "False"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "1"),
            ("message.copy.max.bytes", "7"),
            ("queue.buffering.backpressure.threshold", "3"),
            ("compression.level", "-1"),
            ("sasl.oauthbearer.method", "OIDC"),
            ("broker.address.family", "v4"),
        ] {
            assert_eq!(shown_value(name, value), value, "{name}");
        }
        for (name, value) in [
            ("sasl.password", "1234"),
            ("sasl.password", "true"),
            ("sasl.kerberos.service.name", "s3cr3t"),
            ("plugin.library.paths", "true"),
            ("builtin.features", "list"),
            // Who has put it there by mistake need not see it in a log.
            ("socket.nagle.disable", "s3cr3t"),
            ("queue.buffering.backpressure.threshold", "99999999"),
            ("sasl.oauthbearer.method", "s3cr3t"),
            ("unknown.to.all", "1"),
        ] {
            assert_eq!(shown_value(name, value), "***", "{name}");
        }
    }

    /// Each property that takes flags, numbers or words shows them all; no other shows anything that it need not.
    #[test]
    fn what_a_property_takes_is_shown_where_there_is_a_list_of_it() {
        let free = |property: &&known::Property| ["text", "list"].contains(&property.takes);
        for property in known::all().iter().filter(|property| !free(property)) {
            for value in property.takes.split(", ").flat_map(|values| values.split("..")) {
                assert_eq!(shown_value(property.name, value), value, "{}", property.name);
            }
        }
        for property in known::all().iter().filter(free).filter(|property| !is_harmless(property.name)) {
            assert_eq!(shown_value(property.name, "true"), "***", "{}", property.name);
        }
    }

    #[test]
    fn a_part_of_a_secret_is_blotted_out_where_parts_are_quoted() {
        let properties = [("sasl.oauthbearer.config", "principal=svc s3cr3t-1 scope=s3cr3t-2,s3cr3t-3")];
        let secrets = Secrets::of(properties.into_iter());
        for quoted in ["s3cr3t-1 scope=s3cr3t-2,s3cr3t-3", "scope=s3cr3t-2,s3cr3t-3", "s3cr3t-2", "s3cr3t-3"] {
            let text = secrets.scrub(&format!("Unrecognized beginning at: {quoted}")).into_owned();
            assert!(text.starts_with("Unrecognized beginning at: ***") && !text.contains("s3cr3t"), "{text}");
        }
    }

    #[test]
    fn a_secret_is_blotted_out_of_foreign_text() {
        let properties = [
            ("sasl.password", "s3cr3t"),
            ("sasl.username", "s3cr3t-user"),
            ("some.flag", "true"),
            ("sasl.oauthbearer.method", "default"),
        ];
        let secrets = Secrets::of(properties.into_iter());
        let text = "bad \"s3cr3t-user\" with s3cr3t\n is true by default\n";
        assert_eq!(secrets.scrub(text), "bad \"***\" with ***  is true by default");
        assert!(!format!("{secrets:?}").contains("s3cr3t"));
    }
}
