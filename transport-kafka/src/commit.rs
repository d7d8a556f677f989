//! Commits whose answer can be awaited: the one island of `unsafe` in Gulo.
//!
//! `rd_kafka_commit(async)` never reports its result for an explicit list (librdkafka enqueues it without a reply queue), and
//! the synchronous one blocks for as long as a rebalance takes. `rd_kafka_commit_queue` answers as an event on a queue; on
//! the consumer's own queue that is the commit callback out of `poll`.
#![allow(unsafe_code)]

use std::ptr;

use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;

/// Asks to commit `offsets` (each the next to be read). The answer comes as `commit_callback` out of `consumer.poll`.
pub(crate) fn begin<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
) -> Result<(), RDKafkaErrorCode> {
    let client = consumer.client().native_ptr();
    // SAFETY: `client` lives as long as `consumer`, which is borrowed. `rd_kafka_queue_get_consumer` gives a new reference
    // to the consumer's queue, or null for a client that has none; the reference is given back below. The list is copied
    // by `rd_kafka_commit_queue` before it returns, and stays ours. No callback and no opaque are given, so nothing of ours
    // is kept by the library.
    let code = unsafe {
        let queue = bindings::rd_kafka_queue_get_consumer(client);
        if queue.is_null() {
            return Err(RDKafkaErrorCode::UnknownGroup);
        }
        let code =
            bindings::rd_kafka_commit_queue(client, offsets.ptr(), queue, None, ptr::null_mut());
        bindings::rd_kafka_queue_destroy(queue);
        code
    };
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(code),
    }
}
