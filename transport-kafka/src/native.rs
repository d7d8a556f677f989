//! The only unsafe code here: calls of librdkafka for which rdkafka has no way that does what we need. A commit whose answer
//! can be awaited; a partition's queue read in batches, which costs 0.6 of what reading one by one does; a call when there is
//! something to poll; headers with names of any bytes.
#![allow(unsafe_code)]

mod describe;
mod produce;

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::BorrowedHeaders;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use crate::token::OauthToken;
use crate::transaction::Failure;

pub(crate) use describe::{Described, Describing, rights};
pub(crate) use produce::{HeadersToSend, Parts, Topic};

/// Sends a commit of `offsets`, each the next one to read. Its answer comes as a call of
/// [`ConsumerContext::commit_callback`] out of `poll`.
///
/// `Consumer::commit` cannot do it: without waiting it never tells how it went (librdkafka drops the answer, a failure is
/// a line in its log), and waiting has no time-out and stops the group's callbacks meanwhile.
pub(crate) fn commit<C: ConsumerContext>(consumer: &BaseConsumer<C>, offsets: &TopicPartitionList) -> Result<(), Code> {
    let client = consumer.client().native_ptr();
    // SAFETY: the client is alive for as long as `consumer` is borrowed. The queue is a new reference, destroyed below;
    // the pending commit holds its own to the queue underneath. librdkafka copies the list. Without a callback it makes an
    // OFFSET_COMMIT event on the queue, which rdkafka handles.
    let err = unsafe {
        let queue = native::rd_kafka_queue_get_consumer(client);
        if queue.is_null() {
            return Err(Code::UnknownGroup);
        }
        let err = native::rd_kafka_commit_queue(client, offsets.ptr(), queue, None, ptr::null_mut());
        native::rd_kafka_queue_destroy(queue);
        err
    };
    match Code::from(err) {
        Code::NoError => Ok(()),
        code => Err(code),
    }
}

/// Tells a client of brokers, as `bootstrap.servers` did. Returns how many of these it knows now.
pub(crate) fn add_brokers<C: ClientContext>(client: &Client<C>, servers: &CStr) -> i32 {
    // SAFETY: the client is alive while it is borrowed, and the text ends with a NUL; librdkafka copies it.
    unsafe { native::rd_kafka_brokers_add(client.native_ptr(), servers.as_ptr()) }
}

/// Commits the open transaction of a producer that somebody polls. `Producer::commit_transaction` flushes first, which takes
/// 100 ms whether there is anything or not; librdkafka's own call waits for what is on its way by itself.
pub(crate) fn commit_transaction<C: ProducerContext>(
    producer: &BaseProducer<C>,
    timeout: Duration,
) -> Result<(), Failure> {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive while it is borrowed. The error, if there is one, is ours, read and then destroyed.
    unsafe {
        let error = native::rd_kafka_commit_transaction(producer.client().native_ptr(), millis);
        if error.is_null() {
            return Ok(());
        }
        let failure = Failure {
            code: native::rd_kafka_error_code(error).into(),
            said: CStr::from_ptr(native::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
            retriable: native::rd_kafka_error_is_retriable(error) != 0,
            aborts: native::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        native::rd_kafka_error_destroy(error);
        Err(failure)
    }
}

/// Gives a client the token that it logs in with. rdkafka can only be asked for one, from `poll`, and knows no extensions.
pub(crate) fn give_token<C: ClientContext>(client: &Client<C>, token: &OauthToken) -> Result<(), Code> {
    let text = |text: &str| CString::new(text).map_err(|_| Code::InvalidArgument);
    let (value, principal) = (text(&token.token)?, text(&token.principal)?);
    let extensions = token.extensions.iter().flat_map(|(name, value)| [name, value]);
    let extensions = extensions.map(|part| text(part)).collect::<Result<Vec<_>, _>>()?;
    let mut parts: Vec<_> = extensions.iter().map(|part| part.as_ptr()).collect();
    let mut said = [0; 512];
    // SAFETY: the client is alive while it is borrowed. All texts end with a NUL and live until the call returns, which copies
    // them; `parts` has as many pointers as are said, and `said` as many bytes.
    let err = unsafe {
        native::rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.expires_millis(),
            principal.as_ptr(),
            parts.as_mut_ptr(),
            parts.len(),
            said.as_mut_ptr(),
            said.len(),
        )
    };
    match Code::from(err) {
        Code::NoError => Ok(()),
        // What librdkafka says besides may quote the token.
        code => Err(code),
    }
}

/// The metadata of each partition of `list`, in its order. rdkafka's own `metadata` panics where somebody wrote what is not
/// UTF-8.
pub(crate) fn metadata(list: &TopicPartitionList) -> Vec<Vec<u8>> {
    // SAFETY: the list is alive while it is borrowed, and has `cnt` elements behind each other.
    let elements = unsafe {
        let list = &*list.ptr();
        match usize::try_from(list.cnt) {
            Ok(count) if count > 0 => slice::from_raw_parts(list.elems, count),
            _ => &[],
        }
    };
    // SAFETY: librdkafka gives address and length of memory that lives as long as the list.
    elements.iter().map(|one| unsafe { bytes(one.metadata, one.metadata_size) }.unwrap_or_default().to_vec()).collect()
}

/// Calls somebody when something comes into a client's empty main queue, until it is dropped.
pub(crate) struct Alarm {
    queue: NonNull<native::rd_kafka_queue_t>,
    /// librdkafka has its address.
    _ring: Box<Box<dyn Fn() + Send + Sync>>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Alarm {}

impl Alarm {
    /// It must be dropped before the producer is.
    pub(crate) fn set<C: ProducerContext>(
        producer: &BaseProducer<C>,
        ring: impl Fn() + Send + Sync + 'static,
    ) -> Option<Self> {
        unsafe extern "C" fn ring_it(_: *mut native::rd_kafka_t, opaque: *mut c_void) {
            // SAFETY: it is the address of `_ring`, which is there until the callback is switched off.
            let ring = unsafe { &*opaque.cast_const().cast::<Box<dyn Fn() + Send + Sync>>() };
            ring();
        }
        let ring: Box<Box<dyn Fn() + Send + Sync>> = Box::new(Box::new(ring));
        // SAFETY: the client is alive while `producer` is borrowed. The reference to its queue is ours, destroyed in `drop`.
        let queue = NonNull::new(unsafe { native::rd_kafka_queue_get_main(producer.client().native_ptr()) })?;
        // SAFETY: the callback finds `ring` where it is until `drop`, which switches it off first.
        unsafe {
            let opaque = ptr::from_ref(&*ring).cast_mut().cast();
            native::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(ring_it), opaque);
        }
        Some(Self { queue, _ring: ring })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: the queue is ours. Switching the callback off takes the queue's lock, which is held while it is called.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            native::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}

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

/// A message in librdkafka's memory.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a>(&'a native::rd_kafka_message_t);

impl<'a> Record<'a> {
    pub(crate) fn offset(self) -> i64 {
        self.0.offset
    }

    pub(crate) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: librdkafka gives address and length of memory that lives as long as the message.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub(crate) fn payload(self) -> Option<&'a [u8]> {
        // SAFETY: as for the key.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// In milliseconds since 1970, where there is one.
    pub(crate) fn timestamp(self) -> Option<i64> {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let millis = unsafe { native::rd_kafka_message_timestamp(self.0, &mut kind) };
        let known = kind != native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        (known && millis != -1).then_some(millis)
    }

    /// librdkafka parses them at this call, with an allocation for each.
    pub(crate) fn headers(self) -> HeaderList<'a> {
        let mut list = ptr::null_mut();
        // SAFETY: the message is alive, and owns the list that it gives out.
        let err = unsafe { native::rd_kafka_message_headers(self.0, &mut list) };
        let list = if Code::from(err) == Code::NoError { NonNull::new(list) } else { None };
        HeaderList(list, PhantomData)
    }
}

/// # Safety
///
/// `start` is null, or the address of `length` bytes that live as long as `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast::<u8>(), length) })
}

/// The headers of a message, if it has any.
#[derive(Clone, Copy)]
pub(crate) struct HeaderList<'a>(Option<NonNull<native::rd_kafka_headers_t>>, PhantomData<&'a ()>);

impl<'a> HeaderList<'a> {
    pub(crate) fn of(headers: Option<&'a BorrowedHeaders>) -> Self {
        // A `BorrowedHeaders` is nothing but the address of librdkafka's list.
        Self(headers.map(|headers| NonNull::from(headers).cast()), PhantomData)
    }

    /// Name and value of each. A name that is not UTF-8 comes with replacement characters: rdkafka's own `Headers::get`
    /// panics at it, and anybody may have sent it.
    pub(crate) fn iter(self) -> impl Iterator<Item = (Cow<'a, str>, Option<&'a [u8]>)> {
        (0..).map_while(move |index| self.get(index))
    }

    fn get(self, index: usize) -> Option<(Cow<'a, str>, Option<&'a [u8]>)> {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list lives as long as the message that it is borrowed from. Name and value point into the list; the name ends with a NUL, the value has `size`
        // bytes. Behind the last one there is an error.
        unsafe {
            let err = native::rd_kafka_header_get_all(self.0?.as_ptr(), index, &mut name, &mut value, &mut size);
            if Code::from(err) != Code::NoError {
                return None;
            }
            Some((CStr::from_ptr(name).to_string_lossy(), bytes(value, size)))
        }
    }
}
