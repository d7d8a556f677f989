//! A partition's queue read in batches.

use std::ffi::CString;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rdkafka::bindings as native;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::record::{Record, bytes};

/// Messages taken out of a queue by one call at most.
pub(crate) const BATCH: usize = 64;

/// The queue of one partition, split off the consumer's own.
pub(crate) struct Queue<C: ConsumerContext> {
    /// A reference of our own to the queue that `_split` has too.
    queue: NonNull<native::rd_kafka_queue_t>,
    /// Keeps the queue split off, its callback, and the consumer.
    _split: PartitionQueue<C>,
}

// SAFETY: librdkafka's queues may be used from any thread; that there is one reader at a time, `&mut` sees to.
unsafe impl<C: ConsumerContext> Send for Queue<C> {}

impl<C: ConsumerContext> Queue<C> {
    /// Splits it off. `wake` is called on a thread of librdkafka when something comes into the empty queue.
    pub(crate) fn split(
        consumer: &Arc<BaseConsumer<C>>,
        topic: &str,
        partition: i32,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Option<Self> {
        let mut split = consumer.split_partition_queue(topic, partition)?;
        split.set_nonempty_callback(wake);
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive, for `split` holds its consumer. The reference is ours, destroyed in `drop`.
        let queue =
            unsafe { native::rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition) };
        Some(Self { queue: NonNull::new(queue)?, _split: split })
    }

    /// Shows each of the next messages, at most `most` and at most [`BATCH`], and forgets them. Returns how
    /// many there were. Does not wait. What is wrong with the partition comes as an error in its turn.
    pub(crate) fn take(&mut self, most: usize, mut each: impl FnMut(Result<Record<'_>, Code>)) -> usize {
        let mut taken = Taken { messages: [ptr::null_mut(); BATCH], next: 0, count: 0 };
        // SAFETY: the queue lives as long as `self`, and `&mut self` keeps others from reading it meanwhile. At most as
        // many addresses are written as there is room for. This queue is not the consumer's own, on which a batch must
        // never be read: rebalances come there.
        let count = unsafe {
            native::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, taken.messages.as_mut_ptr(), most.min(BATCH))
        };
        taken.count = usize::try_from(count).unwrap_or(0);
        let count = taken.count;
        taken.bring_near();
        while let Some(message) = taken.next() {
            // SAFETY: librdkafka filled in the address of a message that is ours until it is destroyed, when `message` is
            // dropped, after `each`.
            let record = unsafe { message.0.as_ref() };
            match Code::from(record.err) {
                Code::NoError => each(Ok(Record(record))),
                code => each(Err(code)),
            }
        }
        count
    }
}

impl<C: ConsumerContext> Drop for Queue<C> {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and used nowhere else. It must go before the consumer, whose drop would wait for it
        // for ever; `_split`, dropped after this, holds the consumer.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

impl<C: ConsumerContext> fmt::Debug for Queue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}

/// Messages that are ours. Each is destroyed when it is through, and all of them when there is a panic between.
struct Taken {
    messages: [*mut native::rd_kafka_message_t; BATCH],
    next: usize,
    count: usize,
}

impl Taken {
    /// Looks at all of them once. librdkafka made them on another core, so the first look at each waits for it; waits that do
    /// not depend on each other go on at the same time, and here is nothing between them.
    fn bring_near(&self) {
        let first_byte = |message: &*mut native::rd_kafka_message_t| {
            // SAFETY: librdkafka filled in addresses of messages that are ours, and each says how long its payload is.
            let message = unsafe { message.as_ref() }?;
            // SAFETY: as for `Record::payload`.
            unsafe { bytes(message.payload, message.len) }?.first().copied()
        };
        let all = self.messages[..self.count].iter().filter_map(first_byte).fold(0, |all, byte| all ^ byte);
        std::hint::black_box(all);
    }

    fn next(&mut self) -> Option<Owned> {
        while self.next < self.count {
            let message = self.messages[self.next];
            self.next += 1;
            if let Some(message) = NonNull::new(message) {
                return Some(Owned(message));
            }
        }
        None
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        while self.next().is_some() {}
    }
}

struct Owned(NonNull<native::rd_kafka_message_t>);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: it is ours, and `Taken::next` gives each once.
        unsafe { native::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}
