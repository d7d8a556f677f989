//! What brokers say of topics: which they are, and what we may do with them. rdkafka has no way to ask for either.

use std::ffi::{CStr, CString};
use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings::{self as native, rd_kafka_AclOperation_t as Right};
use rdkafka::client::Client;

/// A topic, as a broker describes it.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) name: String,
    /// Which it is of all that ever had its name. Brokers before 2.8 do not say.
    pub(crate) id: Option<u128>,
    /// What we may do with it, where it was asked for. Brokers before 2.3 do not say.
    pub(crate) rights: Vec<Right>,
}

/// Topics that a broker was asked to describe.
pub(crate) struct Describing(NonNull<native::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Describing {}

impl Describing {
    /// Asks, and does not wait. The answer comes `within` that time, or is empty; it must be dropped before the client.
    pub(crate) fn begin<C: ClientContext>(
        client: &Client<C>,
        of: &[CString],
        rights: bool,
        within: Duration,
    ) -> Option<Self> {
        let millis = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
        let mut names: Vec<_> = of.iter().map(|name| name.as_ptr()).collect();
        let client = client.native_ptr();
        let kind = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        // SAFETY: the client is alive while it is borrowed, and so are the names, which are copied. The queue is ours, destroyed in
        // `drop`; options, list and error are ours and destroyed once each, the error may be null. No text is asked for.
        unsafe {
            let queue = NonNull::new(native::rd_kafka_queue_new(client))?;
            let options = native::rd_kafka_AdminOptions_new(client, kind);
            native::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
            let rights = rights.into();
            native::rd_kafka_error_destroy(native::rd_kafka_AdminOptions_set_include_authorized_operations(
                options, rights,
            ));
            let list = native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            native::rd_kafka_DescribeTopics(client, list, options, queue.as_ptr());
            native::rd_kafka_TopicCollection_destroy(list);
            native::rd_kafka_AdminOptions_destroy(options);
            Some(Self(queue))
        }
    }

    /// What was answered, once. Blocks, `within` at most; `None` where there is no answer yet.
    pub(crate) fn answer(&mut self, within: Duration) -> Option<Vec<Described>> {
        let millis = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
        let (mut count, mut found) = (0, Vec::new());
        // SAFETY: the queue is ours. The event is ours and destroyed below. The result lives as long as the event, with as many
        // topics as it counts.
        unsafe {
            let event = NonNull::new(native::rd_kafka_queue_poll(self.0.as_ptr(), millis))?;
            if let Some(result) = native::rd_kafka_event_DescribeTopics_result(event.as_ptr()).as_ref() {
                let topics = native::rd_kafka_DescribeTopics_result_topics(result, &mut count);
                found.extend((0..count).map(|index| described(*topics.add(index))));
            }
            native::rd_kafka_event_destroy(event.as_ptr());
        }
        Some(found)
    }
}

/// # Safety
///
/// `topic` is a description out of a result that is alive.
unsafe fn described(topic: *const native::rd_kafka_TopicDescription_t) -> Described {
    let mut count = 0;
    // SAFETY: a description has a name; it has an id or null, and as many operations as it counts or null.
    unsafe {
        let rights = native::rd_kafka_TopicDescription_authorized_operations(topic, &mut count);
        let rights = if rights.is_null() { &[] } else { slice::from_raw_parts(rights, count) };
        let name = CStr::from_ptr(native::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
        let half = |bits: i64| u128::from(bits.cast_unsigned());
        let id = native::rd_kafka_TopicDescription_topic_id(topic).as_ref().map(|id| {
            half(native::rd_kafka_Uuid_most_significant_bits(id)) << 64
                | half(native::rd_kafka_Uuid_least_significant_bits(id))
        });
        Described { name, id: id.filter(|id| *id != 0), rights: rights.to_vec() }
    }
}

impl Drop for Describing {
    fn drop(&mut self) {
        // SAFETY: it is ours. An answer that comes later finds nobody, and is thrown away.
        unsafe { native::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

impl fmt::Debug for Describing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Describing")
    }
}

/// What we may do with each of these topics, where the broker says it. Blocks, `within` at most.
pub(crate) fn rights<C: ClientContext>(
    client: &Client<C>,
    of: &[CString],
    within: Duration,
) -> Vec<(String, Vec<Right>)> {
    let asked = Describing::begin(client, of, true, within);
    let found = asked.and_then(|mut asked| asked.answer(within)).unwrap_or_default();
    found.into_iter().map(|topic| (topic.name, topic.rights)).collect()
}
