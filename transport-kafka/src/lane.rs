//! One assigned partition.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Origin;
use gulo_bus_core::settle::{Lane, Ledger, Token};
use gulo_bus_core::transport::Delivery;
use rdkafka::Message as _;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use crate::context::{GroupCallbacks, Partition};
use crate::convert;

pub(crate) struct LaneState {
    pub(crate) lane: Lane,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    /// Its messages, apart from those of other partitions, so that a full lane is held back by not being polled.
    queue: PartitionQueue<GroupCallbacks>,
    /// Messages of it that came out of the consumer's main queue: there before the queues were split.
    strays: VecDeque<Delivery>,
    ledger: Ledger,
    /// Settled since the last commit was asked for.
    pub(crate) fresh: usize,
    /// The position that is committed for certain.
    pub(crate) committed: Option<i64>,
    pub(crate) paused: bool,
    pub(crate) phase: Phase,
    /// What the window allows.
    window: usize,
}

/// Where a lane is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Delivers.
    Open,
    /// Called back by the group: delivers no more, verdicts still count.
    Draining,
    /// Given back: verdicts count no more, what is settled is being committed.
    Sealed,
}

impl LaneState {
    pub(crate) fn new(
        lane: Lane,
        partition: Partition,
        queue: PartitionQueue<GroupCallbacks>,
        window: usize,
    ) -> Self {
        Self {
            lane,
            topic: partition.0,
            partition: partition.1,
            queue,
            strays: VecDeque::new(),
            ledger: Ledger::new(),
            fresh: 0,
            committed: None,
            paused: false,
            phase: Phase::Open,
            window,
        }
    }

    pub(crate) fn key(&self) -> Partition {
        (Arc::clone(&self.topic), self.partition)
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin {
            topic: Arc::clone(&self.topic),
            partition: u32::try_from(self.partition).ok(),
            offset: None,
        }
    }

    /// Begins anew under `lane`: nothing arrived, nothing settled.
    pub(crate) fn renew(&mut self, lane: Lane) {
        self.lane = lane;
        self.ledger = Ledger::new();
        self.strays.clear();
        self.fresh = 0;
        self.phase = Phase::Open;
    }

    fn delivers(&self) -> bool {
        self.phase == Phase::Open && !self.paused && self.ledger.span() < self.window
    }

    /// Takes one message, if there is one and it may be handed out.
    pub(crate) fn take(&mut self) -> Option<Result<Delivery, KafkaError>> {
        if !self.delivers() {
            return None;
        }
        if let Some(stray) = self.strays.pop_front() {
            return Some(Ok(stray));
        }
        loop {
            let record = match self.queue.poll(Duration::ZERO)? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            // A repetition within one assignment was handed out already.
            if let Some(seq) = self.ledger.arrive(record.offset()) {
                return Some(Ok(delivery(self.lane, seq, &self.topic, &record)));
            }
        }
    }

    pub(crate) fn add_stray(&mut self, record: &BorrowedMessage<'_>) {
        if let Some(seq) = self.ledger.arrive(record.offset()) {
            self.strays
                .push_back(delivery(self.lane, seq, &self.topic, record));
        }
    }

    /// `seq` is done. Ignored once the lane is sealed.
    pub(crate) fn settle(&mut self, seq: u64) {
        if self.phase != Phase::Sealed {
            self.ledger.finish(seq);
            self.fresh += 1;
        }
    }

    /// What is settled and not committed yet: the position to commit.
    pub(crate) fn to_commit(&self) -> Option<i64> {
        self.ledger
            .watermark()
            .filter(|mark| Some(*mark) != self.committed)
    }

    /// Where to read to get everything unsettled again; `None` where nothing was handed out.
    pub(crate) fn first_unsettled(&self) -> Option<i64> {
        self.ledger
            .first_unfinished()
            .or_else(|| self.ledger.watermark())
    }
}

fn delivery(lane: Lane, seq: u64, topic: &Arc<str>, record: &BorrowedMessage<'_>) -> Delivery {
    let origin = Origin {
        topic: Arc::clone(topic),
        partition: u32::try_from(record.partition()).ok(),
        offset: Some(record.offset()),
    };
    Delivery {
        message: convert::message(topic, record),
        token: Token { lane, seq },
        origin,
        redelivered: 0,
    }
}
