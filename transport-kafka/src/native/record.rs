//! Messages and headers where librdkafka has them.

use std::borrow::Cow;
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use rdkafka::bindings as native;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::BorrowedHeaders;

/// A message in librdkafka's memory.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a>(pub(super) &'a native::rd_kafka_message_t);

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
pub(super) unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast::<u8>(), length) })
}

/// The headers of a message, if it has any.
#[derive(Clone, Copy)]
pub(crate) struct HeaderList<'a>(
    pub(super) Option<NonNull<native::rd_kafka_headers_t>>,
    pub(super) PhantomData<&'a ()>,
);

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
