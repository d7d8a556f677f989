//! What somebody has said of a property: for which clients, and where, so that an error can name the place.

use std::collections::BTreeMap;
use std::fmt;

use super::keys::{self, PREFIX};
use super::{known, redact};

/// For which clients a property is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum For {
    All,
    Producers,
    Consumers,
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// By the name of the property.
    Code,
    /// This method of [`KafkaConfig`](super::KafkaConfig).
    Method(&'static str),
    /// The variable.
    Environment(String),
    /// The key in a file.
    File(String),
}

/// Methods for properties: what somebody is told who uses methods.
const METHODS: &[(&str, &str)] = &[
    ("security.protocol", "security_protocol"),
    ("sasl.mechanism", "sasl"),
    ("sasl.username", "sasl"),
    ("sasl.password", "sasl"),
    ("ssl.ca.location", "ssl_ca"),
    ("ssl.certificate.location", "ssl_certificate"),
    ("ssl.key.location", "ssl_certificate"),
];

impl By {
    /// What was said there of `property`, as an error calls it.
    pub(super) fn called(&self, property: &str) -> String {
        match self {
            Self::Code => format!("the property `{property}`"),
            Self::Method(method) => format!("`KafkaConfig::{method}` (`{property}`)"),
            Self::Environment(variable) => format!("{variable} (`{property}`)"),
            Self::File(key) => format!("`{key}` of the file (`{property}`)"),
        }
    }

    /// How another property would be said there, as an error calls it.
    pub(super) fn would_call(&self, property: &str) -> String {
        let key = keys::of_property(property);
        let by = match self {
            Self::Code => Self::Code,
            Self::Method(_) => {
                let method = METHODS.iter().find(|(of, _)| *of == property);
                method.map_or(Self::Code, |(_, method)| Self::Method(method))
            }
            Self::Environment(_) => {
                let name = key.map_or_else(|| known::variable(property), |key| key.name.to_owned());
                Self::Environment(format!("{PREFIX}{name}"))
            }
            Self::File(_) => Self::File(key.map_or_else(|| format!("properties.{property}"), keys::Key::file_name)),
        };
        by.called(property)
    }
}

/// One property, as it was given last.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) audience: For,
    pub(super) name: String,
    pub(super) value: String,
    pub(super) by: By,
}

impl Said {
    pub(super) fn new(audience: For, name: &str, value: impl Into<String>, by: By) -> Self {
        let name = known::usual_name(name.trim()).to_owned();
        // A property of producers is the same thing whoever it was said to.
        let audience = match known::find(&name).map(|property| property.audience) {
            None | Some(For::All) => audience,
            Some(only) => only,
        };
        Self { audience, name, value: value.into(), by }
    }

    /// As an error calls it. Never the value.
    pub(super) fn called(&self) -> String {
        self.by.called(&self.name)
    }
}

/// All that was said. What is said later replaces what was said earlier of the same property for the same clients; what is
/// said for producers or consumers wins over what is said for all.
#[derive(Clone, Default)]
pub(super) struct Sayings(Vec<Said>);

impl Sayings {
    pub(super) fn say(&mut self, said: Said) {
        self.0.retain(|have| (have.audience, &have.name) != (said.audience, &said.name));
        self.0.push(said);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Said> {
        self.0.iter()
    }

    /// What counts for these clients.
    pub(super) fn of(&self, audience: For, name: &str) -> Option<&Said> {
        let of = |audience| self.0.iter().find(move |said| said.audience == audience && said.name == name);
        of(audience).or_else(|| of(For::All))
    }

    /// All that counts for these clients, by name.
    pub(super) fn all_of(&self, audience: For) -> BTreeMap<&str, &str> {
        let mut counts = BTreeMap::new();
        for wanted in [For::All, audience] {
            let said = self.0.iter().filter(|said| said.audience == wanted);
            counts.extend(said.map(|said| (said.name.as_str(), said.value.as_str())));
        }
        counts
    }
}

impl fmt::Debug for Sayings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|said| (said.name.as_str(), redact::shown_value(&said.name, &said.value)));
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(sayings: &mut Sayings, audience: For, name: &str, value: &str) {
        sayings.say(Said::new(audience, name, value, By::Code));
    }

    #[test]
    fn later_wins_and_special_wins_over_general() {
        let mut sayings = Sayings::default();
        say(&mut sayings, For::Producers, "client.rack", "p");
        say(&mut sayings, For::All, "client.rack", "a");
        say(&mut sayings, For::All, "client.rack", "b");
        assert_eq!(sayings.of(For::Producers, "client.rack").map(|it| &*it.value), Some("p"));
        assert_eq!(sayings.of(For::Consumers, "client.rack").map(|it| &*it.value), Some("b"));
        assert_eq!(sayings.all_of(For::Producers)["client.rack"], "p");
    }

    #[test]
    fn two_names_of_one_property_are_one_property() {
        let mut sayings = Sayings::default();
        say(&mut sayings, For::All, "queue.buffering.max.ms", "1");
        say(&mut sayings, For::Producers, "linger.ms", "2");
        assert_eq!(sayings.iter().count(), 1);
        assert!(sayings.all_of(For::Consumers).is_empty());
    }
}
