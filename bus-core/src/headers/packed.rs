//! Headers behind each other in one piece of memory: for each the length of its name, the name, the length of its value
//! (or that it is null), the value.

use bytes::{BufMut, Bytes, BytesMut};

/// In place of a length.
const NULL: u32 = u32::MAX;

#[derive(Clone)]
pub(super) struct Packed {
    parts: Bytes,
    /// How many there are, and how many bytes names and values have: asked for more than once of each message.
    count: usize,
    size: usize,
}

impl Packed {
    /// `None` where there are no headers.
    pub(super) fn write<'a, N: AsRef<str>>(
        buffer: &mut BytesMut,
        headers: impl IntoIterator<Item = (N, Option<&'a [u8]>)>,
    ) -> Option<Self> {
        let (begin, mut count) = (buffer.len(), 0);
        for (name, value) in headers {
            put(buffer, name.as_ref().as_bytes());
            match value {
                Some(value) => put(buffer, value),
                None => buffer.put_u32_ne(NULL),
            }
            count += 1;
        }
        let size = buffer.len() - begin - count * 2 * size_of::<u32>();
        (count > 0).then(|| Self { parts: buffer.split_off(begin).freeze(), count, size })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        Parts(&self.parts).map(|(name, value)| (text(name), value))
    }

    /// [`iter`](Self::iter) without a look at whether names are text.
    pub(super) fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        Parts(&self.parts)
    }

    /// Whether `byte` is in any name. Those that are known have no odd ones.
    pub(super) fn is_in_a_name(&self, byte: u8) -> bool {
        Parts(&self.parts).any(|(name, _)| known(name).is_none() && name.contains(&byte))
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Bytes of all names and values.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Every value of this name.
    pub(super) fn values_of(&self, name: &str) -> impl Iterator<Item = Option<&[u8]>> {
        Parts(&self.parts).filter(move |(have, _)| *have == name.as_bytes()).map(|(_, value)| value)
    }
}

/// It was text when it was written.
fn text(name: &[u8]) -> &str {
    known(name).unwrap_or_else(|| std::str::from_utf8(name).unwrap_or_default())
}

/// Names that nearly every message has: to compare them costs less than to look whether they are text.
fn known(name: &[u8]) -> Option<&'static str> {
    Some(match name {
        b"content-type" => "content-type",
        b"ce_id" => "ce_id",
        b"ce_type" => "ce_type",
        b"ce_source" => "ce_source",
        b"ce_specversion" => "ce_specversion",
        b"ce_time" => "ce_time",
        b"ce_dataversion" => "ce_dataversion",
        b"ce_subject" => "ce_subject",
        b"ce_correlationid" => "ce_correlationid",
        b"ce_causationid" => "ce_causationid",
        _ => return None,
    })
}

/// What is longer than 4 GB is cut: no broker takes that much.
fn put(buffer: &mut BytesMut, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(NULL).min(NULL - 1);
    buffer.put_u32_ne(length);
    buffer.put_slice(&part[..length as usize]);
}

/// Names and values.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    /// The next part: `Some(None)` where it is null, `None` behind the last.
    fn part(&mut self) -> Option<Option<&'a [u8]>> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = u32::from_ne_bytes(*length);
        if length == NULL {
            self.0 = rest;
            return Some(None);
        }
        let (part, rest) = rest.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(Some(part))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.part()??, self.part()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            headers in proptest::collection::vec((".{0,9}", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9))), 0..9)
        ) {
            let mut buffer = BytesMut::from(&b"something before"[..]);
            let given = || headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            let packed = Packed::write(&mut buffer, given());
            let read: Vec<_> = packed.iter().flat_map(Packed::iter).collect();
            prop_assert_eq!(read, given().collect::<Vec<_>>());
            let sizes = given().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len));
            let counted = packed.as_ref().map_or((0, 0), |packed| (packed.len(), packed.size()));
            prop_assert_eq!(counted, (headers.len(), sizes.sum::<usize>()));
            for byte in [0, b'a'] {
                let is_there = packed.as_ref().is_some_and(|packed| packed.is_in_a_name(byte));
                prop_assert_eq!(is_there, given().any(|(name, _)| name.as_bytes().contains(&byte)));
            }
            prop_assert_eq!(&buffer[..], b"something before");
        }
    }
}
