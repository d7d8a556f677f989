//! Messages begun, their turns, their ends.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::{MOMENT, Runner, STRIDE, UNTIMED};
use crate::bus::process::{Attempt, Turn, Work};
use crate::dead_letter::Tally;
use crate::dispatch::{Next, Slot};
use crate::settle::{Lane, Settlement};
use crate::time::later;
use crate::transport::Delivery;

impl Runner {
    /// Takes in turns that are over and begins what may, up to a stride of each: first what the dispatcher holds, then
    /// what has arrived since.
    pub(super) fn work(&mut self, cx: &mut Context<'_>) {
        for _ in 0..STRIDE {
            let Poll::Ready(Some((slot, work, turn))) = self.jobs.poll_next(cx) else { break };
            self.turned(slot, work, turn);
        }
        self.begin_what_may(cx);
    }

    fn begin_what_may(&mut self, cx: &mut Context<'_>) {
        if self.stopping().is_some() {
            return;
        }
        // What has come meanwhile, and what waited for its next attempt, may be somebody else's by now.
        self.in_doubt = !self.source.may_begin();
        if self.in_doubt {
            return;
        }
        let until = Instant::now() + MOMENT;
        for begun in 1..=STRIDE {
            if let Some(next) = self.dispatcher.next() {
                self.go_on_with(next, cx);
            } else if !self.admit_next(cx) {
                return;
            }
            // Where they are slow, that is seen after the first.
            let look = begun.is_power_of_two() || begun.is_multiple_of(UNTIMED);
            if self.stop.has_changed().unwrap_or(true) || look && Instant::now() >= until {
                return;
            }
        }
    }

    pub(super) fn may_begin_more(&self) -> bool {
        self.stopping().is_none() && !self.in_doubt && (self.dispatcher.is_ready() || !self.inbox.deliveries.is_empty())
    }

    /// One that is not over at its first poll stays in work.
    fn go_on_with(&mut self, next: Next<Delivery>, cx: &mut Context<'_>) {
        let (slot, mut work) = match next {
            Next::Begin(slot, delivery) => (slot, Box::new(Work::new(delivery))),
            Next::Resume(slot) => match self.jobs.take_waiting(slot) {
                Some(work) => (slot, work),
                None => return,
            },
        };
        match self.processor.begin(&mut work, cx) {
            Ok(turn) => self.turned(slot, work, turn),
            Err(attempt) => self.jobs.keep(slot, work, attempt),
        }
    }

    /// The next message that has arrived is begun, or goes behind others of its key. `false` where there is none.
    #[inline]
    fn admit_next(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Delivery { token, message, .. }) = self.inbox.deliveries.front() else { return false };
        let lane = token.lane;
        // One of an epoch that is over is delivered again.
        if !self.lanes.still_delivers(lane) {
            self.inbox.deliveries.pop_front();
        } else if !self.dispatcher.is_free(lane, message.key.as_ref()) {
            self.enqueue_next(lane);
        } else if let Some(mut work) = self.inbox.deliveries.pop_front().map(Work::new) {
            match self.processor.begin(&mut work, cx) {
                // The common case: done at its first poll, and nobody had to know of it. It was moved no further: it is not small.
                Ok(Turn::End { dead }) => self.end(&work, dead),
                begun => self.hold(lane, Box::new(work), begun),
            }
        }
        true
    }

    fn enqueue_next(&mut self, lane: Lane) {
        let Some(delivery) = self.inbox.deliveries.pop_front() else { return };
        let key = delivery.message.key.clone();
        self.dispatcher.enqueue(lane, key.as_ref(), delivery);
    }

    /// One that was begun and is not at its end takes its key.
    fn hold(&mut self, lane: Lane, work: Box<Work>, begun: Result<Turn, Attempt>) {
        let slot = self.dispatcher.hold(lane, work.received.delivery.message.key.as_ref());
        match begun {
            Ok(turn) => self.turned(slot, work, turn),
            Err(attempt) => self.jobs.keep(slot, work, attempt),
        }
    }

    /// A turn is over. What waits gives its slot back and keeps its key; so does one whose dead letter is on its way.
    pub(super) fn turned(&mut self, slot: Slot, work: Box<Work>, turn: Turn) {
        match turn {
            Turn::End { dead } => {
                self.end(&work, dead);
                self.dispatcher.finish(slot);
            }
            Turn::Retry(delay) => {
                self.dispatcher.park(slot);
                self.jobs.wait(slot, work, delay);
            }
            Turn::Condemned => {
                self.dispatcher.park(slot);
                self.count(&work, true);
                self.jobs.bury(slot, work, Duration::ZERO);
            }
            Turn::Parked(delay) => {
                self.dispatcher.park(slot);
                self.jobs.bury(slot, work, delay);
            }
        }
    }

    /// It came to its end: only now may it be settled.
    fn end(&mut self, work: &Work, dead: bool) {
        self.settlements.push(Settlement::done(work.token()));
        if !dead {
            self.count(work, false);
        }
    }

    /// One more message of its lane is decided; where that is one dead letter too many, the lane stands still.
    fn count(&mut self, work: &Work, dead: bool) {
        let (token, guard) = (work.token(), &self.processor.dead_letter.guard);
        if !tally_of(&mut self.tallies, token.lane).count(dead, guard) {
            return;
        }
        let trouble =
            format!("too many dead letters, the lane of {} stands still for {:?}", work.origin(), guard.pause_time());
        tracing::error!(group = %self.processor.group, "{trouble}");
        self.processor.gauge.set_guard(token.lane.slot, Some(trouble));
        self.lanes.stand_still(token.lane, later(Instant::now(), guard.pause_time()));
        let lanes = &self.lanes;
        self.inbox.deliveries.retain(|delivery| lanes.delivers(delivery.token.lane));
        self.dispatcher.forget_unbegun(|lane| !lanes.delivers(lane));
    }
}

/// What the guard knows of a lane: the slots of a source are a few small numbers.
pub(super) fn tally_of(tallies: &mut Vec<Tally>, lane: Lane) -> &mut Tally {
    let place = lane.slot as usize;
    if place >= tallies.len() {
        tallies.resize_with(place + 1, Tally::default);
    }
    &mut tallies[place]
}
