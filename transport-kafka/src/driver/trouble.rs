//! What does not work for now, told once, and told again when it does.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use gulo_bus_core::Error;
use gulo_bus_core::transport::{LaneEvent, Topics};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::Driver;
use crate::diagnosis;
use crate::error::{coded, is_connection};

/// librdkafka says when a connection breaks and not when there is one again. While nothing else tells, the broker is
/// asked for something small, this often and for this long.
const PROBE_EVERY: Duration = Duration::from_secs(1);
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// That they cannot be reached, and whether the cause that was told lasts.
    brokers: Option<bool>,
    commit: bool,
    other: bool,
    /// Whether a broker answered this very client: another one's may be reached when its own are lost.
    probe: Option<Arc<OnceLock<bool>>>,
    next_probe: Option<Instant>,
}

impl Troubles {
    fn any(&self) -> bool {
        self.brokers.is_some() || self.commit || self.other
    }
}

impl Driver {
    /// An error that librdkafka reported. Nearly all of them it gets over by itself.
    pub(super) fn alarmed(&mut self, code: Code, text: &str) {
        let said = Some(text).filter(|text| !text.is_empty());
        match code {
            // Its group is there for librdkafka's sake: nothing is committed to it and nobody shares it.
            Code::GroupAuthorizationFailed if self.needs_no_group() => {}
            // Said once, and then never again whatever happens: a new source would hear it again.
            Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed | Code::InvalidGroupId => {
                self.end(&coded("the Kafka source", code, said));
            }
            Code::AllBrokersDown | Code::Resolve => self.brokers_are_down(code, said),
            code if is_connection(code) && !diagnosis::of(code, text).passes => self.brokers_are_down(code, said),
            Code::UnknownTopicOrPartition | Code::UnknownTopic if matches!(self.plan.spec.topics, Topics::Named(_)) => {
                self.other_trouble(&coded("a topic is gone", code, said));
            }
            Code::BrokerTransportFailure | Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::PartitionEOF => {}
            Code::OperationTimedOut | Code::RequestTimedOut | Code::NetworkException | Code::Outdated => {}
            _ => self.other_trouble(&coded("the Kafka source", code, said)),
        }
    }

    /// A reader of named topics takes them all by itself.
    fn needs_no_group(&self) -> bool {
        self.is_solo() && matches!(self.plan.spec.topics, Topics::Named(_))
    }

    fn brokers_are_down(&mut self, code: Code, said: Option<&str>) {
        // "1/1 brokers are down" follows the cause, which is what one wants to read.
        let (code, text) = match (self.plan.health.cause(), code) {
            (Some((cause, text)), Code::AllBrokersDown) => (cause, Some(text)),
            _ => (code, said.map(str::to_owned)),
        };
        // A connection that ends is heard of first, and why no new one can be made after that: this is told once more.
        let lasts = !diagnosis::of(code, text.as_deref().unwrap_or_default()).passes;
        if self.troubles.brokers.is_none_or(|told| !told && lasts) {
            self.troubles.brokers = Some(lasts);
            self.degraded(coded("no Kafka broker", code, text.as_deref()));
        }
    }

    fn other_trouble(&mut self, error: &Error) {
        self.shared.lock().received = false;
        if !std::mem::replace(&mut self.troubles.other, true) {
            self.degraded(Error::new(error.kind(), error.to_string()));
        }
    }

    pub(super) fn commit_is_in_trouble(&mut self, code: Code) {
        if !std::mem::replace(&mut self.troubles.commit, true) {
            self.degraded(coded("commits fail; what is finished may be delivered again", code, None));
        }
    }

    fn degraded(&self, error: Error) {
        tracing::warn!("degraded: {error}");
        self.shared.tell([LaneEvent::Degraded(error)]);
    }

    fn recovered(&mut self, mend: impl FnOnce(&mut Troubles)) {
        let before = self.troubles.any();
        mend(&mut self.troubles);
        if before && !self.troubles.any() {
            self.shared.tell([LaneEvent::Recovered]);
        }
    }

    pub(super) fn recovered_by_commit(&mut self) {
        self.recovered(|troubles| (troubles.commit, troubles.brokers) = (false, None));
    }

    pub(super) fn recovered_by_assignment(&mut self) {
        self.recovered(|troubles| troubles.other = false);
    }

    pub(super) fn step_troubles(&mut self, now: Instant) {
        let received = std::mem::take(&mut self.shared.lock().received);
        if received && self.troubles.other {
            self.recovered(|troubles| troubles.other = false);
        }
        let probed = self.troubles.probe.take_if(|probe| probe.get().is_some());
        if probed.is_some_and(|probe| probe.get() == Some(&true)) && !self.plan.health.is_down() {
            self.recovered(|troubles| troubles.brokers = None);
        }
        let wanted = self.troubles.brokers.is_some() || self.plan.health.is_down();
        let due = self.troubles.next_probe.is_none_or(|at| at <= now);
        if wanted && due && self.troubles.probe.is_none() && self.leaving.is_none() {
            self.troubles.next_probe = Some(now + PROBE_EVERY);
            self.probe();
        }
    }

    /// On a thread of its own, since the answer may take its time and this thread must not.
    fn probe(&mut self) {
        let Some(topic) = self.some_topic() else { return };
        let (consumer, shared) = (self.consumer.clone(), self.shared.clone());
        let answer = Arc::new(OnceLock::new());
        let answered = answer.clone();
        let spawned = thread::Builder::new().name("gulo-kafka-probe".into()).spawn(move || {
            let well = consumer.fetch_metadata(Some(&topic), PROBE_TIMEOUT).is_ok();
            if well {
                consumer.context().observer.answered();
            }
            drop(consumer);
            let _ = answered.set(well);
            shared.call_driver();
        });
        if spawned.is_ok() {
            self.troubles.probe = Some(answer);
        }
    }

    fn some_topic(&self) -> Option<String> {
        if let Some((topic, _)) = self.plan.topics.first() {
            return Some(topic.to_string());
        }
        let state = self.shared.lock();
        state.lanes.iter().next().map(|lane| lane.place.topic.to_string())
    }
}
