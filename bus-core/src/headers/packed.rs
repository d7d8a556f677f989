//! Headers behind each other in one piece of memory: for each the length of its name, the name, the length of its value
//! (or that it is null), the value.

use bytes::{BufMut, Bytes, BytesMut};

/// In place of a length.
const NULL: u32 = u32::MAX;

#[derive(Clone)]
pub(super) struct Packed(Bytes);

impl Packed {
    /// `None` where there are no headers.
    pub(super) fn write<'a, N: AsRef<str>>(
        buffer: &mut BytesMut,
        headers: impl IntoIterator<Item = (N, Option<&'a [u8]>)>,
    ) -> Option<Self> {
        let begin = buffer.len();
        for (name, value) in headers {
            put(buffer, name.as_ref().as_bytes());
            match value {
                Some(value) => put(buffer, value),
                None => buffer.put_u32_ne(NULL),
            }
        }
        (buffer.len() > begin).then(|| Self(buffer.split_off(begin).freeze()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        // It was text when it was written.
        Parts(&self.0).map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    /// [`iter`](Self::iter) without a look at whether names are text.
    pub(super) fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        Parts(&self.0)
    }

    pub(super) fn len(&self) -> usize {
        Parts(&self.0).count()
    }

    /// Bytes of all names and values.
    pub(super) fn size(&self) -> usize {
        Parts(&self.0).map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum()
    }

    pub(super) fn len_and_size(&self) -> (usize, usize) {
        let size = |(name, value): (&[u8], Option<&[u8]>)| name.len() + value.map_or(0, <[u8]>::len);
        Parts(&self.0).fold((0, 0), |(count, bytes), part| (count + 1, bytes + size(part)))
    }

    /// Every value of this name.
    pub(super) fn values_of(&self, name: &str) -> impl Iterator<Item = Option<&[u8]>> {
        Parts(&self.0).filter(move |(have, _)| *have == name.as_bytes()).map(|(_, value)| value)
    }
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
            prop_assert_eq!(&buffer[..], b"something before");
        }
    }
}
