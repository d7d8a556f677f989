//! Message headers: ordered, duplicates allowed, values may be null.

use std::sync::Arc;

use bytes::Bytes;

/// The headers of a message, in the order in which they were sent.
///
/// A name may occur more than once, and a value may be null (`None`), which is not the same as empty: Kafka has
/// both, and a transport that cannot carry one of them says so in its
/// [`Capabilities`](crate::transport::Capabilities). Names are matched exactly, case included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Arc<str>, Option<Bytes>)>);

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No headers yet, room for `capacity`.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Adds a header behind the others; one of the same name stays.
    pub fn append(&mut self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) {
        self.0.push((name.into(), Some(value.into())));
    }

    /// Adds a header, its value null where `None`.
    pub fn append_nullable(&mut self, name: impl Into<Arc<str>>, value: Option<Bytes>) {
        self.0.push((name.into(), value));
    }

    /// Sets a header: those of the same name go, the new one stands last.
    pub fn set(&mut self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) {
        let name = name.into();
        self.remove(&name);
        self.append(name, value);
    }

    /// Takes out every header of this name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(have, _)| &**have != name);
    }

    /// The last value of this name that is not null: the last one wins, as Kafka's own clients have it.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().rev().filter(|(have, _)| &**have == name).find_map(|(_, value)| value.as_ref())
    }

    /// [`get`](Self::get) as text; `None` too where it is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Option<&'a Bytes>> {
        self.0.iter().filter(move |(have, _)| &**have == name).map(|(_, value)| value.as_ref())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, Option<&Bytes>)> {
        self.0.iter().map(|(name, value)| (name, value.as_ref()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.map_or(0, Bytes::len)).sum()
    }
}

impl FromIterator<(Arc<str>, Option<Bytes>)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Option<Bytes>)>>(headers: I) -> Self {
        Self(headers.into_iter().collect())
    }
}

impl Extend<(Arc<str>, Option<Bytes>)> for Headers {
    fn extend<I: IntoIterator<Item = (Arc<str>, Option<Bytes>)>>(&mut self, headers: I) {
        self.0.extend(headers);
    }
}

impl IntoIterator for Headers {
    type Item = (Arc<str>, Option<Bytes>);
    type IntoIter = std::vec::IntoIter<Self::Item>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_that_is_not_null_wins() {
        let mut headers = Headers::new();
        headers.append("a", "1");
        headers.append("a", "2");
        headers.append_nullable("a", None);
        assert_eq!(headers.get_str("a"), Some("2"));
        assert_eq!(headers.get_all("a").count(), 3);
    }

    #[test]
    fn set_replaces_every_header_of_the_name() {
        let mut headers: Headers = [("a".into(), None), ("b".into(), None), ("a".into(), None)].into_iter().collect();
        headers.set("a", "x");
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get_str("a"), Some("x"));
    }
}
