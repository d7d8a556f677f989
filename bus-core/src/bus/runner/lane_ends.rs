//! Lanes that are handed back, lost, or gone with their source.

use tokio::time::{Instant, sleep};

use super::lanes::Lanes;
use super::work::tally_of;
use super::{RESUBSCRIBE_BACK_OFF, Runner};
use crate::error::{Error, Result};
use crate::settle::Lane;
use crate::transport::{Control, Inbox};

impl Runner {
    /// Lanes that stood still long enough are handed back, and come again with what was left unsettled: on trial.
    pub(super) fn let_go_on(&mut self) {
        let now = Instant::now();
        for lane in self.lanes.rested(now, now + self.spec.drain) {
            tally_of(&mut self.tallies, lane).on_trial(&self.processor.dead_letter.guard);
            self.processor.gauge.set_guard(lane.slot, None);
        }
    }

    /// Releases the draining lanes on which nothing is in work any more: what has not begun is left to the next owner,
    /// what waits for its next attempt too, and at its deadline everything.
    pub(super) async fn give_back_drained(&mut self) -> Result<()> {
        self.let_go_on();
        if !self.lanes.any_draining() {
            return Ok(());
        }
        let lanes = &self.lanes;
        self.inbox.deliveries.retain(|delivery| lanes.delivers(delivery.token.lane));
        self.dispatcher.forget_unbegun(|lane| !lanes.delivers(lane));
        for slot in self.jobs.take_all_waiting(|lane| !lanes.delivers(lane)) {
            self.dispatcher.finish(slot);
        }
        let now = Instant::now();
        let late = self.lanes.overdue(now);
        self.drop_lanes(|lane| late.contains(&lane)).await;
        self.hand_over_verdicts()?;
        let (dispatcher, lanes) = (&self.dispatcher, &mut self.lanes);
        match lanes.take_drained(|lane| dispatcher.is_busy(lane)) {
            drained if drained.is_empty() => Ok(()),
            drained => self.source.control(Control::Release(drained)),
        }
    }

    /// Drops what is in work on these lanes, unsettled: it is delivered again.
    pub(super) async fn drop_lanes(&mut self, gone: impl Fn(Lane) -> bool) {
        self.inbox.deliveries.retain(|delivery| !gone(delivery.token.lane));
        for slot in self.dispatcher.drop_lanes(gone) {
            self.jobs.abandon(slot);
        }
        self.jobs.reap().await;
    }

    /// The source has failed: a new one, as long as it takes. What was not settled comes again.
    pub(super) async fn resubscribe(&mut self, error: Error) {
        let (mut wait, longest) = RESUBSCRIBE_BACK_OFF;
        let mut trouble = error;
        self.drop_lanes(|_| true).await;
        // A new source counts its lanes anew: what the old one still gave would pass for the new one's.
        self.inbox = Inbox::default();
        self.settlements.clear();
        self.tallies.clear();
        self.processor.gauge.clear_guards();
        self.lanes = Lanes::default();
        self.take_survey_now();
        // Its own trouble is known already.
        let _ = self.source.close(Instant::now() + longest).await;
        while self.stopping().is_none() {
            tracing::error!(group = %self.processor.group, "subscription broken, trying again in {wait:?}: {trouble}");
            self.processor.gauge.set_source_trouble(Some(trouble.to_string()));
            tokio::select! {
                () = sleep(wait) => {}
                _ = self.stop.changed() => return,
            }
            match self.transport.subscribe(self.spec.clone()).await {
                Ok(source) => {
                    self.source = source;
                    self.processor.gauge.set_source_trouble(None);
                    return;
                }
                Err(error) => trouble = error,
            }
            wait = (wait * 2).min(longest);
        }
    }
}
