//! Dead letters against what they must be, value by value.

use chrono::DateTime;
use gulo::dead_letter as name;
use gulo::message::Message;

use crate::record::Record;

/// A message that must become a dead letter, and what must be written on it.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) name: &'static str,
    /// Which step it is, if it is one.
    pub(crate) step: Option<(usize, usize)>,
    pub(crate) message: Message,
    pub(crate) reason: &'static str,
    pub(crate) attempts: u32,
    /// What the failure said, where that is ours to know.
    pub(crate) error: Option<String>,
}

/// A header by name, and its value.
type Header = (String, Option<Vec<u8>>);

impl Expected {
    /// Whether `record` is a copy of it: same key, same bytes.
    pub(crate) fn is(&self, record: &Record) -> bool {
        record.key.as_deref() == self.message.key.as_deref()
            && record.payload.as_deref() == self.message.payload.as_deref()
    }

    /// What differs between `letter` and what it must be, in words. `original` is the message as it stands in its topic.
    pub(crate) fn differences(&self, letter: &Record, original: &Record, group: &str) -> Vec<String> {
        let ours = letter.headers.iter().position(|(name, _)| name.starts_with(name::PREFIX));
        let (own, written) = letter.headers.split_at(ours.unwrap_or(letter.headers.len()));
        let mut differences = Vec::new();
        let sent: Vec<Header> = headers_of(&self.message);
        if own != sent {
            differences.push(format!("its own headers are {own:?}, not {sent:?}"));
        }
        let (fixed, free) = self.fixed(original, group);
        for (name, wanted) in fixed {
            let found = text(written, name);
            if found != Some(&wanted) {
                differences.push(format!("{name} is {found:?}, not {wanted:?}"));
            }
        }
        differences.extend(times(written));
        let known: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
        if known.len() != 10 || text(written, free).is_none_or(str::is_empty) {
            differences.push(format!("written on it is {known:?}"));
        }
        differences
    }

    /// The headers whose value is known beforehand, and the one that must be there.
    fn fixed(&self, original: &Record, group: &str) -> (Vec<(&'static str, String)>, &'static str) {
        let published = DateTime::from_timestamp_millis(original.timestamp).unwrap_or_default();
        let mut fixed = vec![
            (name::REASON, self.reason.to_owned()),
            (name::ATTEMPTS, self.attempts.to_string()),
            (name::ORIGIN_TOPIC, self.message.topic.to_string()),
            (name::ORIGIN_PARTITION, original.partition.to_string()),
            (name::ORIGIN_OFFSET, original.offset.to_string()),
            (name::ORIGIN_GROUP, group.to_owned()),
            (name::ORIGIN_TIMESTAMP, published.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
        ];
        fixed.extend(self.error.clone().map(|error| (name::ERROR, error)));
        (fixed, name::ERROR)
    }
}

/// It failed first after it was published and not after it failed last.
fn times(written: &[Header]) -> Option<String> {
    let at = |name| text(written, name).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let all = [name::ORIGIN_TIMESTAMP, name::FIRST_FAILED_AT, name::LAST_FAILED_AT].map(at);
    match all {
        [Some(published), Some(first), Some(last)] if published <= first && first <= last => None,
        _ => Some(format!("published, failed first and failed last are {all:?}")),
    }
}

fn text<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(have, _)| have == name)?;
    std::str::from_utf8(found.1.as_deref()?).ok()
}

pub(crate) fn headers_of(message: &Message) -> Vec<Header> {
    message.headers.iter().map(|(name, value)| (name.to_string(), value.map(|value| value.to_vec()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message: &Message) -> Record {
        Record {
            partition: 3,
            offset: 42,
            timestamp: 1000,
            key: message.key.as_ref().map(|key| key.to_vec()),
            payload: message.payload.as_ref().map(|payload| payload.to_vec()),
            headers: headers_of(message),
        }
    }

    fn expected() -> Expected {
        let message = Message::new("t", "{ }").key("k").header("mine", "1");
        Expected { name: "poison", step: None, message, reason: "permanent", attempts: 1, error: Some("no".into()) }
    }

    fn letter() -> Record {
        let mut letter = record(&expected().message);
        let written = [
            (name::REASON, "permanent"),
            (name::ERROR, "no"),
            (name::ORIGIN_TOPIC, "t"),
            (name::ORIGIN_PARTITION, "3"),
            (name::ORIGIN_OFFSET, "42"),
            (name::ORIGIN_TIMESTAMP, "1970-01-01T00:00:01.000Z"),
            (name::ORIGIN_GROUP, "g"),
            (name::ATTEMPTS, "1"),
            (name::FIRST_FAILED_AT, "1970-01-01T00:00:02.000Z"),
            (name::LAST_FAILED_AT, "1970-01-01T00:00:02.000Z"),
        ];
        letter.headers.extend(written.map(|(name, value)| (name.to_owned(), Some(value.as_bytes().to_vec()))));
        letter
    }

    #[test]
    fn a_letter_as_it_must_be_has_no_differences() {
        let original = record(&expected().message);
        assert_eq!(expected().differences(&letter(), &original, "g"), Vec::<String>::new());
    }

    #[test]
    fn every_value_that_is_another_shows() {
        let original = record(&expected().message);
        for at in 0..letter().headers.len() {
            let mut other = letter();
            other.headers[at].1 = Some(b"2".to_vec());
            let differences = expected().differences(&other, &original, "g");
            assert!(!differences.is_empty(), "{}", other.headers[at].0);
            other.headers.remove(at);
            assert!(!expected().differences(&other, &original, "g").is_empty());
        }
    }
}
