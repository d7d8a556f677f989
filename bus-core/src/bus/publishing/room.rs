//! The memory that events are encoded into.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};

use crate::bus::limits::Checked;
use crate::envelope::Form;

/// Room for one event: what the last ones needed, between these. Thousands are in flight at a time, so room that nobody
/// needs costs more than to move one that is larger than most.
#[derive(Debug)]
pub(crate) struct Room(AtomicUsize);

const LEAST_ROOM: usize = 128;
const MOST_ROOM: usize = 2048;

/// Events of a batch share an allocation up to this many bytes. With more of them, who handles them on other cores would
/// contend for its count, and who keeps one would keep all; and above 1 KiB glibc's `malloc` tidies up before it gives.
const TOGETHER: usize = 1000;

impl Default for Room {
    fn default() -> Self {
        Self(AtomicUsize::new(384))
    }
}

impl Room {
    fn guess(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// More at once, less by and by.
    fn learn(&self, guess: usize, needed: usize) {
        let next = if needed > guess { needed.next_multiple_of(64) } else { guess - (guess - needed) / 64 };
        if next != guess {
            self.0.store(next.clamp(LEAST_ROOM, MOST_ROOM), Relaxed);
        }
    }

    /// Memory for `events` of one batch, or more where that is not known.
    pub(crate) fn sheet(&self, events: usize) -> Sheet<'_> {
        let form = if events > 1 { Form::of_many() } else { Form::of_one() };
        Sheet { room: self, buffer: BytesMut::new(), form, checked: Checked::default(), events, guess: 0 }
    }
}

/// Memory for the events of a batch, one after the other.
pub(crate) struct Sheet<'r> {
    room: &'r Room,
    pub(crate) buffer: BytesMut,
    pub(crate) form: Form,
    pub(crate) checked: Checked,
    /// Still to come.
    events: usize,
    /// For the one that is being encoded.
    guess: usize,
}

impl Sheet<'_> {
    /// There is room for one more event, unless it is larger than the others were.
    pub(crate) fn begin(&mut self) {
        // Half of an event that did not encode.
        self.buffer.clear();
        self.guess = self.room.guess();
        if self.buffer.capacity() < self.guess {
            let events = (TOGETHER / self.guess).clamp(1, self.events.max(1));
            self.buffer = BytesMut::with_capacity(self.guess * events);
        }
        self.events = self.events.saturating_sub(1);
    }

    /// A part of the event that lies elsewhere, and need not for as long as the event is kept.
    pub(crate) fn keep(&mut self, part: &[u8]) -> Bytes {
        self.buffer.extend_from_slice(part);
        self.buffer.split().freeze()
    }

    /// All parts of the event are split off: `needed` bytes.
    pub(crate) fn end(&mut self, needed: usize) {
        self.room.learn(self.guess, needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_what_the_last_events_needed_and_no_more_than_is_worth_it() {
        let room = Room::default();
        let learn = |needed| {
            room.learn(room.guess(), needed);
            room.guess()
        };
        assert_eq!((learn(1000), learn(1_000_000)), (1024, MOST_ROOM));
        for _ in 0..1000 {
            learn(10);
        }
        assert!((LEAST_ROOM..LEAST_ROOM + 128).contains(&room.guess()), "{room:?}");
    }

    #[test]
    fn a_few_events_share_an_allocation_and_one_alone_has_no_more_than_it_needs() {
        let room = Room::default();
        let allocated = |events| {
            let mut sheet = room.sheet(events);
            sheet.begin();
            sheet.buffer.capacity()
        };
        assert_eq!([0, 1, 2, 1000].map(allocated), [384, 384, 768, 768]);
    }

    #[test]
    fn half_of_an_event_does_not_stand_before_the_next_one() {
        let room = Room::default();
        let mut sheet = room.sheet(2);
        sheet.begin();
        sheet.buffer.extend_from_slice(b"half");
        sheet.begin();
        assert!(sheet.buffer.is_empty());
    }
}
