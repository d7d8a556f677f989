//! Receiving: a member's window on the broker. All of its state lies there, so nothing is lost with a future.

use std::sync::Arc;

use async_trait::async_trait;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{Capability, Control, Inbox, Source};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep_until};

use crate::broker::{Broker, Joined, Look, NAME};

#[derive(Debug)]
pub(crate) struct MemorySource {
    broker: Arc<Broker>,
    joined: Joined,
    closed: bool,
}

impl MemorySource {
    pub(crate) fn new(broker: Arc<Broker>, joined: Joined) -> Self {
        Self { broker, joined, closed: false }
    }

    fn require_open(&self) -> Result<()> {
        if self.closed {
            Err(Error::new(ErrorKind::Closed, "the memory source is closed").help("subscribe anew"))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn recv(&mut self, inbox: &mut Inbox, room: usize) -> Result<()> {
        self.require_open()?;
        // With a backlog it never waits: its task must still let others run. Nothing has been taken yet.
        tokio::task::consume_budget().await;
        loop {
            match self.broker.look(&self.joined.group, self.joined.number, inbox, room) {
                Look::Found => return Ok(()),
                Look::Gone => {
                    return Err(
                        Error::new(ErrorKind::Unavailable, "the member was crashed by a fault").help("subscribe anew")
                    );
                }
                // A wake-up that comes before this is kept by the `Notify`.
                Look::Wait(until) => tokio::select! {
                    () = self.joined.wake.notified() => {}
                    () = at(until) => {}
                },
            }
        }
    }

    fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()> {
        self.require_open()?;
        self.broker.settle(&self.joined.group, self.joined.number, batch)
    }

    /// The broker lives and stands still with us.
    fn may_begin(&self) -> bool {
        true
    }

    fn control(&mut self, command: Control) -> Result<()> {
        self.require_open()?;
        if matches!(command, Control::Seek { .. }) {
            self.broker.config.capabilities().require(NAME, Capability::Seek)?;
        }
        self.broker.control(&self.joined.group, self.joined.number, command);
        Ok(())
    }

    async fn close(&mut self, deadline: Instant) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let up = self.broker.up_by(deadline).await;
        self.closed = true;
        self.broker.leave(&self.joined.group, self.joined.number, up);
        if up {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::TimedOut,
            "the memory broker is away: verdicts may be lost, what they settled comes again",
        )
        .help("`Faults::up` brings it back"))
    }
}

impl Drop for MemorySource {
    /// Leaves at once. What was settled and not yet durable comes again, as when the process had died.
    fn drop(&mut self) {
        if !self.closed {
            self.broker.leave(&self.joined.group, self.joined.number, false);
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
