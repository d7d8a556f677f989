//! One completion for a whole batch: delivery reports are counted down, failures kept by index, and one waker called at
//! the end. Nothing is allocated per message.

use std::sync::Mutex;

use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::{oneshot, watch};

use crate::context::lock;

/// Failures by their index in the batch.
pub(crate) type Failures = Vec<(u32, Code)>;

/// Which message of which batch a delivery report is about. It travels through librdkafka as the number that a pointer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) slot: u32,
    pub(crate) index: u32,
}

const _: () = assert!(usize::BITS >= 64, "a ticket needs 64 bits");

impl Ticket {
    pub(crate) fn pack(self) -> usize {
        (self.slot as usize) << 32 | self.index as usize
    }

    pub(crate) fn unpack(packed: usize) -> Self {
        Self { slot: (packed >> 32) as u32, index: packed as u32 }
    }
}

/// A batch on its way.
#[derive(Debug)]
struct Receipt {
    /// How many were handed over; unknown until the last was.
    handed: Option<usize>,
    reported: usize,
    failures: Failures,
    done: Option<oneshot::Sender<Failures>>,
}

/// All batches on their way. A slot is used again when every report of its batch has come, so a late one cannot be taken
/// for another batch's.
#[derive(Debug)]
pub(crate) struct Receipts {
    slots: Mutex<Slots>,
    /// How many are open.
    open: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Slots {
    receipts: Vec<Option<Receipt>>,
    free: Vec<u32>,
}

impl Receipts {
    pub(crate) fn new() -> Self {
        Self { slots: Mutex::default(), open: watch::Sender::new(0) }
    }

    /// Opens one. The receiver gets the failures when all that was handed over is reported.
    pub(crate) fn open(&self) -> (u32, oneshot::Receiver<Failures>) {
        let (done, answer) = oneshot::channel();
        let receipt = Receipt { handed: None, reported: 0, failures: Vec::new(), done: Some(done) };
        let mut slots = lock(&self.slots);
        let slot = match slots.free.pop() {
            Some(slot) => {
                slots.receipts[slot as usize] = Some(receipt);
                slot
            }
            None => {
                slots.receipts.push(Some(receipt));
                (slots.receipts.len() - 1) as u32
            }
        };
        drop(slots);
        self.open.send_modify(|open| *open += 1);
        (slot, answer)
    }

    /// Takes in a delivery report.
    pub(crate) fn report(&self, ticket: Ticket, failure: Option<Code>) {
        let mut slots = lock(&self.slots);
        let Some(Some(receipt)) = slots.receipts.get_mut(ticket.slot as usize) else { return };
        receipt.reported += 1;
        receipt.failures.extend(failure.map(|code| (ticket.index, code)));
        // All but the last one.
        if receipt.handed != Some(receipt.reported) {
            return;
        }
        self.finish(slots, ticket.slot);
    }

    /// No more than `handed` messages of this batch will be reported.
    pub(crate) fn seal(&self, slot: u32, handed: usize) {
        let mut slots = lock(&self.slots);
        if let Some(Some(receipt)) = slots.receipts.get_mut(slot as usize) {
            receipt.handed = Some(handed);
        }
        self.finish(slots, slot);
    }

    fn finish(&self, mut slots: std::sync::MutexGuard<'_, Slots>, slot: u32) {
        let all = |receipt: &mut Receipt| receipt.handed == Some(receipt.reported);
        let Some(receipt) = slots.receipts.get_mut(slot as usize).and_then(|receipt| receipt.take_if(all)) else {
            return;
        };
        slots.free.push(slot);
        drop(slots);
        let Receipt { done, failures, .. } = receipt;
        if let Some(done) = done {
            // Nobody listens where the publish was dropped.
            let _ = done.send(failures);
        }
        self.open.send_modify(|open| *open -= 1);
    }

    /// Resolves when none is open.
    pub(crate) async fn all_closed(&self) {
        // Its sender is `self`.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    pub(crate) fn are_open(&self) -> bool {
        *self.open.borrow() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_packing() {
        for (slot, index) in [(0, 0), (1, u32::MAX), (u32::MAX, 1)] {
            let ticket = Ticket { slot, index };
            assert_eq!(Ticket::unpack(ticket.pack()), ticket);
        }
    }

    #[test]
    fn a_batch_is_done_with_its_last_report_and_names_its_failures() {
        let receipts = Receipts::new();
        let (slot, mut answer) = receipts.open();
        receipts.report(Ticket { slot, index: 1 }, Some(Code::MessageTimedOut));
        receipts.report(Ticket { slot, index: 0 }, None);
        assert!(answer.try_recv().is_err(), "not sealed yet");
        receipts.seal(slot, 3);
        assert!(answer.try_recv().is_err(), "one is missing");
        receipts.report(Ticket { slot, index: 2 }, None);
        assert_eq!(answer.try_recv().unwrap(), [(1, Code::MessageTimedOut)]);
        assert!(!receipts.are_open());
    }

    #[test]
    fn a_dropped_batch_frees_its_slot_when_its_reports_have_come() {
        let receipts = Receipts::new();
        let (slot, answer) = receipts.open();
        drop(answer);
        receipts.seal(slot, 1);
        let (other, _answer) = receipts.open();
        assert_ne!(slot, other);
        receipts.report(Ticket { slot, index: 0 }, None);
        assert_eq!(receipts.open().0, slot);
    }

    #[test]
    fn an_empty_batch_is_done_when_sealed() {
        let receipts = Receipts::new();
        let (slot, mut answer) = receipts.open();
        receipts.seal(slot, 0);
        assert!(answer.try_recv().unwrap().is_empty());
    }
}
