//! Topics that are deleted and made anew under their name. librdkafka hears that such a topic has another id, and reads on from where
//! the old one was read to ([`rd_kafka_topic_metadata_update`] has a FIXME there). Where the new one has not grown so far it is
//! told that the position is not there, and begins at the oldest message; else nothing tells, and what lies before is passed over. So
//! brokers are asked for the ids of topics from time to time.
//!
//! The id does not travel with the commits: positions are copied from cluster to cluster, metadata and all, and there every topic
//! has another one.
//!
//! [`rd_kafka_topic_metadata_update`]: https://github.com/confluentinc/librdkafka/blob/v2.12.1/src/rdkafka_topic.c#L1432

use std::collections::{BTreeSet, HashSet};
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gulo_bus_core::transport::Position;
use rdkafka::consumer::Consumer;

use super::Driver;
use crate::native::{Described, Describing};
use crate::shared::Command;

/// How often it is asked for. It is one small request, and what is handled meanwhile is handled again.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Identities {
    asked: Option<Describing>,
    next: Option<Instant>,
    /// Of topics that are gone. A broker that lags behind may still name them.
    former: HashSet<u128>,
}

impl Identities {
    /// A lane was opened. What was asked before may be answered with what was before.
    pub(super) fn ask_anew(&mut self) {
        (self.asked, self.next) = (None, None);
    }
}

impl Driver {
    pub(super) fn step_identities(&mut self, now: Instant) {
        if let Some(topics) = self.identities.asked.as_mut().and_then(|asked| asked.answer(Duration::ZERO)) {
            self.identities.asked = None;
            topics.iter().for_each(|topic| self.identified(topic, now));
        }
        if self.identities.next.is_none_or(|at| at <= now) && self.leaving.is_none() {
            self.identities.next = Some(now + EVERY);
            self.ask_identities();
        }
    }

    fn ask_identities(&mut self) {
        let state = self.shared.lock();
        let topics: BTreeSet<Arc<str>> = state.lanes.iter().map(|lane| lane.place.topic.clone()).collect();
        drop(state);
        let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(&**topic).ok()).collect();
        if !names.is_empty() {
            self.identities.asked = Describing::begin(self.consumer.client(), &names, false, EVERY);
        }
    }

    /// Lanes of a topic that is another one now begin at its oldest message.
    pub(super) fn identified(&mut self, topic: &Described, now: Instant) {
        let Some(id) = topic.id.filter(|id| !self.identities.former.contains(id)) else { return };
        let mut state = self.shared.lock();
        let mut another = Vec::new();
        // One that went back already has been seen to.
        let open = state.lanes.iter_mut().filter(|lane| *lane.place.topic == *topic.name && lane.went_back.is_none());
        for lane in open {
            if let Some(former) = lane.topic_id.replace(id).filter(|former| *former != id) {
                self.identities.former.insert(former);
                // From here on it commits the beginning, where it is to be given up too.
                lane.went_back = Some(0);
                another.push(lane.id);
            }
        }
        if another.is_empty() {
            return;
        }
        another.into_iter().for_each(|lane| state.command(Command::Seek(lane, Position::Earliest)));
        state.settled_since.get_or_insert(now);
        drop(state);
        tracing::warn!(topic = topic.name, "the topic was deleted and made anew: it is read from its beginning");
    }
}
