//! Message headers: ordered, duplicates allowed, values may be null. A handler takes them as [`Headers`];
//! [`Outgoing::header`](crate::event::Outgoing::header) sends one more with an event.
//!
//! ```
//! # use gulo_bus_core::event::IntegrationEvent;
//! # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
//! # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
//! # use gulo_bus_core::handler::Event;
//! # use gulo_bus_core::headers::Headers;
//! async fn on_user(_: Event<UserRegistered>, headers: Headers) {
//!     println!("tenant {:?}", headers.get_str("tenant"));
//! }
//! ```

mod packed;

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use packed::Packed;
pub(crate) use packed::{Copied, Packing};

/// The headers of a message, in the order in which they were sent.
///
/// A name may occur more than once, and a value may be null (`None`), which is not the same as empty: Kafka has
/// both, and a transport that cannot carry one of them says so in its
/// [`Capabilities`](crate::transport::Capabilities). Names are matched exactly, case included.
///
/// Cloning is cheap: the headers are shared until one side changes them. Those of a message received lie behind each
/// other in one piece of memory, and are found by going through it: messages are many, headers few, and most are never
/// asked for.
///
/// ```
/// # use gulo_bus_core::headers::Headers;
/// let mut headers = Headers::new();
/// headers.append("tenant", "7");
/// headers.append("tenant", "8");
/// headers.append_nullable("empty", None);
/// assert_eq!(headers.get_str("tenant"), Some("8")); // the last one wins
/// assert_eq!(headers.get_all("tenant").count(), 2);
/// assert_eq!(headers.get("empty"), None);
/// headers.set("tenant", "9");
/// headers.remove("empty");
/// assert_eq!((headers.len(), headers.size()), (1, "tenant".len() + "9".len()));
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    list: Option<Arc<Vec<Entry>>>,
    /// In place of a list, until something is changed.
    packed: Option<Packed>,
}

type Entry = (Arc<str>, Option<Bytes>);

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self { list: None, packed: None }
    }

    /// Headers written behind each other to the end of `buffer`, whose memory they share: no allocation for each. For
    /// transports.
    ///
    /// ```
    /// # use gulo_bus_core::headers::Headers;
    /// let mut buffer = bytes::BytesMut::with_capacity(64);
    /// let headers = Headers::pack(&mut buffer, [("tenant", Some(b"7".as_slice())), ("empty", None)]);
    /// assert_eq!((headers.get_str("tenant"), headers.len()), (Some("7"), 2));
    /// ```
    pub fn pack<'a, N: AsRef<str>>(
        buffer: &mut BytesMut,
        headers: impl IntoIterator<Item = (N, Option<&'a [u8]>)>,
    ) -> Self {
        Self { list: None, packed: Packed::write(buffer, headers) }
    }

    pub(crate) fn packed(packing: Packing<'_>) -> Self {
        Self { list: None, packed: packing.finish() }
    }

    /// Adds a header behind the others; one of the same name stays.
    pub fn append(&mut self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) {
        self.list().push((name.into(), Some(value.into())));
    }

    /// Adds a header, its value null where `None`.
    pub fn append_nullable(&mut self, name: impl Into<Arc<str>>, value: Option<Bytes>) {
        self.list().push((name.into(), value));
    }

    /// Sets a header: those of the same name go, the new one stands last.
    pub fn set(&mut self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) {
        let name = name.into();
        self.remove(&name);
        self.append(name, value);
    }

    /// Takes out every header of this name.
    pub fn remove(&mut self, name: &str) {
        self.retain(|have| have != name);
    }

    /// Takes out every header whose name is not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        if self.iter().any(|(name, _)| !keep(name)) {
            self.list().retain(|(name, _)| keep(name));
        }
    }

    /// The last value of this name that is not null: the last one wins, as Kafka's own clients have it
    /// ([`lastHeader`]).
    ///
    /// [`lastHeader`]: https://github.com/apache/kafka/blob/4.1.0/clients/src/main/java/org/apache/kafka/common/header/Headers.java
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        match &self.packed {
            Some(packed) => packed.values_of(name).flatten().last(),
            None => self.get_all(name).flatten().last(),
        }
    }

    /// [`get`](Self::get) for several names, by going through the headers once. Inlined: what is asked of every message
    /// is asked for by names that are known, which then cost a comparison or two.
    #[inline(always)]
    pub(crate) fn get_each<const N: usize>(&self, names: [&str; N]) -> [Option<&[u8]>; N] {
        match (&self.packed, &self.list) {
            (Some(packed), _) => last_of_each(names, packed.iter_bytes()),
            (None, Some(list)) => {
                last_of_each(names, list.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())))
            }
            (None, None) => [None; N],
        }
    }

    /// [`get`](Self::get) as text; `None` too where it is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of this name, in order.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = Option<&'a [u8]>> {
        let list = self.list.iter().flat_map(|list| list.iter()).filter(move |(have, _)| &**have == name);
        let packed = self.packed.iter().flat_map(move |packed| packed.values_of(name));
        list.map(|(_, value)| value.as_deref()).chain(packed)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let list = self.list.iter().flat_map(|list| list.iter()).map(|(name, value)| (&**name, value.as_deref()));
        list.chain(self.packed.iter().flat_map(Packed::iter))
    }

    /// Whether a name has a NUL in it: quicker than to look at them as text.
    #[doc(hidden)]
    pub fn is_nul_in_a_name(&self) -> bool {
        let listed = self.list.iter().flat_map(|list| list.iter()).any(|(name, _)| name.as_bytes().contains(&0));
        listed || self.packed.as_ref().is_some_and(|packed| packed.is_in_a_name(0))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match (&self.packed, &self.list) {
            (Some(packed), _) => packed.len(),
            (None, Some(list)) => list.len(),
            (None, None) => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// [`len`](Self::len) and [`size`](Self::size).
    pub(crate) fn len_and_size(&self) -> (usize, usize) {
        (self.len(), self.size())
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        let listed = |(name, value): &Entry| name.len() + value.as_ref().map_or(0, Bytes::len);
        match (&self.packed, &self.list) {
            (Some(packed), _) => packed.size(),
            (None, Some(list)) => list.iter().map(listed).sum(),
            (None, None) => 0,
        }
    }

    /// To be changed: as a list of our own.
    fn list(&mut self) -> &mut Vec<Entry> {
        if let Some(packed) = self.packed.take() {
            self.list = Some(Arc::new(packed.iter().map(owned).collect()));
        }
        Arc::make_mut(self.list.get_or_insert_default())
    }
}

#[inline(always)]
fn last_of_each<'a, const N: usize>(
    names: [&str; N],
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> [Option<&'a [u8]>; N] {
    let mut values = [None; N];
    for (name, value) in headers {
        for (wanted, found) in names.iter().zip(&mut values) {
            if wanted.as_bytes() == name {
                *found = value.or(*found);
            }
        }
    }
    values
}

fn owned((name, value): (&str, Option<&[u8]>)) -> Entry {
    (name.into(), value.map(Bytes::copy_from_slice))
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, value)| (name, value.map(Bytes::copy_from_slice)))).finish()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl FromIterator<Entry> for Headers {
    fn from_iter<I: IntoIterator<Item = Entry>>(headers: I) -> Self {
        Self { list: Some(Arc::new(headers.into_iter().collect())), packed: None }
    }
}

impl IntoIterator for Headers {
    type Item = (Arc<str>, Option<Bytes>);
    type IntoIter = std::vec::IntoIter<Self::Item>;
    fn into_iter(mut self) -> Self::IntoIter {
        self.list();
        self.list.map(Arc::unwrap_or_clone).unwrap_or_default().into_iter()
    }
}

impl Extend<Entry> for Headers {
    fn extend<I: IntoIterator<Item = Entry>>(&mut self, headers: I) {
        self.list().extend(headers);
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
        assert_eq!(headers.get_each(["b", "a"]), [None, Some(&b"2"[..])]);
        assert_eq!(headers.get_all("a").count(), 3);
    }

    #[test]
    fn set_replaces_every_header_of_the_name() {
        let mut headers: Headers = [("a".into(), None), ("b".into(), None), ("a".into(), None)].into_iter().collect();
        headers.set("a", "x");
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get_str("a"), Some("x"));
    }

    #[test]
    fn packed_headers_are_changed_like_others_and_leave_their_copies_alone() {
        let packed = Headers::pack(&mut BytesMut::new(), [("a", Some(&b"1"[..])), ("b", None)]);
        let mut changed = packed.clone();
        changed.append("c", "3");
        changed.remove("a");
        let expected: Headers = [("b".into(), None), ("c".into(), Some("3".into()))].into_iter().collect();
        assert_eq!(changed, expected);
        assert_eq!((packed.len(), packed.get("a")), (2, Some(&b"1"[..])));
    }
}
