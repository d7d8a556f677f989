//! Pause, resume, release and seek.

use std::time::Duration;

use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::{Control, LaneEvent, Position};
use gulo_bus_core::{Error, Result};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::{CALL, Driver};
use crate::convert;
use crate::error;
use crate::lane::Phase;

/// How long a seek may be refused (a partition just assigned cannot be moved yet) before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A lane on its way to another position, or to its own again.
pub(crate) enum Move {
    Seek {
        lane: Lane,
        to: Position,
        until: Instant,
    },
    Release {
        lane: Lane,
        until: Instant,
    },
}

impl Move {
    pub(crate) fn lane(&self) -> Lane {
        match self {
            Self::Seek { lane, .. } | Self::Release { lane, .. } => *lane,
        }
    }
}

impl Driver {
    pub(crate) fn take_commands(&mut self) {
        loop {
            let Some(command) = self.shared.lock().commands.pop_front() else {
                return;
            };
            let until = Instant::now() + PATIENCE;
            match command {
                Control::Pause(lane) => self.hold(lane, true),
                Control::Resume(lane) => self.hold(lane, false),
                Control::Release(lanes) => {
                    let draining: Vec<_> = lanes
                        .iter()
                        .copied()
                        .filter(|lane| self.phase(*lane) == Some(Phase::Draining))
                        .collect();
                    let open = lanes
                        .into_iter()
                        .filter(|lane| self.phase(*lane) == Some(Phase::Open))
                        .collect::<Vec<_>>();
                    self.seal(&draining);
                    self.seal(&open);
                    self.moves
                        .extend(open.into_iter().map(|lane| Move::Release { lane, until }));
                }
                Control::Seek { lane, to } => {
                    if self.phase(lane) == Some(Phase::Open) {
                        self.seal(&[lane]);
                        self.moves.push_back(Move::Seek { lane, to, until });
                    }
                }
            }
        }
    }

    fn phase(&self, lane: Lane) -> Option<Phase> {
        self.shared.lock().get(lane).map(|lane| lane.phase)
    }

    /// The client throws away what it has fetched of a paused partition, and fetches it again on resume from behind the last
    /// message that was taken: nothing is lost or repeated by it.
    fn hold(&mut self, lane: Lane, paused: bool) {
        let Some(partition) = self.shared.lock().get(lane).map(|lane| lane.key()) else {
            return;
        };
        let list = self.list([&partition]);
        let done = if paused {
            self.client.pause(&list)
        } else {
            self.client.resume(&list)
        };
        drop(list);
        if let Err(error) = done {
            self.degrade(error::of_operation("pausing or resuming", &error));
            return;
        }
        let mut state = self.shared.lock();
        if let Some(lane) = state.get(lane) {
            lane.paused = paused;
        }
        drop(state);
        self.shared.tell(if paused {
            LaneEvent::Paused(lane)
        } else {
            LaneEvent::Resumed(lane)
        });
    }

    pub(crate) fn advance_moves(&mut self) {
        for pending in std::mem::take(&mut self.moves) {
            let late = match &pending {
                Move::Seek { until, .. } | Move::Release { until, .. } => Instant::now() >= *until,
            };
            match self.advance(&pending) {
                Ok(true) => {}
                Ok(false) if !late => self.moves.push_back(pending),
                Ok(false) => self.give_up(pending.lane(), None),
                Err(_) if !late => self.moves.push_back(pending),
                Err(error) => self.give_up(pending.lane(), Some(error)),
            }
        }
    }

    /// Whether it is done.
    fn advance(&mut self, pending: &Move) -> Result<bool> {
        match pending {
            Move::Seek { lane, to, .. } => self.seek(*lane, *to).map(|()| true),
            Move::Release { lane, .. } => {
                if !self.is_committed(&[*lane]) {
                    self.commit_if_due(true);
                    return Ok(false);
                }
                let from = self
                    .shared
                    .lock()
                    .get(*lane)
                    .and_then(|lane| lane.first_unsettled());
                match from {
                    Some(offset) => self.seek(*lane, Position::Offset(offset))?,
                    None => self.reopen(*lane),
                }
                Ok(true)
            }
        }
    }

    /// The move cannot be made: the lane goes on where it is, everything unsettled still out.
    fn give_up(&mut self, lane: Lane, error: Option<Error>) {
        if let Some(lane) = self.shared.lock().get(lane) {
            lane.phase = Phase::Open;
        }
        if let Some(error) = error {
            self.degrade(error);
        }
    }

    fn seek(&mut self, lane: Lane, to: Position) -> Result<()> {
        let Some(partition) = self.shared.lock().get(lane).map(|lane| lane.key()) else {
            return Ok(());
        };
        let mut list = self.list([&partition]);
        self.set_offsets(&mut list, to)?;
        let answer = self.client.seek_partitions(list, CALL);
        let answer =
            answer.and_then(|list| list.elements().iter().try_for_each(|part| part.error()));
        answer.map_err(|error: KafkaError| error::of_operation("seeking", &error))?;
        self.reopen(lane);
        Ok(())
    }

    /// Ends the epoch of `lane` and begins the next.
    fn reopen(&mut self, lane: Lane) {
        let mut state = self.shared.lock();
        let Some(partition) = state.get(lane).map(|lane| lane.key()) else {
            return;
        };
        let next = state.open_lane(&partition);
        let Some(renewed) = state.get(lane) else {
            return;
        };
        renewed.renew(next);
        let origin = renewed.origin();
        state.events.extend([
            LaneEvent::Closed(lane),
            LaneEvent::Opened { lane: next, origin },
        ]);
        drop(state);
        self.shared.news.notify_one();
    }

    /// Where new lanes begin that do not begin where the group stands.
    pub(crate) fn set_starts(&self, list: &mut TopicPartitionList) -> Result<()> {
        if self.in_group {
            let committed = self.client.committed_offsets(list.clone(), CALL);
            *list = committed
                .map_err(|error| error::of_operation("asking where the group stands", &error))?;
        }
        let mut open = TopicPartitionList::new();
        for part in list
            .elements()
            .iter()
            .filter(|part| !matches!(part.offset(), Offset::Offset(_)))
        {
            open.add_partition(part.topic(), part.partition());
        }
        self.set_offsets(&mut open, self.spec.start)?;
        for part in open.elements() {
            let set = list.set_partition_offset(part.topic(), part.partition(), part.offset());
            set.map_err(|error| error::of_operation("setting where to begin", &error))?;
        }
        Ok(())
    }

    fn set_offsets(&self, list: &mut TopicPartitionList, to: Position) -> Result<()> {
        let offset = match to {
            Position::Earliest => Offset::Beginning,
            Position::Latest => Offset::End,
            Position::Offset(offset) => Offset::Offset(offset),
            Position::Committed => {
                let committed = self.client.committed_offsets(list.clone(), CALL);
                *list = committed.map_err(|error| {
                    error::of_operation("asking where the group stands", &error)
                })?;
                return fallback(list, Offset::Beginning);
            }
            Position::At(time) => {
                list.set_all_offsets(Offset::Offset(convert::millis(time)))
                    .map_err(|error| error::of_operation("seeking", &error))?;
                let found = self.client.offsets_for_times(list.clone(), CALL);
                *list = found.map_err(|error| error::of_operation("looking up a time", &error))?;
                return fallback(list, Offset::End);
            }
        };
        list.set_all_offsets(offset)
            .map_err(|error| error::of_operation("seeking", &error))
    }
}

/// `offset` where the broker knew none.
fn fallback(list: &mut TopicPartitionList, offset: Offset) -> Result<()> {
    let unknown: Vec<_> = list
        .elements()
        .iter()
        .filter(|part| !matches!(part.offset(), Offset::Offset(_)))
        .map(|part| (part.topic().to_owned(), part.partition()))
        .collect();
    for (topic, partition) in unknown {
        let set = list.set_partition_offset(&topic, partition, offset);
        set.map_err(|error| error::of_operation("seeking", &error))?;
    }
    Ok(())
}
