//! The only unsafe code here: calls of librdkafka for which rdkafka has no way that does what we need. A commit whose answer
//! can be awaited; a partition's queue read in batches, which costs 0.6 of what reading one by one does; a call when there is
//! something to poll; headers with names of any bytes.
#![allow(unsafe_code)]

mod describe;
mod fetch;
mod produce;
mod record;

use std::ffi::{CStr, CString, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use crate::token::OauthToken;
use crate::transaction::Failure;

pub(crate) use describe::{Described, Describing, rights};
pub(crate) use fetch::{BATCH, Queue};
pub(crate) use produce::{HeadersToSend, Parts, Topic};
pub(crate) use record::{HeaderList, Record};

use record::bytes;

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
