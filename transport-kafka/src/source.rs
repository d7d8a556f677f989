//! Receiving, as its owner sees it. All state lies in [`Shared`], so nothing is lost with a future.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::settle::{Settlement, Verdict};
use gulo_bus_core::transport::{Capability, Control, Inbox, Position, Source};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::NAME;
use crate::driver::Handle;
use crate::shared::{Command, Leave};
use crate::transaction::Part;
use crate::transport::CAPABILITIES;

/// A queue tells only when it becomes non-empty. Should that ever get lost, this is how long nobody notices.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a source that was dropped may try to commit what was finished.
const PARTING: Duration = Duration::from_secs(1);

pub(crate) struct KafkaSource {
    handle: Handle,
    window: usize,
    solo: bool,
    closed: bool,
}

impl KafkaSource {
    pub(crate) fn new(handle: Handle, window: usize, solo: bool) -> Self {
        Self { handle, window, solo, closed: false }
    }

    /// What of it a transaction settles. That both are of one cluster the broker sees to: another one knows no such member.
    pub(crate) fn part(&self) -> Result<Part> {
        self.require_open()?;
        if self.solo {
            let text = "a solo reader settles nothing, and so not in a transaction either";
            return Err(Error::new(ErrorKind::Config, text).help("subscribe as a group"));
        }
        Ok(Part::new(self.handle.shared.clone(), self.handle.consumer.clone()))
    }

    fn require_open(&self) -> Result<()> {
        match self.closed {
            true => Err(Error::new(ErrorKind::Closed, "the Kafka source is closed").help("subscribe anew")),
            false => Ok(()),
        }
    }

    fn look(&self, inbox: &mut Inbox, room: usize) -> Result<bool> {
        let trouble = |code, topic: &str| self.handle.trouble(code, topic);
        self.handle.shared.lock().look(inbox, room.min(self.handle.at_a_time), self.window, trouble)
    }

    fn leave(&mut self, leave: Leave) {
        self.closed = true;
        let mut state = self.handle.shared.lock();
        // What is settled from here on is settled too late.
        state.lanes.iter_mut().for_each(|lane| lane.frozen = true);
        state.leave = Some(leave);
        drop(state);
        self.handle.shared.call_driver();
    }
}

impl fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSource").field("closed", &self.closed).finish_non_exhaustive()
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn recv(&mut self, inbox: &mut Inbox, room: usize) -> Result<()> {
        self.require_open()?;
        // With a backlog it never waits: its task must still let others run. Nothing has been taken yet.
        tokio::task::consume_budget().await;
        while !self.look(inbox, room)? {
            // A call that comes between look and wait is kept by the `Notify`.
            let _ = timeout(LOOK_AGAIN, self.handle.shared.wake.notified()).await;
        }
        Ok(())
    }

    fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()> {
        self.require_open()?;
        let mut state = self.handle.shared.lock();
        let unsupported = state.settle(batch);
        let due = state.settled >= self.handle.commit_every;
        drop(state);
        if due {
            self.handle.shared.call_driver();
        }
        let capability = match unsupported {
            Some(Verdict::Reject) => Capability::Reject,
            Some(_) => Capability::Requeue,
            None => return Ok(()),
        };
        CAPABILITIES.require(NAME, capability)
    }

    fn may_begin(&self) -> bool {
        self.handle.shared.lease.holds()
    }

    fn control(&mut self, command: Control) -> Result<()> {
        self.require_open()?;
        let mut state = self.handle.shared.lock();
        match command {
            Control::Pause(lane) => state.command(Command::Pause(lane)),
            Control::Resume(lane) => state.command(Command::Resume(lane)),
            Control::Release(lanes) => {
                lanes.into_iter().for_each(|lane| state.command(Command::Release(lane)));
            }
            Control::Seek { to: Position::Committed, .. } if self.solo => return Err(nothing_committed()),
            Control::Seek { lane, to } => state.command(Command::Seek(lane, to)),
        }
        drop(state);
        self.handle.shared.call_driver();
        Ok(())
    }

    async fn close(&mut self, deadline: Instant) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        self.leave(Leave { deadline: deadline.into_std(), done: Some(done) });
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            // The thread goes on alone; it ends when librdkafka lets it.
            Err(_) => Err(too_late()),
            Ok(Err(_)) => Err(Error::new(ErrorKind::Other, "the thread of the Kafka source had ended")
                .help("what was not settled comes again")),
        }
    }
}

impl Drop for KafkaSource {
    /// Leaves the group without making the task wait.
    fn drop(&mut self) {
        if !self.closed {
            let deadline = std::time::Instant::now() + PARTING;
            self.leave(Leave { deadline, done: None });
        }
    }
}

pub(crate) fn too_late() -> Error {
    Error::new(
        ErrorKind::TimedOut,
        "the Kafka source could not be closed in time: verdicts may be lost, what they settled comes again",
    )
    .help("was there too little time, or does the broker not answer?")
}

pub(crate) fn nothing_committed() -> Error {
    Error::new(ErrorKind::Config, "a solo reader has nothing committed to begin at").help("give another position")
}
