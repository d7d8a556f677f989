//! One receipt a batch: delivery reports count it down, the last one wakes its publisher.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gulo_bus_core::Error;
use gulo_bus_core::transport::Outcome;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use tokio::sync::{Notify, oneshot};

use crate::context::{self, Health};
use crate::error;

/// A message that was not confirmed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) index: usize,
    pub(crate) reason: Reason,
}

#[derive(Debug)]
pub(crate) enum Reason {
    /// By its delivery report.
    Reported(RDKafkaErrorCode),
    /// Before it was handed over.
    Kept(Outcome, Error),
}

impl Reason {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Reported(code) => error::outcome(*code),
            Self::Kept(outcome, _) => *outcome,
        }
    }

    pub(crate) fn error(self, topic: &str) -> Error {
        match self {
            Self::Reported(code) => error::of_delivery(topic, code),
            Self::Kept(_, error) => error,
        }
    }
}

struct Receipt {
    /// Reports to come, and one for the publisher that is still handing over.
    open: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
    done: Mutex<Option<oneshot::Sender<Vec<Failure>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receipt {
    fn fail(&self, index: usize, reason: Reason) {
        lock(&self.failures).push(Failure { index, reason });
    }

    /// Whether that was the last one.
    fn count_down(&self) -> bool {
        if self.open.fetch_sub(1, SeqCst) != 1 {
            return false;
        }
        let mut failures = std::mem::take(&mut *lock(&self.failures));
        failures.sort_by_key(|failure| failure.index);
        if let Some(done) = lock(&self.done).take() {
            // A publisher that has gone away does not want to know.
            let _ = done.send(failures);
        }
        true
    }
}

/// The receipts of all batches under way. A message's opaque is a number: the slot of its receipt and its place in the
/// batch, so reports need no allocation each.
#[derive(Default)]
pub(crate) struct Receipts {
    slots: Mutex<Slots>,
    room: Notify,
}

#[derive(Default)]
struct Slots {
    receipts: Vec<Option<Arc<Receipt>>>,
    free: Vec<usize>,
}

impl Receipts {
    /// A receipt for a batch of `count`.
    pub(crate) fn open(&self, count: usize) -> (Ticket<'_>, oneshot::Receiver<Vec<Failure>>) {
        let (done, wait) = oneshot::channel();
        let receipt = Arc::new(Receipt {
            open: AtomicUsize::new(count + 1),
            failures: Mutex::default(),
            done: Mutex::new(Some(done)),
        });
        let mut slots = lock(&self.slots);
        let slot = slots.free.pop().unwrap_or(slots.receipts.len());
        if slot == slots.receipts.len() {
            slots.receipts.push(None);
        }
        slots.receipts[slot] = Some(Arc::clone(&receipt));
        drop(slots);
        (
            Ticket {
                receipts: self,
                receipt,
                slot,
                unsent: AtomicUsize::new(count),
            },
            wait,
        )
    }

    /// Becomes ready when a message left the client's queue after this call.
    pub(crate) fn room(&self) -> std::pin::Pin<Box<tokio::sync::futures::Notified<'_>>> {
        let mut room = Box::pin(self.room.notified());
        room.as_mut().enable();
        room
    }

    fn report(&self, opaque: usize, failure: Option<RDKafkaErrorCode>) {
        let (slot, index) = (opaque >> INDEX_BITS, opaque & INDEX_MASK);
        let receipt = lock(&self.slots).receipts.get(slot).cloned().flatten();
        let Some(receipt) = receipt else { return };
        if let Some(code) = failure {
            receipt.fail(index, Reason::Reported(code));
        }
        self.finish_one(&receipt, slot);
        self.room.notify_waiters();
    }

    fn finish_one(&self, receipt: &Receipt, slot: usize) {
        if receipt.count_down() {
            let mut slots = lock(&self.slots);
            slots.receipts[slot] = None;
            slots.free.push(slot);
        }
    }
}

const INDEX_BITS: u32 = 32;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

/// The publisher's hold on its receipt while it hands messages over. Dropped early (the publish was cancelled), it counts
/// those that were never handed over as over.
pub(crate) struct Ticket<'a> {
    receipts: &'a Receipts,
    receipt: Arc<Receipt>,
    slot: usize,
    /// Messages for which no report will come, as none was handed over for them yet.
    unsent: AtomicUsize,
}

impl Ticket<'_> {
    pub(crate) fn opaque(&self, index: usize) -> usize {
        (self.slot << INDEX_BITS) | index
    }

    /// The message of `index` was not handed over.
    pub(crate) fn refuse(&self, index: usize, outcome: Outcome, error: Error) {
        self.receipt.fail(index, Reason::Kept(outcome, error));
        self.receipts.finish_one(&self.receipt, self.slot);
        self.unsent.fetch_sub(1, SeqCst);
    }

    /// One was handed over: its report will come.
    pub(crate) fn sent(&self) {
        self.unsent.fetch_sub(1, SeqCst);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        for _ in 0..=self.unsent.load(SeqCst) {
            self.receipts.finish_one(&self.receipt, self.slot);
        }
    }
}

pub(crate) struct Callbacks {
    pub(crate) health: Arc<Health>,
    pub(crate) receipts: Arc<Receipts>,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        context::log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::note_error(&self.health, &error, reason);
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let failure = result
            .as_ref()
            .err()
            .map(|(error, _)| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail));
        if failure.is_none() {
            self.health.up();
        }
        self.receipts.report(opaque, failure);
    }
}
