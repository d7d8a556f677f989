//! Handing messages over to librdkafka. `BaseProducer::send` looks the topic up by its name for each message, and copies the
//! name of each header before librdkafka does: a tenth of what a publish with the headers of an event costs.

use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use rdkafka::bindings as native;
use rdkafka::bindings::rd_kafka_vtype_t as vtype;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// `RD_KAFKA_PARTITION_UA`: the partitioner chooses.
const UNASSIGNED: i32 = -1;

/// A topic of a producer, looked up once for many messages.
pub(crate) struct Topic<'p, C: ProducerContext> {
    native: NonNull<native::rd_kafka_topic_t>,
    producer: &'p BaseProducer<C>,
}

// SAFETY: librdkafka counts the references to a topic, and its functions take them on any thread.
unsafe impl<C: ProducerContext> Send for Topic<'_, C> {}
// SAFETY: as above; none of ours changes it.
unsafe impl<C: ProducerContext> Sync for Topic<'_, C> {}

impl<C: ProducerContext> Drop for Topic<'_, C> {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the producer is still alive.
        unsafe { native::rd_kafka_topic_destroy(self.native.as_ptr()) }
    }
}

/// What a message consists of. Nothing of it is kept: librdkafka copies all.
pub(crate) struct Parts<'a> {
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    /// In milliseconds since 1970; now where there is none.
    pub(crate) timestamp: Option<i64>,
    pub(crate) headers: Option<HeadersToSend>,
    /// Given back by the delivery report.
    pub(crate) opaque: usize,
}

impl<'p, C: ProducerContext<DeliveryOpaque = usize>> Topic<'p, C> {
    /// Asks nobody: one that is not there is told by the delivery reports.
    pub(crate) fn of(producer: &'p BaseProducer<C>, name: &str) -> Result<Self, Code> {
        let name = CString::new(name).map_err(|_| Code::InvalidTopic)?;
        // SAFETY: the producer is alive while it is borrowed, and the name ends with a NUL. Without a configuration of its own
        // a topic has the producer's. The reference is ours until it is dropped.
        let topic =
            unsafe { native::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut()) };
        // SAFETY: reads a number of this thread.
        let code = || Code::from(unsafe { native::rd_kafka_last_error() });
        Ok(Self { native: NonNull::new(topic).ok_or_else(code)?, producer })
    }

    /// Hands a message over; fails with [`Code::QueueFull`] where there is no room for now.
    pub(crate) fn send(&self, parts: Parts<'_>) -> Result<(), Code> {
        let bytes =
            |part: Option<&[u8]>| part.map_or((ptr::null(), 0), |part| (part.as_ptr().cast::<c_void>(), part.len()));
        let ((key, key_length), (payload, payload_length)) = (bytes(parts.key), bytes(parts.payload));
        let headers = parts.headers.as_ref().map_or(ptr::null_mut(), |headers| headers.0.as_ptr());
        // SAFETY: producer and topic are alive, and of each other. Each tag is followed by what it takes, of that type; addresses
        // and lengths are of slices that live until the call returns, which copies them. The opaque is a number that rdkafka
        // hands to the context's `delivery` as it is.
        let err = unsafe {
            native::rd_kafka_producev(
                self.producer.client().native_ptr(),
                vtype::RD_KAFKA_VTYPE_RKT,
                self.native.as_ptr(),
                vtype::RD_KAFKA_VTYPE_PARTITION,
                parts.partition.unwrap_or(UNASSIGNED),
                vtype::RD_KAFKA_VTYPE_MSGFLAGS,
                native::RD_KAFKA_MSG_F_COPY,
                vtype::RD_KAFKA_VTYPE_VALUE,
                payload,
                payload_length,
                vtype::RD_KAFKA_VTYPE_KEY,
                key,
                key_length,
                vtype::RD_KAFKA_VTYPE_OPAQUE,
                parts.opaque as *mut c_void,
                vtype::RD_KAFKA_VTYPE_TIMESTAMP,
                parts.timestamp.unwrap_or(0),
                vtype::RD_KAFKA_VTYPE_HEADERS,
                headers,
                vtype::RD_KAFKA_VTYPE_END,
            )
        };
        match Code::from(err) {
            Code::NoError => {
                // Taken by librdkafka, with what it belongs to.
                std::mem::forget(parts.headers);
                Ok(())
            }
            code => Err(code),
        }
    }
}

/// Headers as librdkafka has them.
pub(crate) struct HeadersToSend(NonNull<native::rd_kafka_headers_t>, PhantomData<native::rd_kafka_headers_t>);

// SAFETY: a list that nobody else has.
unsafe impl Send for HeadersToSend {}

impl HeadersToSend {
    pub(crate) fn with_room(count: usize) -> Result<Self, Code> {
        // SAFETY: makes a list that is ours.
        let list = NonNull::new(unsafe { native::rd_kafka_headers_new(count) });
        list.map(|list| Self(list, PhantomData)).ok_or(Code::Fail)
    }

    pub(crate) fn push(&mut self, name: &str, value: Option<&[u8]>) -> Result<(), Code> {
        let (value, length) = value.map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
        // SAFETY: the list is ours. Both are copied, by the lengths that are given; a null value has none.
        let err = unsafe {
            native::rd_kafka_header_add(
                self.0.as_ptr(),
                name.as_ptr().cast(),
                name.len() as isize,
                value.cast(),
                length as isize,
            )
        };
        match Code::from(err) {
            Code::NoError => Ok(()),
            code => Err(code),
        }
    }

    #[cfg(test)]
    pub(crate) fn list(&self) -> super::HeaderList<'_> {
        super::HeaderList(Some(self.0), PhantomData)
    }
}

impl Drop for HeadersToSend {
    fn drop(&mut self) {
        // SAFETY: the list is ours: one that was sent is forgotten.
        unsafe { native::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}
