//! What the task that owns a source and the thread that drives it both see, behind one lock.
//!
//! The lock is never held across a call of the consumer that may run callbacks. Polling a lane's own queue is none: only
//! errors are reported there, and those go elsewhere.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::Thread;
use std::time::Instant;

use gulo_bus_core::settle::{Lane, Settlement, Verdict};
use gulo_bus_core::transport::{Inbox, LaneEvent, Position};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::{Notify, oneshot};

use crate::context::lock;
use crate::convert::Copier;
use crate::driver::Lease;
use crate::lane::{Lanes, OpenLane};
use crate::native::BATCH;

/// Messages taken from one lane before the next has its turn.
const TURN: usize = BATCH;

/// What the driver is asked to do to a lane.
#[derive(Debug)]
pub(crate) enum Command {
    Pause(Lane),
    Resume(Lane),
    Release(Lane),
    Seek(Lane, Position),
}

/// The wish to leave.
#[derive(Debug)]
pub(crate) struct Leave {
    pub(crate) deadline: Instant,
    /// Nobody waits where the source was dropped.
    pub(crate) done: Option<oneshot::Sender<Result<()>>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) lanes: Lanes,
    pub(crate) events: VecDeque<LaneEvent>,
    pub(crate) commands: Vec<Command>,
    pub(crate) leave: Option<Leave>,
    /// Why the source has ended.
    pub(crate) failed: Option<(ErrorKind, String)>,
    /// Verdicts since the last commit was put together, and since when.
    pub(crate) settled: usize,
    pub(crate) settled_since: Option<Instant>,
    /// A commit is on its way, or was given up and may still be carried out.
    pub(crate) committing: bool,
    pub(crate) in_doubt: bool,
    /// Transactions that wait until no commit is on its way.
    pub(crate) transactions_waiting: usize,
    /// Messages came since the driver last looked.
    pub(crate) received: bool,
    copier: Copier,
    turn: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told when `recv` should look again. Partition queues tell it from librdkafka's threads.
    pub(crate) wake: Arc<Notify>,
    /// Until when what was handed out may be begun.
    pub(crate) lease: Lease,
    driver: OnceLock<Thread>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Says which thread drives.
    pub(crate) fn set_driver(&self, thread: Thread) {
        // There is one driver, so this is the first time.
        let _ = self.driver.set(thread);
    }

    /// Wakes the driver.
    pub(crate) fn call_driver(&self) {
        if let Some(thread) = self.driver.get() {
            thread.unpark();
        }
    }

    /// Gives news to the task that owns the source.
    pub(crate) fn tell(&self, events: impl IntoIterator<Item = LaneEvent>) {
        self.lock().events.extend(events);
        self.wake.notify_one();
    }

    /// Ends the source. The first reason stays.
    pub(crate) fn fail(&self, kind: ErrorKind, text: String) {
        self.lock().failed.get_or_insert((kind, text));
        self.wake.notify_one();
    }
}

impl State {
    /// Whether a commit may still be carried out that was sent before.
    pub(crate) fn commit_is_open(&self) -> bool {
        self.committing || self.in_doubt
    }

    /// Moves events and at most `room` deliveries to `inbox`; `false` where there was nothing. What went wrong in a
    /// lane's queue goes to `trouble`.
    pub(crate) fn look(
        &mut self,
        inbox: &mut Inbox,
        room: usize,
        window: usize,
        mut trouble: impl FnMut(Code, &str),
    ) -> Result<bool> {
        let before = inbox.deliveries.len() + inbox.events.len();
        inbox.events.extend(self.events.drain(..));
        if let Some((kind, text)) = &self.failed {
            let found = inbox.deliveries.len() + inbox.events.len() > before;
            return if found { Ok(true) } else { Err(Error::new(*kind, text.clone())) };
        }
        let had = inbox.deliveries.len();
        let most = had + room;
        while inbox.deliveries.len() < most && self.take_a_round(inbox, most, window, &mut trouble) {}
        self.received |= inbox.deliveries.len() > had;
        Ok(inbox.deliveries.len() + inbox.events.len() > before)
    }

    fn take_a_round(
        &mut self,
        inbox: &mut Inbox,
        most: usize,
        window: usize,
        trouble: &mut impl FnMut(Code, &str),
    ) -> bool {
        let before = inbox.deliveries.len();
        self.turn = self.turn.wrapping_add(1);
        let mut back = Vec::new();
        for lane in self.lanes.in_turn(self.turn) {
            let room = TURN.min(most - inbox.deliveries.len());
            if let Some(code) = lane.fill(&mut inbox.deliveries, room, window, &mut self.copier) {
                trouble(code, &lane.place.topic);
            }
            if let Some(offset) = lane.went_back.filter(|_| !lane.frozen && !lane.draining) {
                // Which topic it is now has to be asked anew.
                lane.topic_id = None;
                back.push((lane.id, lane.place.clone(), offset));
            }
        }
        for (lane, place, offset) in back {
            tracing::warn!("the log of {place} went back to {offset}: it is read from there");
            self.command(Command::Seek(lane, Position::Offset(offset)));
        }
        inbox.deliveries.len() > before
    }

    /// Takes verdicts. Returns the first that Kafka has no word for.
    pub(crate) fn settle(&mut self, batch: &mut Vec<Settlement>) -> Option<Verdict> {
        let mut unsupported = None;
        for Settlement { token, verdict } in batch.drain(..) {
            if verdict != Verdict::Done {
                unsupported.get_or_insert(verdict);
                continue;
            }
            // A verdict that comes twice counts twice, which only makes a commit come sooner.
            if let Some(lane) = self.lanes.get_mut(token.lane).filter(|lane| !lane.frozen) {
                lane.ledger.finish(token.seq);
                self.settled += 1;
            }
        }
        if self.settled > 0 && self.settled_since.is_none() {
            self.settled_since = Some(Instant::now());
        }
        unsupported
    }

    /// Begins a command: from here on its lane does what the command says, whenever the driver gets to it.
    pub(crate) fn command(&mut self, command: Command) {
        let (Command::Pause(id) | Command::Resume(id) | Command::Release(id) | Command::Seek(id, _)) = &command;
        let Some(lane) = self.lanes.get_mut(*id).filter(|lane| !lane.frozen) else {
            return;
        };
        match &command {
            Command::Pause(_) => lane.paused = true,
            Command::Resume(_) => {}
            // The driver waits for it.
            Command::Release(_) if lane.draining => lane.frozen = true,
            // It must be given up whole: there is no other place to go to any more.
            Command::Seek(..) if lane.draining => return,
            Command::Release(_) | Command::Seek(..) => hold(lane),
        }
        self.commands.push(command);
    }
}

fn hold(lane: &mut OpenLane) {
    lane.held = true;
    lane.frozen = true;
}

#[cfg(test)]
mod tests {
    use gulo_bus_core::message::Message;
    use gulo_bus_core::settle::Token;

    use super::*;
    use crate::rebalance::Place;

    fn state() -> State {
        let mut state = State::default();
        for partition in 0..3 {
            let lane = state.lanes.open(&Place::new("t", partition));
            lane.backlog = (0..100).map(|at| (at, Message::new("t", "x"))).collect();
        }
        state
    }

    fn deliver(state: &mut State, room: usize, window: usize) -> Inbox {
        let mut inbox = Inbox::default();
        state.look(&mut inbox, room, window, |_, _| ()).unwrap();
        inbox
    }

    #[test]
    fn room_and_window_are_kept_and_every_lane_has_its_turn() {
        let mut state = state();
        let inbox = deliver(&mut state, 150, 60);
        assert_eq!(inbox.deliveries.len(), 150);
        let rest = deliver(&mut state, 1000, 60);
        assert_eq!(rest.deliveries.len(), 30);
        for slot in 0..3 {
            let of_lane = |d: &&gulo_bus_core::transport::Delivery| d.token.lane.slot == slot;
            let count = inbox.deliveries.iter().chain(&rest.deliveries).filter(of_lane).count();
            assert_eq!(count, 60);
        }
    }

    #[test]
    fn no_room_still_yields_events() {
        let mut state = state();
        state.events.push_back(LaneEvent::Recovered);
        let inbox = deliver(&mut state, 0, 10);
        assert_eq!((inbox.events.len(), inbox.deliveries.len()), (1, 0));
    }

    #[test]
    fn a_lane_whose_log_goes_back_is_sought_to_there_and_delivers_nothing_meanwhile() {
        let mut state = state();
        let lane = state.lanes.of(&Place::new("t", 1)).map(|lane| lane.id).unwrap();
        state.lanes.get_mut(lane).unwrap().backlog = [7, 2, 3].map(|at| (at, Message::new("t", "x"))).into();
        assert_eq!(deliver(&mut state, 1000, 1000).deliveries.len(), 201);
        assert!(
            matches!(state.commands[..], [Command::Seek(sought, Position::Offset(2))] if sought == lane),
            "{:?}",
            state.commands
        );
        assert!(state.lanes.get_mut(lane).unwrap().held);
    }

    #[test]
    fn verdicts_for_another_epoch_do_nothing() {
        let mut state = state();
        let inbox = deliver(&mut state, 1, 10);
        let mut token: Token = inbox.deliveries[0].token;
        token.lane.epoch += 1;
        state.settle(&mut vec![Settlement::done(token)]);
        assert!(state.lanes.iter().all(|lane| lane.to_commit().is_none()));
    }

    #[test]
    fn an_unsupported_verdict_leaves_its_delivery_unsettled_and_takes_the_others() {
        let mut state = state();
        let inbox = deliver(&mut state, 2, 10);
        let [first, second] = [inbox.deliveries[0].token, inbox.deliveries[1].token];
        let requeue = Settlement { token: second, verdict: Verdict::Requeue };
        let mut batch = vec![requeue, Settlement::done(first)];
        assert_eq!(state.settle(&mut batch), Some(Verdict::Requeue));
        assert!(batch.is_empty());
        let lane = state.lanes.get_mut(first.lane).unwrap();
        assert_eq!((lane.to_commit().map(|mark| mark.offset), lane.ledger.unfinished()), (Some(1), 1));
    }

    #[test]
    fn a_released_lane_takes_no_more_verdicts() {
        let mut state = state();
        let inbox = deliver(&mut state, 1, 10);
        let token = inbox.deliveries[0].token;
        state.command(Command::Release(token.lane));
        state.settle(&mut vec![Settlement::done(token)]);
        assert_eq!(state.lanes.get_mut(token.lane).unwrap().to_commit(), None);
        assert_eq!(deliver(&mut state, 1000, 1000).deliveries.len(), 200);
    }
}
