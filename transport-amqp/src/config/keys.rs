//! The settings that have a name: one table, by which the environment and files are read, values are checked, `Debug` shows
//! the configuration and the guide's table is made.

mod kinds;
mod table;

use super::AmqpConfig;

pub(super) use kinds::Kind;
pub(super) use table::KEYS;

/// What all variables begin with.
pub(super) const PREFIX: &str = "AMQP_";

/// Takes over a value that its kind has let through.
type Apply = fn(&mut AmqpConfig, &str);

/// What a configuration says; empty for nothing. Shows no secret.
type Shown = fn(&AmqpConfig) -> String;

/// One setting.
pub(super) struct Key {
    /// Its name in the environment, without `AMQP_`; in lower case its name in a file.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it is unless said. Empty for nothing.
    pub(super) default: &'static str,
    /// The method that says the same, if there is one.
    pub(super) method: &'static str,
    pub(super) apply: Apply,
    pub(super) shown: Shown,
    /// What it does.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the guide, which a test holds against this table"))]
    pub(super) note: &'static str,
}

impl Key {
    pub(super) fn file_name(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Takes a value over. The error says what is wrong with it, and never the value of a secret.
    pub(super) fn set(&self, config: &mut AmqpConfig, value: &str) -> Result<(), String> {
        (self.apply)(config, &self.kind.read(value)?);
        Ok(())
    }

    /// As an error calls it: by the variable and by the method.
    pub(super) fn called(&self) -> String {
        match self.method {
            "" => format!("{PREFIX}{}", self.name),
            method => format!("{PREFIX}{} (`{method}`)", self.name),
        }
    }
}

/// By its name in the environment, without `AMQP_`, or in a file.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(name))
}

/// As an error calls the setting of this name.
pub(crate) fn called(name: &str) -> String {
    find(name).map_or_else(|| name.to_owned(), Key::called)
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

/// The one of `names` that is meant, where `name` is a slip, or all but its unit.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.replace(['-', '.'], "_").to_ascii_lowercase();
    let (name, most) = (plain(name), 1 + name.len() / 8);
    let names: Vec<&str> = names.into_iter().collect();
    let slips = |other: &&&str| strsim::osa_distance(&name, &plain(other));
    if let Some(best) = names.iter().min_by_key(slips).filter(|best| slips(best) <= most) {
        return Some(best);
    }
    let begun = format!("{name}_");
    let mut longer = names.into_iter().filter(|other| plain(other).starts_with(&begun));
    longer.next().filter(|_| longer.next().is_none())
}

#[cfg(test)]
mod tests;
