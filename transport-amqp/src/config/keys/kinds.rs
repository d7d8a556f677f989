//! What a value may look like.

/// The kind of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Kind {
    Text,
    /// Shown nowhere.
    Secret,
    /// A file.
    Path,
    /// `true` or `false`, and what other software writes for them.
    Flag,
    /// A whole number, not less and not more than these.
    Number(u64, u64),
    /// `name=value`, several separated by commas.
    Pairs,
    /// One of these, in upper or lower case.
    OneOf(&'static [&'static str]),
}

const YES: &[&str] = &["true", "yes", "on", "1", "t", "y"];
const NO: &[&str] = &["false", "no", "off", "0", "f", "n"];

impl Kind {
    /// The value as it is kept. The error says what would be right.
    pub(in crate::config) fn read(self, value: &str) -> Result<String, String> {
        let plain = value.trim();
        let is = |other: &&&str| other.eq_ignore_ascii_case(plain);
        match self {
            Self::Secret => Ok(value.to_owned()),
            Self::Text | Self::Path if plain.is_empty() => Err("must not be empty".into()),
            Self::Text | Self::Path => Ok(plain.to_owned()),
            Self::Flag if YES.iter().any(|yes| is(&yes)) => Ok("true".into()),
            Self::Flag if NO.iter().any(|no| is(&no)) => Ok("false".into()),
            Self::Flag => Err("must be `true` or `false`".into()),
            Self::Number(least, most) => match plain.parse::<u64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
                _ => Err(format!("must be a whole number from {least} to {most}")),
            },
            Self::Pairs if plain.split(',').all(|pair| pair.contains('=') || pair.trim().is_empty()) => {
                Ok(plain.to_owned())
            }
            Self::Pairs => Err("must be `name=value`, several separated by commas".into()),
            Self::OneOf(values) => match values.iter().find(is) {
                Some(value) => Ok((*value).to_owned()),
                None => Err(format!("must be one of {}", values.join(", "))),
            },
        }
    }

    /// In the table of the guide.
    #[cfg(test)]
    pub(super) fn shown(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Secret => "secret".into(),
            Self::Path => "file".into(),
            Self::Flag => "true, false".into(),
            Self::Number(least, most) => format!("{least} to {most}"),
            Self::Pairs => "`name=value,..`".into(),
            Self::OneOf(values) => values.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_other_software_writes_them() {
        for (kind, value, read) in [
            (Kind::Flag, "True", "true"),
            (Kind::Flag, " off ", "false"),
            (Kind::Number(1, 10), " 10 ", "10"),
            (Kind::OneOf(&["quorum", "classic"]), "QUORUM", "quorum"),
            (Kind::Secret, " with blanks ", " with blanks "),
            (Kind::Text, " name\n", "name"),
        ] {
            assert_eq!(kind.read(value).as_deref(), Ok(read));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right_and_without_the_value() {
        for (kind, value, says) in [
            (Kind::Flag, "maybe", "`true` or `false`"),
            (Kind::Number(1, 9), "0", "from 1"),
            (Kind::Number(0, 9), "-4", "from 0"),
            (Kind::Number(0, 9), "1e3", "whole number"),
            (Kind::Number(0, 9), "10", "to 9"),
            (Kind::OneOf(&["quorum", "classic"]), "brotli", "quorum, classic"),
            (Kind::Path, " ", "empty"),
        ] {
            let error = kind.read(value).unwrap_err();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("maybe") && !error.contains("brotli"), "{error}");
        }
    }
}
