//! Headers behind each other in one piece of memory: for each the length of its name, the name, the length of its value
//! (or that it is null), the value. Names that nearly every message has are a number in place of the length, and no more.

use bytes::{BufMut, Bytes, BytesMut};

/// In place of the length of a value.
const NULL: u32 = u32::MAX;

/// In place of the length of a name: from here on the numbers of known ones.
const KNOWN: u32 = u32::MAX - 15;

/// Those of CloudEvents. Told by a number they are neither copied nor compared, nor looked at for whether they are text.
const NAMES: [&str; 10] = [
    "content-type",
    "ce_specversion",
    "ce_id",
    "ce_type",
    "ce_source",
    "ce_time",
    "ce_dataversion",
    "ce_subject",
    "ce_correlationid",
    "ce_causationid",
];

#[inline(always)]
fn number_of(name: &str) -> Option<u32> {
    Some(match name {
        "content-type" => 0,
        "ce_specversion" => 1,
        "ce_id" => 2,
        "ce_type" => 3,
        "ce_source" => 4,
        "ce_time" => 5,
        "ce_dataversion" => 6,
        "ce_subject" => 7,
        "ce_correlationid" => 8,
        "ce_causationid" => 9,
        _ => return None,
    })
}

#[derive(Clone)]
pub(super) struct Packed {
    parts: Bytes,
    tally: Tally,
}

/// How many there are, and how many bytes names and values have: asked for more than once of each message.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    count: u32,
    /// Whose names have no number.
    others: u32,
    size: usize,
}

/// Headers being written behind each other to the end of a buffer.
pub(crate) struct Packing<'b> {
    buffer: &'b mut BytesMut,
    begin: usize,
    tally: Tally,
}

/// Headers that many messages have.
#[derive(Debug)]
pub(crate) struct Copied {
    parts: Vec<u8>,
    tally: Tally,
}

impl<'b> Packing<'b> {
    pub(crate) fn into(buffer: &'b mut BytesMut) -> Self {
        let begin = buffer.len();
        Self { buffer, begin, tally: Tally::default() }
    }

    /// Inlined: of a name that is known where this is called, its number is too.
    #[inline(always)]
    pub(crate) fn put(&mut self, name: &str, value: Option<&[u8]>) {
        match (number_of(name), value) {
            // The usual ones: both numbers at once.
            (Some(number), Some(value)) => {
                let value = cut(value);
                let numbers = [(KNOWN + number).to_ne_bytes(), (value.len() as u32).to_ne_bytes()];
                self.buffer.extend_from_slice(numbers.as_flattened());
                self.buffer.extend_from_slice(value);
            }
            (number, value) => self.put_other(name, number, value),
        }
        self.tally.count += 1;
        self.tally.size += name.len() + value.map_or(0, <[u8]>::len);
    }

    /// How many bytes are written.
    pub(crate) fn written(&self) -> usize {
        self.buffer.len() - self.begin
    }

    /// All that is written, to be [put once more](Self::put_copy).
    pub(crate) fn copy(&self) -> Copied {
        Copied { parts: self.buffer[self.begin..].to_vec(), tally: self.tally }
    }

    /// The same headers as elsewhere, before any other.
    pub(crate) fn put_copy(&mut self, copied: &Copied) {
        self.buffer.extend_from_slice(&copied.parts);
        self.tally = copied.tally;
    }

    /// Another value, as long as the one that ends `end` bytes behind the begin.
    pub(crate) fn replace(&mut self, end: usize, value: &[u8]) {
        let end = self.begin + end;
        self.buffer[end - value.len()..end].copy_from_slice(value);
    }

    fn put_other(&mut self, name: &str, number: Option<u32>, value: Option<&[u8]>) {
        match number {
            Some(number) => self.buffer.put_u32_ne(KNOWN + number),
            None => {
                put(self.buffer, name.as_bytes());
                self.tally.others += 1;
            }
        }
        match value {
            Some(value) => put(self.buffer, value),
            None => self.buffer.put_u32_ne(NULL),
        }
    }

    pub(super) fn finish(self) -> Option<Packed> {
        let Self { buffer, begin, tally } = self;
        if tally.count == 0 {
            return None;
        }
        // The room behind them stays the buffer's: `split_off(0)` would take it along.
        let parts = if begin == 0 { buffer.split() } else { buffer.split_off(begin) };
        Some(Packed { parts: parts.freeze(), tally })
    }
}

impl Packed {
    /// `None` where there are no headers.
    pub(super) fn write<'a, N: AsRef<str>>(
        buffer: &mut BytesMut,
        headers: impl IntoIterator<Item = (N, Option<&'a [u8]>)>,
    ) -> Option<Self> {
        let mut packing = Packing::into(buffer);
        headers.into_iter().for_each(|(name, value)| packing.put(name.as_ref(), value));
        packing.finish()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        // It was text when it was written.
        let text = |name| match name {
            Name::Known(name) => name,
            Name::Other(name) => std::str::from_utf8(name).unwrap_or_default(),
        };
        Parts(&self.parts).map(move |(name, value)| (text(name), value))
    }

    /// [`iter`](Self::iter) without a look at whether names are text.
    pub(super) fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        Parts(&self.parts).map(|(name, value)| (name.bytes(), value))
    }

    /// Whether `byte` is in any name, but for those of CloudEvents.
    pub(super) fn is_in_a_name(&self, byte: u8) -> bool {
        self.tally.others > 0
            && Parts(&self.parts).any(|(name, _)| matches!(name, Name::Other(name) if name.contains(&byte)))
    }

    pub(super) fn len(&self) -> usize {
        self.tally.count as usize
    }

    /// Bytes of all names and values.
    pub(super) fn size(&self) -> usize {
        self.tally.size
    }

    /// Every value of this name.
    pub(super) fn values_of(&self, name: &str) -> impl Iterator<Item = Option<&[u8]>> {
        Parts(&self.parts).filter(move |(have, _)| have.bytes() == name.as_bytes()).map(|(_, value)| value)
    }
}

fn put(buffer: &mut BytesMut, part: &[u8]) {
    let part = cut(part);
    buffer.put_u32_ne(part.len() as u32);
    buffer.put_slice(part);
}

/// What is longer than 4 GB is cut: no broker takes that much.
fn cut(part: &[u8]) -> &[u8] {
    part.get(..KNOWN as usize - 1).unwrap_or(part)
}

#[derive(Clone, Copy)]
enum Name<'a> {
    Known(&'static str),
    Other(&'a [u8]),
}

impl<'a> Name<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Known(name) => name.as_bytes(),
            Self::Other(name) => name,
        }
    }
}

/// Names and values.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_ne_bytes(*number))
    }

    fn part(&mut self, length: u32) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(part)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (Name<'a>, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = match self.number()? {
            number @ KNOWN.. => Name::Known(NAMES.get((number - KNOWN) as usize)?),
            length => Name::Other(self.part(length)?),
        };
        let value = match self.number()? {
            NULL => None,
            length => Some(self.part(length)?),
        };
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_known_name_has_the_number_of_its_place() {
        for (place, name) in NAMES.iter().enumerate() {
            assert_eq!(number_of(name), u32::try_from(place).ok(), "{name}");
        }
        assert!(KNOWN + (NAMES.len() as u32) < NULL);
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![".{0,9}", proptest::sample::select(&NAMES[..]).prop_map(str::to_owned)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            headers in proptest::collection::vec((name(), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9))), 0..9)
        ) {
            let mut buffer = BytesMut::from(&b"something before"[..]);
            let given = || headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            let packed = Packed::write(&mut buffer, given());
            let read: Vec<_> = packed.iter().flat_map(Packed::iter).collect();
            prop_assert_eq!(read, given().collect::<Vec<_>>());
            let sizes = given().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len));
            let counted = packed.as_ref().map_or((0, 0), |packed| (packed.len(), packed.size()));
            prop_assert_eq!(counted, (headers.len(), sizes.sum::<usize>()));
            let is_there = packed.as_ref().is_some_and(|packed| packed.is_in_a_name(0));
            prop_assert_eq!(is_there, given().any(|(name, _)| name.as_bytes().contains(&0)));
            prop_assert_eq!(&buffer[..], b"something before");
        }
    }

    #[test]
    fn the_room_behind_headers_is_left_for_what_comes_next() {
        let mut buffer = BytesMut::with_capacity(1024);
        for _ in 0..4 {
            assert!(Packed::write(&mut buffer, [("ce_id", Some(&b"1"[..]))]).is_some());
        }
        assert!(buffer.capacity() > 900, "{}", buffer.capacity());
    }
}
