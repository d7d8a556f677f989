//! The end of a scenario: everything is handled, everybody stops, and the row is made.

use std::time::Instant;

use tokio::time::sleep;

use super::{LOOK_AGAIN, PATIENCE, Room};
use crate::member::Member;
use crate::rows::{Bounds, Row, seconds};
use crate::verdict::Evidence;
use crate::{Trouble, now};

impl Room {
    /// Ends the load, waits until all is handled, stops all members in peace, and judges.
    pub(in crate::kafka) async fn finish(
        mut self,
        members: Vec<Member>,
        bounds: Bounds,
    ) -> Result<(Row, Evidence), Trouble> {
        self.traffic.end().await?;
        // What never comes is for the judge to see.
        let came = self.all_handled().await;
        self.dead_letters_come().await?;
        for member in members {
            self.stop(member)?;
        }
        let (samples, entries) = self.watch.end()?;
        let (log, letters) = (self.eye.read(&self.topic)?, self.eye.read(&self.letters)?);
        let sent = std::mem::take(&mut *self.traffic.sent());
        let evidence = Evidence { sent, entries, samples, log, letters };
        let mut row = self.row(&evidence, bounds);
        if let Err(trouble) = came {
            row.claim("all is handled", trouble.to_string(), "in time", false);
        }
        let committed = self.eye.committed(&self.topic, &self.group)?;
        let left = evidence.uncommitted(&committed, &self.eye.ends(&self.topic)?);
        let stop = format!("{}, {left} uncommitted", if self.clean { "in peace" } else { "not in peace" });
        row.claim("stop", stop, "in peace, 0 uncommitted", self.clean && left == 0);
        Ok((row, evidence))
    }

    async fn dead_letters_come(&mut self) -> Result<(), Trouble> {
        let wanted = self.traffic.sent().poison.len() as i64;
        let deadline = Instant::now() + PATIENCE;
        while wanted > 0 && self.letters_taken()? < wanted && Instant::now() < deadline {
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    pub(in crate::kafka) fn letters_taken(&self) -> Result<i64, Trouble> {
        Ok(self.eye.ends(&self.letters)?.values().sum())
    }

    fn row(&self, evidence: &Evidence, bounds: Bounds) -> Row {
        let (lost, missing) = (evidence.unhandled(), evidence.never_stored());
        let (disorder, too_far) = (evidence.disorder(), evidence.committed_too_far());
        let mut row = Row {
            scenario: self.name.clone(),
            messages: evidence.sent.all().count(),
            lost: lost.len() + missing.len(),
            duplicated: evidence.duplicates(),
            disorder: disorder.len(),
            disorder_allowed: 0,
            committed_too_far: Some(too_far.len()),
            stall: seconds(evidence.longest_stall()),
            recovery: seconds(evidence.recovery(self.healed)),
            bounds,
            claims: Vec::new(),
            facts: serde_json::Map::new(),
            sent_again: 0,
            seconds: seconds(now() - self.began),
            ok: false,
        };
        row.fact("samples", evidence.samples.len());
        row.fact("unknown to the publisher", evidence.sent.unknown.len());
        row.shown("lost", lost.iter().map(|id| format!("{id:?} is never handled")));
        row.shown("not stored", missing.iter().map(|id| format!("{id:?} was confirmed and is not in the log")));
        row.shown("disorder", disorder.iter().cloned());
        row.shown("committed too far", too_far.iter().map(|(at, lane, end)| format!("{end} of {lane} at {at}")));
        let untrue = evidence.untrue();
        row.none("twice in the log, or there although refused", untrue.len());
        let repeated = evidence.letters_twice();
        row.fact("dead letters repeated", repeated);
        row
    }
}
