//! The properties that librdkafka has: their names, for which clients they are, what they take.
//!
//! `librdkafka.tsv` is what CONFIGURATION.md of librdkafka 2.12.1 lists, callbacks left out; a test holds it against the
//! library that is linked. Whether a value is right is not decided here: the library itself is asked.

use std::sync::LazyLock;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::said::For;

/// One property.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) name: &'static str,
    /// For which clients it is; others would only warn of it.
    pub(super) audience: For,
    /// The values it takes, in words.
    pub(super) takes: &'static str,
    /// The name that it has in librdkafka, where `name` is the one that Kafka's other clients know it by.
    alias_of: Option<&'static str>,
}

static PROPERTIES: LazyLock<Vec<Property>> =
    LazyLock::new(|| include_str!("librdkafka.tsv").lines().filter_map(property).collect());

fn property(line: &'static str) -> Option<Property> {
    let mut columns = line.split('\t');
    let (name, audience, takes) = (columns.next()?, columns.next()?, columns.next()?);
    let audience = match audience {
        "P" => For::Producers,
        "C" => For::Consumers,
        _ => For::All,
    };
    Some(Property { name, audience, takes, alias_of: columns.next() })
}

/// All of them.
pub(super) fn all() -> &'static [Property] {
    &PROPERTIES
}

pub(super) fn find(name: &str) -> Option<&'static Property> {
    all().iter().find(|property| property.name == name)
}

/// Under which of its two names a property is kept: the one that Kafka's other clients know. `name` where nobody knows it.
pub(super) fn usual_name(name: &str) -> &str {
    let alias = all().iter().find(|property| property.alias_of == Some(name));
    alias.map_or(name, |property| property.name)
}

/// The property that an environment variable names: `SASL_USERNAME`, without any prefix.
pub(super) fn by_variable(name: &str) -> Option<&'static Property> {
    all().iter().find(|property| variable(property.name) == name)
}

/// As a part of an environment variable's name.
pub(super) fn variable(property: &str) -> String {
    property.replace('.', "_").to_ascii_uppercase()
}

/// What is most like `name` among `names`, where anything is: a slip or two away.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.replace(['_', '-'], ".").to_ascii_lowercase();
    let (name, most) = (plain(name), 1 + name.len() / 8);
    let slips = |other: &&str| strsim::osa_distance(&name, &plain(other));
    let best = names.into_iter().min_by_key(slips)?;
    (slips(&best) <= most).then_some(best)
}

/// Whether librdkafka takes `value`. What it says against it quotes the value, so that is left out.
pub(super) fn takes(property: &Property, value: &str) -> bool {
    let mut alone = ClientConfig::new();
    alone.set(property.name, value);
    !matches!(alone.create_native_config().err(), Some(KafkaError::ClientConfig(..) | KafkaError::Nul(_)))
}

/// Whether what this asks of librdkafka was left out when it was built: OIDC, say.
pub(super) fn is_left_out(property: &Property, value: &str) -> bool {
    let made = ClientConfig::new().set(property.name, value).create_native_config();
    matches!(made.err(), Some(KafkaError::ClientConfig(_, said, ..)) if said.contains("build"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs what this build of librdkafka has not: Kerberos, or a library to load.
    const ABSENT: &[&str] = &["sasl.kerberos", "plugin.library.paths", "ssl.engine", "https.ca", "sasl.oauthbearer"];

    #[test]
    fn librdkafka_knows_all_of_them() {
        use rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN;
        for property in all().iter().filter(|property| !ABSENT.iter().any(|name| property.name.starts_with(name))) {
            let made = ClientConfig::new().set(property.name, "x").create_native_config();
            let unknown = matches!(made.err(), Some(KafkaError::ClientConfig(RD_KAFKA_CONF_UNKNOWN, ..)));
            assert!(!unknown, "{}", property.name);
        }
    }

    /// The values that an error offers must be right, or the advice is wrong.
    #[test]
    fn the_values_that_are_offered_are_taken_and_others_are_not() {
        let listed = |property: &&Property| property.takes.contains(", ") || property.takes.contains("..");
        for property in all().iter().filter(listed) {
            if ABSENT.iter().any(|name| property.name.starts_with(name)) {
                continue;
            }
            let offered: Vec<&str> = property.takes.split(", ").flat_map(|values| values.split("..")).collect();
            for value in offered {
                assert!(takes(property, value), "{}={value}", property.name);
            }
            let free = ["sasl.mechanism", "sasl.mechanisms", "partition.assignment.strategy"].contains(&property.name);
            assert!(free || !takes(property, "banana"), "{}=banana", property.name);
        }
    }

    #[test]
    fn a_slip_is_recognised_and_something_else_is_not() {
        let names = || all().iter().map(|property| property.name);
        assert_eq!(nearest("linger.mss", names()), Some("linger.ms"));
        assert_eq!(nearest("sasl_username", names()), Some("sasl.username"));
        assert_eq!(nearest("session.timout.ms", names()), Some("session.timeout.ms"));
        assert_eq!(nearest("node.id", names()), None);
        assert_eq!(nearest("advertised.listeners", names()), None);
    }

    #[test]
    fn a_property_is_kept_under_the_name_that_all_clients_know() {
        assert_eq!(usual_name("request.required.acks"), "acks");
        assert_eq!(usual_name("sasl.mechanisms"), "sasl.mechanism");
        assert_eq!(usual_name("acks"), "acks");
        assert_eq!(by_variable("SASL_USERNAME").map(|it| it.name), Some("sasl.username"));
    }
}
