//! The only unsafe code here: two calls of librdkafka for which rdkafka has no way that does what we need.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::CStr;
use std::ptr;
use std::slice;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::BorrowedHeaders;

/// Sends a commit of `offsets`, each the next one to read. Its answer comes as a call of
/// [`ConsumerContext::commit_callback`] out of `poll`.
///
/// `Consumer::commit` cannot do it: without waiting it never tells how it went (librdkafka drops the answer, a failure is
/// a line in its log), and waiting has no time-out and stops the group's callbacks meanwhile.
pub(crate) fn send<C: ConsumerContext>(consumer: &BaseConsumer<C>, offsets: &TopicPartitionList) -> Result<(), Code> {
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

/// The header at `index`: its name and value. A name that is not UTF-8 comes with replacement characters.
///
/// rdkafka's `Headers::get` panics at such a name, and anybody may have sent it.
pub(crate) fn header(headers: &BorrowedHeaders, index: usize) -> Option<(Cow<'_, str>, Option<&[u8]>)> {
    let list = ptr::from_ref(headers).cast::<native::rd_kafka_headers_t>();
    let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
    // SAFETY: a `BorrowedHeaders` is nothing but the address of librdkafka's list, which lives as long as the message it
    // is borrowed from. Name and value point into it; the name ends with a NUL, the value has `size` bytes.
    unsafe {
        let err = native::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size);
        if Code::from(err) != Code::NoError {
            return None;
        }
        let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), size));
        Some((CStr::from_ptr(name).to_string_lossy(), value))
    }
}
