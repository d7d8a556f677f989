//! The thread that drives a consumer: serves its main queue, rebalances, commits, moves lanes, leaves.
//!
//! It is a thread of its own so that nothing a handler does can keep the client from being polled. All calls that change the
//! assignment are made here, between two polls.

mod commits;
mod moves;
mod rebalance;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::{LaneEvent, Position, SubscribeSpec};
use gulo_bus_core::{Error, ErrorKind};
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::time::Instant;

use crate::context::{GroupCallbacks, News, Partition};
use crate::shared::Shared;

use commits::Commits;
use moves::Move;
use rebalance::Revocation;

pub(crate) type Client = BaseConsumer<GroupCallbacks>;

/// The longest between two polls: callbacks wake the thread, this is for what they may miss.
const TICK: Duration = Duration::from_millis(100);
/// How long a call that must wait for the broker may hold up the thread.
const CALL: Duration = Duration::from_secs(5);

pub(crate) struct Driver {
    pub(crate) client: Arc<Client>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) spec: SubscribeSpec,
    /// A member of a group commits; a solo reader does not.
    pub(crate) in_group: bool,
    pub(crate) commits: Commits,
    pub(crate) revocation: Option<Revocation>,
    pub(crate) moves: VecDeque<Move>,
    degraded: bool,
    next_probe: Instant,
}

impl Driver {
    pub(crate) fn new(
        client: Arc<Client>,
        shared: Arc<Shared>,
        spec: SubscribeSpec,
        in_group: bool,
    ) -> Self {
        Self {
            client,
            shared,
            in_group,
            commits: Commits::new(spec.commit),
            spec,
            revocation: None,
            moves: VecDeque::new(),
            degraded: false,
            next_probe: Instant::now(),
        }
    }

    /// Until told to leave.
    pub(crate) fn run(mut self) {
        loop {
            self.serve();
            self.take_commands();
            self.advance_revocation();
            self.advance_moves();
            self.commit_if_due(false);
            self.probe_if_degraded();
            let leave = self.shared.lock().leave.take();
            if let Some(leave) = leave {
                let committed = self.leave(leave.deadline);
                if let Some(done) = leave.done {
                    let _ = done.send(committed);
                }
                return;
            }
            self.shared.signal.wait(self.next_wake());
        }
    }

    fn next_wake(&self) -> Duration {
        let soon = self
            .revocation
            .as_ref()
            .map_or(TICK, |revocation| revocation.wait());
        if self.moves.is_empty() {
            soon.min(TICK)
        } else {
            soon.min(Duration::from_millis(10))
        }
    }

    /// Polls until there is nothing more. News of one poll are acted on before the next: between an assign and the next poll
    /// the partitions' queues must be split off.
    pub(crate) fn serve(&mut self) {
        let client = Arc::clone(&self.client);
        let mut quiet = 0;
        // A poll returns nothing for a served callback too, so one empty answer is not the end.
        while quiet < 2 {
            match client.poll(Duration::ZERO) {
                Some(Ok(record)) => {
                    let partition: Partition = (record.topic().into(), record.partition());
                    if let Some(lane) = self.shared.lock().of_partition(&partition) {
                        lane.add_stray(&record);
                    }
                    self.shared.news.notify_one();
                    quiet = 0;
                }
                Some(Err(error)) => self.note_error(&error),
                None => quiet += 1,
            }
            while let Some(news) = client.context().next() {
                self.act_on(news);
                quiet = 0;
            }
        }
    }

    fn act_on(&mut self, news: News) {
        match news {
            News::Assigned(partitions) => self.assign(&partitions),
            News::Revoked {
                partitions,
                lost: true,
            } => self.lose(&partitions),
            News::Revoked {
                partitions,
                lost: false,
            } => self.begin_revocation(partitions),
            News::Committed(result, parts) => self.commit_answered(result, &parts),
            News::Trouble(reason) => self.degrade(Error::new(ErrorKind::Unavailable, reason)),
        }
    }

    /// Errors that come out of `poll` have no text; the callback had it. Most heal by themselves.
    fn note_error(&mut self, error: &KafkaError) {
        if let KafkaError::MessageConsumptionFatal(code) = error {
            let fatal = Error::new(
                ErrorKind::Other,
                format!("the Kafka consumer cannot go on: {code}"),
            );
            self.shared.lock().fatal = Some(fatal);
            self.shared.news.notify_one();
            return;
        }
        let code = error.rdkafka_error_code();
        if !code.is_some_and(crate::context::is_connection_trouble) {
            self.degrade(crate::error::of_operation("consuming", error));
        }
    }

    pub(crate) fn degrade(&mut self, error: Error) {
        if !std::mem::replace(&mut self.degraded, true) {
            self.shared.tell(LaneEvent::Degraded(error));
        }
        self.next_probe = Instant::now() + Duration::from_secs(1);
    }

    pub(crate) fn recovered(&mut self) {
        self.client.context().health.up();
        if std::mem::replace(&mut self.degraded, false) {
            self.shared.tell(LaneEvent::Recovered);
        }
    }

    /// Nothing tells that an idle connection is back, so it is asked for.
    fn probe_if_degraded(&mut self) {
        if self.degraded && Instant::now() >= self.next_probe {
            if self
                .client
                .fetch_metadata(Some("gulo"), Duration::from_millis(300))
                .is_ok()
            {
                self.recovered();
            }
            self.next_probe = Instant::now() + Duration::from_secs(1);
        }
    }

    /// Commits what is settled, lets all go, and drops the client: its drop leaves the group.
    fn leave(mut self, deadline: Instant) -> bool {
        let lanes: Vec<Lane> = self
            .shared
            .lock()
            .lanes
            .values()
            .map(|lane| lane.lane)
            .collect();
        self.seal(&lanes);
        let mut committed = self.is_committed(&lanes);
        while !committed && Instant::now() < deadline {
            self.serve();
            self.commit_if_due(true);
            self.shared.signal.wait(Duration::from_millis(10));
            committed = self.is_committed(&lanes);
        }
        self.client.context().leaving.store(true, SeqCst);
        let revoking = self.revocation.take();
        // Queues and lists of a consumer that are alive hang its drop.
        self.shared.lock().lanes.clear();
        if let Some(revoking) = revoking {
            self.unassign(revoking.partitions());
        }
        self.client.unsubscribe();
        drop(self.client);
        committed
    }

    pub(crate) fn list<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a Partition>,
    ) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        list
    }

    pub(crate) fn starts_at_once(&self) -> bool {
        matches!(self.spec.start, Position::At(_) | Position::Offset(_)) || !self.in_group
    }
}
