//! The settings that have a name of their own in the environment and in files: one table, from which both are read, the
//! defaults of the clients are taken and the table of `docs/kafka.md` is made.

mod kinds;
mod table;

use super::KafkaConfig;
use super::said::{By, For, Said};

pub(super) use kinds::Kind;
pub(super) use table::KEYS;

/// What all variables begin with.
pub(super) const PREFIX: &str = "KAFKA_";

/// Takes a value over; the error says what would be right.
type Apply = fn(&mut KafkaConfig, &str) -> Result<(), String>;

/// One setting.
pub(super) struct Key {
    /// Its name in the environment, without `KAFKA_`; in lower case its name in a file.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it is unless said. Empty for nothing.
    pub(super) default: &'static str,
    /// What becomes of it in librdkafka, if anything.
    pub(super) property: Option<(For, &'static str)>,
    /// What is done with a value, where it is not simply given to the property.
    pub(super) apply: Option<Apply>,
    /// What it does; and where ours is not as it was, why.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the guide, which a test holds against this table"))]
    pub(super) note: &'static str,
}

impl Key {
    pub(super) fn file_name(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Takes a value over. The error says what is wrong with it, and never the value of a secret.
    pub(super) fn set(&self, config: &mut KafkaConfig, value: &str, by: By) -> Result<(), String> {
        let value = self.kind.read(value)?;
        match (self.apply, self.property) {
            (Some(apply), property) => {
                apply(config, &value)?;
                if let Some((_, property)) = property {
                    config.origins.insert(property, by);
                }
                Ok(())
            }
            (None, Some((audience, property))) => {
                config.properties.say(Said::new(audience, property, value, by));
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }
}

/// By its name in the environment, without `KAFKA_`, or in a file.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(name))
}

/// The setting that becomes this property.
pub(super) fn of_property(property: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.property.is_some_and(|(_, name)| name == property))
}

/// What clients of this kind have for a property unless somebody says otherwise.
pub(super) fn defaults(audience: For) -> impl Iterator<Item = (&'static str, &'static str)> {
    let with_default = KEYS.iter().filter(|key| key.apply.is_none() && !key.default.is_empty());
    let property = with_default.filter_map(|key| key.property.map(|(of, name)| (of, name, key.default)));
    property.filter(move |(of, _, _)| *of == For::All || *of == audience).map(|(_, name, value)| (name, value))
}

/// One setting with two names, which say different things: whichever counted, somebody would read another group's messages.
/// What is wrong with `said`, names and values, of one place, where it calls names like this.
pub(super) fn two_groups(said: &[(String, String)], called: impl Fn(&str) -> String) -> Option<String> {
    let of = |wanted: &str| said.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.trim());
    let names @ [one, other] = ["CONSUMER_GROUP", "CONSUMER_GROUP_ID"];
    if of(one)? == of(other)? {
        return None;
    }
    let [one, other] = names.map(called);
    Some(format!("{one} and {other} are two names of one setting, and say different groups"))
}

#[cfg(test)]
mod tests;
