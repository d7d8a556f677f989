//! The log shape: partitions that keep what was appended, and a reader's place in one.

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::Bytes;
use gulo_bus_core::message::Message;
use gulo_bus_core::settle::{Ledger, Run};
use gulo_bus_core::transport::Position;

/// One partition: messages from offset `first` on.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    first: i64,
    messages: VecDeque<Message>,
}

impl Partition {
    /// Appends.
    #[inline(always)]
    pub(crate) fn append(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    /// Appends `message`, in the place of the oldest where there are `retain`: its memory is at hand then, and nothing need be
    /// moved more than once. What is forgotten stands where `message` stood.
    #[inline(always)]
    pub(crate) fn append_retaining(&mut self, message: &mut Message, retain: usize) {
        if self.messages.len() < retain {
            let nothing = Message::tombstone(message.topic.clone());
            return self.append(std::mem::replace(message, nothing));
        }
        self.first += 1;
        if !self.messages.is_empty() {
            self.messages.rotate_left(1);
        }
        if let Some(oldest) = self.messages.back_mut() {
            std::mem::swap(oldest, message);
        }
    }

    /// Forgets what stands before `offset`, as retention does.
    pub(crate) fn forget_before(&mut self, offset: i64) {
        let gone = usize::try_from(offset.saturating_sub(self.first)).unwrap_or(0).min(self.messages.len());
        self.messages.drain(..gone);
        self.first += gone as i64;
    }

    /// Offset of the oldest message there is.
    pub(crate) fn start(&self) -> i64 {
        self.first
    }

    /// Offset that the next message gets.
    pub(crate) fn end(&self) -> i64 {
        self.first + self.messages.len() as i64
    }

    pub(crate) fn get(&self, offset: i64) -> Option<&Message> {
        self.messages.get(usize::try_from(offset.checked_sub(self.first)?).ok()?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter()
    }

    /// The offset that `position` means; one beyond the end means the end. What retention took stays an offset below
    /// the start, so that its reader is told of the gap.
    pub(crate) fn locate(&self, position: Position, committed: i64) -> i64 {
        match position {
            Position::Committed => committed,
            Position::Earliest => self.start(),
            Position::Latest => self.end(),
            Position::At(time) => self.first_at(time),
            Position::Offset(offset) => offset.clamp(0, self.end()),
        }
    }

    /// Timestamps need not rise along a log: the first message that fits, not a search by halves.
    fn first_at(&self, time: SystemTime) -> i64 {
        let found = self.messages.iter().position(|message| message.timestamp.is_some_and(|made| made >= time));
        found.map_or_else(|| self.end(), |index| self.first + index as i64)
    }
}

/// How far one lane has read a partition, and what of it is finished.
#[derive(Debug)]
pub(crate) struct LogFeed {
    pub(crate) next: i64,
    pub(crate) ledger: Ledger,
}

/// What a log has for its reader.
pub(crate) enum Read<'a> {
    /// The message at `offset`, handed out as number `seq`.
    Message { seq: u64, offset: i64, message: &'a Message },
    /// Retention went past the reader.
    Gap { from: i64, to: i64 },
    /// Nothing, or the window is full.
    Nothing,
}

impl LogFeed {
    /// From `next` on, but for what is `finished`.
    pub(crate) fn at(next: i64, finished: Vec<Run>) -> Self {
        Self { next, ledger: Ledger::inheriting(next, finished) }
    }

    /// Goes on by one message, or over a gap.
    #[inline]
    pub(crate) fn read<'a>(&mut self, partition: &'a Partition, window: usize) -> Read<'a> {
        if self.next < partition.start() {
            let from = std::mem::replace(&mut self.next, partition.start());
            return Read::Gap { from, to: self.next };
        }
        while self.ledger.span() < window
            && let Some(message) = partition.get(self.next)
        {
            let offset = self.next;
            self.next += 1;
            if let Some(seq) = self.ledger.arrive(offset) {
                return Read::Message { seq, offset, message };
            }
        }
        Read::Nothing
    }
}

/// The partition of `key` among `partitions`: as Java's Kafka clients have it, so that keys spread here as there.
pub(crate) fn partition_of(key: &Bytes, partitions: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % partitions.max(1)
}

/// MurmurHash2 with the seed of `org.apache.kafka.common.utils.Utils`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_javas_client() {
        // From the unit test of Kafka's own `Utils.murmur2`.
        let known: [(&str, i32); 6] = [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn a_reader_behind_the_retained_log_is_told_of_the_gap() {
        let mut partition = Partition::default();
        for payload in ["a", "b", "c"] {
            partition.append_retaining(&mut Message::new("t", payload), 2);
        }
        let mut feed = LogFeed::at(0, Vec::new());
        assert!(matches!(feed.read(&partition, 9), Read::Gap { from: 0, to: 1 }));
        assert!(matches!(feed.read(&partition, 9), Read::Message { seq: 0, offset: 1, .. }));
    }

    #[test]
    fn a_log_keeps_as_many_as_it_is_to_and_not_one_where_that_is_none() {
        for retain in 0..4 {
            let mut partition = Partition::default();
            for payload in ["a", "b", "c", "d", "e"] {
                partition.append_retaining(&mut Message::new("t", payload), retain);
            }
            let kept: Vec<_> = partition.iter().filter_map(|message| message.payload.as_deref()).collect();
            let all: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];
            assert_eq!((kept, partition.end()), (all[5 - retain..].to_vec(), 5), "{retain}");
        }
    }

    #[test]
    fn offsets_out_of_range_are_brought_into_it() {
        let mut partition = Partition::default();
        partition.append(Message::new("t", "a"));
        assert_eq!(partition.locate(Position::Offset(i64::MAX), 0), 1);
        assert_eq!(partition.locate(Position::Offset(i64::MIN), 0), 0);
        assert!(partition.get(i64::MIN).is_none());
        partition.forget_before(i64::MAX);
        assert_eq!((partition.start(), partition.end()), (1, 1));
    }
}
