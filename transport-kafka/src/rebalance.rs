//! What the group tells a member: which partitions it gets and which it must give up. Callbacks only write it down; the
//! driver acts on it, between two polls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::context::{Observer, lock};
use crate::lane::Mark;
use crate::{native, progress};

/// The consumer of a source.
pub(crate) type GroupConsumer = BaseConsumer<SourceContext>;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
}

/// A change of the assignment, to be answered by [`assign`] or [`unassign`]: until then the group waits.
#[derive(Debug)]
pub(crate) enum Change {
    Assign(Vec<Place>),
    Revoke { places: Vec<Place>, lost: bool },
}

/// How a commit went.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Of the whole request: one partition's error, where some have one.
    pub(crate) overall: Option<Code>,
    pub(crate) parts: Vec<Part>,
}

/// One partition of a list that librdkafka answers with.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) place: Place,
    /// Where it names one.
    pub(crate) offset: Option<i64>,
    pub(crate) metadata: Vec<u8>,
    pub(crate) code: Option<Code>,
}

impl Part {
    /// Whether it is this that was committed.
    pub(crate) fn is_at(&self, mark: &Mark) -> bool {
        self.offset == Some(mark.offset) && self.metadata == progress::encode(mark.offset, &mark.finished).as_bytes()
    }
}

/// In our own words.
pub(crate) fn parts(list: &TopicPartitionList) -> Vec<Part> {
    let part = |(element, metadata): (TopicPartitionListElem<'_>, Vec<u8>)| Part {
        place: Place::new(element.topic(), element.partition()),
        offset: match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        },
        metadata,
        code: element.error().err().and_then(|error| error.rdkafka_error_code()),
    };
    list.elements().into_iter().zip(native::metadata(list)).map(part).collect()
}

/// What the callbacks wrote down.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) changes: VecDeque<Change>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) errors: Vec<(Code, String)>,
}

/// The context of a source's consumer.
///
/// Errors are reported on whatever thread polls whatever queue, so none of these may take the lock of the lanes.
#[derive(Debug)]
pub(crate) struct SourceContext {
    pub(crate) observer: Observer,
    heard: Mutex<Heard>,
    /// How many callbacks have run: a poll that returns nothing has found the queue empty only if none ran.
    served: AtomicU64,
    /// Nobody acts on changes any more: the consumer is being dropped and polls by itself.
    pub(crate) leaving: AtomicBool,
}

impl SourceContext {
    pub(crate) fn new(observer: Observer) -> Self {
        Self { observer, heard: Mutex::default(), served: AtomicU64::new(0), leaving: AtomicBool::new(false) }
    }

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Relaxed)
    }

    pub(crate) fn take_heard(&self) -> Heard {
        std::mem::take(&mut *lock(&self.heard))
    }

    pub(crate) fn hear_error(&self, code: Code, text: String) {
        lock(&self.heard).errors.push((code, text));
    }

    /// The error of this code, where it was heard and not acted on yet.
    pub(crate) fn heard_of(&self, code: Code) -> Option<(Code, String)> {
        lock(&self.heard).errors.iter().find(|(heard, _)| *heard == code).cloned()
    }

    fn count(&self) {
        self.served.fetch_add(1, Relaxed);
    }
}

impl ClientContext for SourceContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.count();
        self.observer.log(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.count();
        let (code, text) = self.observer.error(&error, reason);
        self.hear_error(code, text);
    }

    fn stats_raw(&self, _statistics: &[u8]) {
        self.count();
    }
}

impl ConsumerContext for SourceContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, tpl: &mut TopicPartitionList) {
        self.count();
        let places = places(tpl);
        let is_assign = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Relaxed) {
            // Inside of drop: the lanes are gone and the last commit is done.
            let done = if is_assign { assign(consumer, tpl) } else { unassign(consumer, &places) };
            note(done);
            return;
        }
        let change = match is_assign {
            true => Change::Assign(places),
            false => Change::Revoke { places, lost: consumer.assignment_lost() },
        };
        lock(&self.heard).changes.push_back(change);
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        self.count();
        let overall = result.err().and_then(|error| error.rdkafka_error_code());
        let parts = parts(offsets);
        lock(&self.heard).answers.push(Answer { overall, parts });
    }
}

impl Place {
    pub(crate) fn new(topic: &str, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// In our own words at once: a list that has been through some calls holds on to its partitions, and one that is alive
/// when the consumer is dropped makes that drop hang for ever.
pub(crate) fn places(list: &TopicPartitionList) -> Vec<Place> {
    let elements = list.elements();
    elements.iter().map(|element| Place::new(element.topic(), element.partition())).collect()
}

/// In librdkafka's words, without offsets.
pub(crate) fn list<'a>(places: impl IntoIterator<Item = &'a Place>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for place in places {
        list.add_partition(&place.topic, place.partition);
    }
    list
}

/// In librdkafka's words. An offset that it cannot have is left out, which means: as committed.
pub(crate) fn list_at<'a>(places: impl IntoIterator<Item = (&'a Place, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (place, offset) in places {
        let mut element = list.add_partition(&place.topic, place.partition);
        if let Err(error) = element.set_offset(offset) {
            tracing::warn!(%place, ?offset, "not an offset: {error}");
        }
    }
    list
}

/// What is to be committed, in librdkafka's words.
pub(crate) fn list_of_marks<'a>(marks: impl IntoIterator<Item = (&'a Place, &'a Mark)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (place, mark) in marks {
        let mut element = list.add_partition(&place.topic, place.partition);
        if let Err(error) = element.set_offset(Offset::Offset(mark.offset)) {
            tracing::warn!(%place, ?mark, "not an offset: {error}");
        }
        let metadata = progress::encode(mark.offset, &mark.finished);
        if !metadata.is_empty() {
            element.set_metadata(metadata);
        }
    }
    list
}

/// Answers an assignment. An empty one must be answered too: without it the group would wait.
pub(crate) fn assign(consumer: &GroupConsumer, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        _ => consumer.assign(list),
    }
}

/// Answers a revocation.
pub(crate) fn unassign(consumer: &GroupConsumer, places: &[Place]) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(&list(places)),
        _ => consumer.unassign(),
    }
}

/// What went wrong with an answer is for the log: librdkafka has moved on by itself then.
pub(crate) fn note(done: KafkaResult<()>) {
    if let Err(error) = done {
        tracing::debug!("rebalance: {error}");
    }
}
