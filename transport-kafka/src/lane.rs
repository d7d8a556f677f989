//! The lanes of a source: one for each assignment of a partition.

use std::collections::VecDeque;
use std::fmt;

use gulo_bus_core::message::{Message, Origin};
use gulo_bus_core::settle::{Lane, Ledger, Run, Token};
use gulo_bus_core::transport::Delivery;
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::convert::Copier;
use crate::native::{Queue, Record};
use crate::rebalance::{Place, SourceContext};

/// A lane that is open.
pub(crate) struct OpenLane {
    pub(crate) id: Lane,
    pub(crate) place: Place,
    pub(crate) ledger: Ledger,
    /// Fetched messages wait in it. A lane that is full is held back by not polling it: librdkafka's pause would throw
    /// away what was fetched, and fetch it again at half a second a time.
    pub(crate) queue: Option<Queue<SourceContext>>,
    /// Came by the consumer's own queue before this partition's was split off: delivered first.
    pub(crate) backlog: VecDeque<(i64, Message)>,
    pub(crate) paused: bool,
    /// To be given up: delivers nothing any more.
    pub(crate) draining: bool,
    /// About to be opened anew: delivers nothing any more.
    pub(crate) held: bool,
    /// Its log goes on from here, before what has come already: the topic was deleted and made anew, or cut off. What comes
    /// now belongs to another epoch, and what was finished says nothing of it: the group stands here.
    pub(crate) went_back: Option<i64>,
    /// Which topic it is of all that ever had that name, as soon as a broker has said so.
    pub(crate) topic_id: Option<u128>,
    /// Verdicts come too late for it.
    pub(crate) frozen: bool,
    /// What an earlier owner finished above the position could not be looked up: it is handled again.
    pub(crate) is_unknown: bool,
    /// A transaction is about to commit it, and nobody else may meanwhile.
    pub(crate) bound: bool,
    /// A position to commit although nothing has been finished here yet.
    pub(crate) initial: Option<i64>,
    /// Where it was told to begin, where that is known.
    pub(crate) start: Option<i64>,
    /// What the broker has confirmed for this epoch.
    pub(crate) confirmed: Option<Mark>,
}

/// What is committed: where a successor must read on, and what is finished behind that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) offset: i64,
    pub(crate) finished: Vec<Run>,
}

impl OpenLane {
    fn new(id: Lane, place: Place) -> Self {
        Self {
            id,
            place,
            ledger: Ledger::new(),
            queue: None,
            backlog: VecDeque::new(),
            paused: false,
            draining: false,
            held: false,
            went_back: None,
            topic_id: None,
            frozen: false,
            is_unknown: false,
            bound: false,
            initial: None,
            start: None,
            confirmed: None,
        }
    }

    /// Where it begins, and what an earlier owner has finished behind that. The broker knows of it, unless it is new.
    pub(crate) fn begin_at(&mut self, offset: i64, finished: Vec<Run>, is_new: bool) {
        self.start = Some(offset);
        match is_new {
            true => self.initial = Some(offset),
            false => self.confirmed = Some(Mark { offset, finished: finished.clone() }),
        }
        self.ledger = Ledger::inheriting(offset, finished);
    }

    /// The partition, and a position in it.
    pub(crate) fn origin(&self, offset: Option<i64>) -> Origin {
        Origin { topic: self.place.topic.clone(), partition: u32::try_from(self.place.partition).ok(), offset }
    }

    /// Where a successor must read on, unless the broker has confirmed it already, or a transaction is about to.
    pub(crate) fn to_commit(&self) -> Option<Mark> {
        if self.bound {
            return None;
        }
        self.mark(&self.ledger)
    }

    /// Whether something of it is still to be committed, by whomever.
    pub(crate) fn is_awaited(&self) -> bool {
        self.bound || self.to_commit().is_some()
    }

    /// The same, as it will be when these are finished too.
    pub(crate) fn mark_with(&self, finished: &[u64]) -> Option<Mark> {
        let mut ledger = self.ledger.clone();
        for seq in finished {
            ledger.finish(*seq);
        }
        self.mark(&ledger)
    }

    fn mark(&self, ledger: &Ledger) -> Option<Mark> {
        if let Some(offset) = self.went_back {
            return Some(Mark { offset, finished: Vec::new() }).filter(|mark| self.confirmed.as_ref() != Some(mark));
        }
        let finished = ledger.finished_above();
        // Where nothing is finished from the start on, something may be finished above.
        let begin = || self.start.or_else(|| ledger.first_unfinished()).filter(|_| !finished.is_empty());
        let offset = ledger.watermark().or(self.initial).or_else(begin)?;
        Some(Mark { offset, finished }).filter(|mark| self.confirmed.as_ref() != Some(mark))
    }

    /// Moves messages that may be handed out to `out`, at most `most`. Returns what is wrong with the partition, if anything
    /// came up.
    pub(crate) fn fill(
        &mut self,
        out: &mut VecDeque<Delivery>,
        most: usize,
        window: usize,
        copier: &mut Copier,
    ) -> Option<Code> {
        if self.paused || self.draining || self.held {
            return None;
        }
        let until = out.len() + most;
        let Self { id, place, ledger, backlog, queue, went_back, .. } = self;
        // Looked at again and again: what comes again and is finished counts for the window, and is not handed out.
        let room =
            |out: &VecDeque<Delivery>, ledger: &Ledger| (until - out.len()).min(window.saturating_sub(ledger.span()));
        // A repetition within one assignment gets no number and is not handed out again.
        while room(out, ledger) > 0
            && let Some((offset, message)) = backlog.pop_front()
        {
            if let Some(seq) = arrive(ledger, went_back, offset) {
                out.push_back(delivery(Token { lane: *id, seq }, place, offset, message));
            }
        }
        let queue = queue.as_mut()?;
        let mut trouble = None;
        loop {
            let most = room(out, ledger);
            let hand_out = |record: Result<Record<'_>, Code>| match record {
                Ok(record) => {
                    if let Some(seq) = arrive(ledger, went_back, record.offset()) {
                        let message = copier.copy(record, &place.topic);
                        out.push_back(delivery(Token { lane: *id, seq }, place, record.offset(), message));
                    }
                }
                Err(Code::PartitionEOF) => {}
                Err(code) => trouble = Some(code),
            };
            if most == 0 || queue.take(most, hand_out) == 0 {
                return trouble;
            }
        }
    }
}

/// A repetition gets no number. The client goes back by itself only where the position it had is not in the log any more; to
/// take that for a repetition would skip all of the new log up to there.
fn arrive(ledger: &mut Ledger, went_back: &mut Option<i64>, offset: i64) -> Option<u64> {
    if went_back.is_some() {
        return None;
    }
    let seq = ledger.arrive(offset);
    if seq.is_none() && ledger.goes_back(offset) {
        *went_back = Some(offset);
    }
    seq
}

fn delivery(token: Token, place: &Place, offset: i64, message: Message) -> Delivery {
    let partition = u32::try_from(place.partition).ok();
    Delivery { message, token, partition, offset: Some(offset), redelivered: 0 }
}

impl fmt::Debug for OpenLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} span {}", self.id, self.place, self.ledger.span())
    }
}

/// A slot is for one partition for ever; its epoch goes up with each opening.
#[derive(Debug)]
struct Slot {
    place: Place,
    next_epoch: u32,
    lane: Option<OpenLane>,
}

/// All lanes of a source.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Vec<Slot>);

impl Lanes {
    /// Opens the lane of `place` under a new epoch.
    pub(crate) fn open(&mut self, place: &Place) -> &mut OpenLane {
        let index = self.0.iter().position(|slot| slot.place == *place);
        let index = index.unwrap_or_else(|| {
            self.0.push(Slot { place: place.clone(), next_epoch: 0, lane: None });
            self.0.len() - 1
        });
        let slot = &mut self.0[index];
        let id = Lane { slot: index as u32, epoch: slot.next_epoch };
        slot.next_epoch = slot.next_epoch.wrapping_add(1);
        slot.lane.insert(OpenLane::new(id, slot.place.clone()))
    }

    /// The lane, if it is open under this very epoch.
    pub(crate) fn get_mut(&mut self, lane: Lane) -> Option<&mut OpenLane> {
        let slot = self.0.get_mut(lane.slot as usize)?;
        slot.lane.as_mut().filter(|open| open.id == lane)
    }

    /// Closes the lane, if it is open under this very epoch.
    pub(crate) fn close(&mut self, lane: Lane) -> Option<OpenLane> {
        let slot = self.0.get_mut(lane.slot as usize)?;
        slot.lane.take_if(|open| open.id == lane)
    }

    /// The open lane of `place`.
    pub(crate) fn of(&mut self, place: &Place) -> Option<&mut OpenLane> {
        self.iter_mut().find(|open| open.place == *place)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &OpenLane> {
        self.0.iter().filter_map(|slot| slot.lane.as_ref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenLane> {
        self.0.iter_mut().filter_map(|slot| slot.lane.as_mut())
    }

    /// The open lanes, beginning behind another one each turn, so that none is served first for ever.
    pub(crate) fn in_turn(&mut self, turn: usize) -> impl Iterator<Item = &mut OpenLane> {
        let middle = turn % self.0.len().max(1);
        let (front, back) = self.0.split_at_mut(middle);
        back.iter_mut().chain(front).filter_map(|slot| slot.lane.as_mut())
    }

    /// Closes all of them. Their queues hold the consumer, which must be dropped after them and elsewhere.
    pub(crate) fn clear(&mut self) {
        self.0.iter_mut().for_each(|slot| slot.lane = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lane: &mut OpenLane, window: usize) -> Vec<Token> {
        let mut out = VecDeque::new();
        assert!(lane.fill(&mut out, 100, window, &mut Copier::default()).is_none());
        out.iter().map(|delivery| delivery.token).collect()
    }

    fn filled(window: usize) -> (Lanes, Lane, Vec<Token>) {
        let mut lanes = Lanes::default();
        let lane = lanes.open(&Place::new("t", 3));
        let id = lane.id;
        lane.backlog = (0..5).map(|at| (at * 2, Message::new("t", "x"))).collect();
        let tokens = take(lane, window);
        (lanes, id, tokens)
    }

    #[test]
    fn a_place_keeps_its_slot_and_gets_a_new_epoch() {
        let mut lanes = Lanes::default();
        let first = lanes.open(&Place::new("t", 0)).id;
        assert!(lanes.close(first).is_some());
        let second = lanes.open(&Place::new("t", 0)).id;
        assert_eq!((first.slot, first.epoch + 1), (second.slot, second.epoch));
        assert!(lanes.get_mut(first).is_none() && lanes.close(first).is_none());
    }

    #[test]
    fn a_full_lane_hands_out_nothing_until_its_oldest_is_settled() {
        let (mut lanes, id, tokens) = filled(3);
        assert_eq!(tokens.len(), 3);
        let lane = lanes.get_mut(id).unwrap();
        lane.ledger.finish(tokens[2].seq);
        assert!(take(lane, 3).is_empty());
        lane.ledger.finish(tokens[0].seq);
        assert_eq!(take(lane, 3).len(), 1);
    }

    #[test]
    fn what_comes_twice_in_one_assignment_is_handed_out_once() {
        let mut lanes = Lanes::default();
        let lane = lanes.open(&Place::new("t", 3));
        lane.backlog = [5, 5, 6].map(|at| (at, Message::new("t", "x"))).into();
        assert_eq!(take(lane, 9).len(), 2);
    }

    #[test]
    fn a_log_that_goes_back_is_another_one_and_nothing_more_of_it_is_handed_out() {
        let mut lanes = Lanes::default();
        let lane = lanes.open(&Place::new("t", 3));
        lane.backlog = [5, 6, 0, 1, 7].map(|at| (at, Message::new("t", "x"))).into();
        assert_eq!((take(lane, 9).len(), lane.went_back), (2, Some(0)));
    }

    /// Committed into the new log, what was finished of the old one would pass over as much of that.
    #[test]
    fn what_was_finished_of_a_log_that_is_gone_is_not_committed_into_the_next() {
        let (mut lanes, id, tokens) = filled(9);
        let lane = lanes.get_mut(id).unwrap();
        assert!(tokens.iter().all(|token| lane.ledger.finish(token.seq)));
        assert_eq!(lane.to_commit(), Some(Mark { offset: 9, finished: Vec::new() }));
        lane.backlog = [0].map(|at| (at, Message::new("t", "x"))).into();
        assert!(take(lane, 9).is_empty());
        assert_eq!(lane.to_commit(), Some(Mark { offset: 0, finished: Vec::new() }));
        lane.confirmed = lane.to_commit();
        assert_eq!(lane.to_commit(), None);
    }

    #[test]
    fn what_an_earlier_owner_finished_is_not_handed_out_and_fills_the_window() {
        let mut lanes = Lanes::default();
        let lane = lanes.open(&Place::new("t", 3));
        lane.begin_at(0, vec![Run { first: 1, last: 3 }], false);
        lane.backlog = (0..6).map(|at| (at, Message::new("t", "x"))).collect();
        assert_eq!(take(lane, 4).len(), 1, "one is out, and three behind it are finished");
        assert_eq!((lane.to_commit(), lane.backlog.len()), (None, 2));
        lane.ledger.finish(0);
        assert_eq!(take(lane, 4).len(), 2);
    }

    #[test]
    fn only_what_is_not_confirmed_is_to_be_committed() {
        let (mut lanes, id, tokens) = filled(9);
        let lane = lanes.get_mut(id).unwrap();
        let mark = |offset, finished: &[Run]| Some(Mark { offset, finished: finished.into() });
        assert_eq!(lane.to_commit(), None);
        lane.initial = Some(0);
        assert_eq!(lane.to_commit(), mark(0, &[]));
        lane.ledger.finish(tokens[0].seq);
        lane.ledger.finish(tokens[1].seq);
        assert_eq!(lane.to_commit(), mark(3, &[]));
        lane.confirmed = lane.to_commit();
        assert_eq!(lane.to_commit(), None);
        lane.ledger.finish(tokens[3].seq);
        assert_eq!(lane.to_commit(), mark(3, &[Run { first: 6, last: 6 }]));
    }

    #[test]
    fn what_is_finished_above_the_very_first_message_is_committed_too() {
        let (mut lanes, id, tokens) = filled(9);
        let lane = lanes.get_mut(id).unwrap();
        lane.ledger.finish(tokens[1].seq);
        let finished = vec![Run { first: 2, last: 2 }];
        assert_eq!(lane.to_commit(), Some(Mark { offset: 0, finished }));
    }
}
