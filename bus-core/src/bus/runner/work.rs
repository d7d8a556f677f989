//! Messages begun, their turns, their ends.

use std::time::Duration;

use tokio::time::Instant;

use super::{Runner, STRIDE};
use crate::bus::process::{Turn, Work};
use crate::dispatch::{Next, Slot};
use crate::settle::{Lane, Settlement};
use crate::transport::Delivery;

impl Runner {
    /// Begins what may, up to a stride: first what the dispatcher holds, then what has arrived since.
    pub(super) async fn begin_what_may(&mut self) {
        for _ in 0..STRIDE {
            if self.stopping().is_some() {
                return;
            }
            if let Some(next) = self.dispatcher.next() {
                self.go_on_with(next).await;
            } else if let Some(delivery) = self.arrived.pop_front() {
                self.admit(delivery.token.lane, delivery).await;
            } else {
                return;
            }
            self.hand_over_if_many();
        }
    }

    pub(super) fn may_begin_more(&self) -> bool {
        self.stopping().is_none() && (self.dispatcher.is_ready() || !self.arrived.is_empty())
    }

    /// One that is not ready at its first poll stays in work.
    pub(super) async fn go_on_with(&mut self, next: Next<Delivery>) {
        let (slot, work) = match next {
            Next::Begin(slot, delivery) => (slot, Work::new(delivery)),
            Next::Resume(slot) => match self.jobs.take_waiting(slot) {
                Some(work) => (slot, work),
                None => return,
            },
        };
        match self.jobs.poll_once(work).await {
            Ok((work, turn)) => self.turned(slot, work, turn),
            Err(pending) => self.jobs.keep(slot, pending),
        }
    }

    pub(super) async fn admit(&mut self, lane: Lane, delivery: Delivery) {
        let key = delivery.message.key.clone();
        let Some(delivery) = self.dispatcher.admit(lane, key.as_ref(), delivery) else { return };
        match self.jobs.poll_once(Work::new(delivery)).await {
            // The common case: done at its first poll, and nobody had to know of it.
            Ok((work, Turn::End { dead })) => self.end(&work, dead),
            Ok((work, turn)) => {
                let slot = self.dispatcher.hold(lane, key.as_ref());
                self.turned(slot, work, turn);
            }
            Err(pending) => {
                let slot = self.dispatcher.hold(lane, key.as_ref());
                self.jobs.keep(slot, pending);
            }
        }
    }

    /// A turn is over. What waits gives its slot back and keeps its key; so does one whose dead letter is on its way.
    pub(super) fn turned(&mut self, slot: Slot, work: Work, turn: Turn) {
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
    pub(super) fn end(&mut self, work: &Work, dead: bool) {
        self.settlements.push(Settlement::done(work.delivery.token));
        if !dead {
            self.count(work, false);
        }
    }

    /// One more message of its lane is decided; where that is one dead letter too many, the lane stands still.
    pub(super) fn count(&mut self, work: &Work, dead: bool) {
        let (token, guard) = (work.delivery.token, &self.processor.dead_letter.guard);
        if !self.tallies.entry(token.lane.slot).or_default().count(dead, guard) {
            return;
        }
        let trouble = format!(
            "too many dead letters, the lane of {} stands still for {:?}",
            work.delivery.origin,
            guard.pause_time()
        );
        tracing::error!(group = %self.processor.group, "{trouble}");
        self.processor.gauge.set_guard(token.lane.slot, Some(trouble));
        self.lanes.stand_still(token.lane, Instant::now() + guard.pause_time());
        let lanes = &self.lanes;
        self.arrived.retain(|delivery| lanes.delivers(delivery.token.lane));
        self.dispatcher.forget_unbegun(|lane| !lanes.delivers(lane));
    }
}
