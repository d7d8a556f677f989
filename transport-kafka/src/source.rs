//! The receiving end: takes messages from the partitions' queues in the task that asks for them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::settle::{Settlement, Verdict};
use gulo_bus_core::transport::{Capability, Control, Inbox, Source};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::error::KafkaError;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::context::Health;
use crate::error;
use crate::shared::{Leave, Shared, State};
use crate::transport::{CAPABILITIES, NAME};

/// The callback that tells of messages fires when a queue stops being empty; should one be missed, this is the longest
/// anything waits.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(crate) struct KafkaSource {
    pub(crate) shared: Arc<Shared>,
    pub(crate) health: Arc<Health>,
    pub(crate) commit_every: usize,
    pub(crate) closed: bool,
}

impl KafkaSource {
    fn fill(&self, inbox: &mut Inbox, room: usize) -> Result<()> {
        let mut state = self.shared.lock();
        inbox.events.append(&mut state.events);
        take_round_robin(&mut state, inbox, room, &self.health);
        match state.fatal.take() {
            Some(fatal) if inbox.is_empty() => Err(fatal),
            fatal => {
                state.fatal = fatal;
                Ok(())
            }
        }
    }
}

/// One lane after the other, each for its share of the room, beginning behind the one that came first last time.
fn take_round_robin(state: &mut State, inbox: &mut Inbox, room: usize, health: &Health) {
    let slots: Vec<u32> = state.lanes.keys().copied().collect();
    if slots.is_empty() || room == 0 {
        return;
    }
    let begin = slots
        .iter()
        .position(|slot| *slot >= state.next)
        .unwrap_or(0);
    let full = inbox.deliveries.len() + room;
    let share = room.div_ceil(slots.len());
    for quota in [share, room] {
        for slot in slots[begin..].iter().chain(&slots[..begin]) {
            let mut left = quota.min(full - inbox.deliveries.len());
            while let Some(lane) = (left > 0).then(|| state.lanes.get_mut(slot)).flatten() {
                match lane.take() {
                    Some(Ok(delivery)) => inbox.deliveries.push(delivery),
                    Some(Err(error)) => note(&error),
                    None => break,
                }
                left -= 1;
            }
        }
    }
    state.next = slots[begin] + 1;
    if !inbox.deliveries.is_empty() {
        health.up();
    }
}

fn note(error: &KafkaError) {
    tracing::warn!(target: "gulo::kafka", "{}", error::of_operation("receiving", error));
}

#[async_trait]
impl Source for KafkaSource {
    async fn recv(&mut self, inbox: &mut Inbox, room: usize) -> Result<()> {
        if self.closed {
            return Err(Error::new(ErrorKind::Closed, "the source is closed"));
        }
        let before = (inbox.events.len(), inbox.deliveries.len());
        loop {
            let news = self.shared.news.notified();
            self.fill(inbox, room)?;
            if (inbox.events.len(), inbox.deliveries.len()) != before {
                return Ok(());
            }
            // Elapsed is as good as notified: look again.
            let _ = timeout(LONGEST_WAIT, news).await;
        }
    }

    fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()> {
        let mut refused = None;
        let mut due = false;
        {
            let mut state = self.shared.lock();
            for Settlement { token, verdict } in batch.drain(..) {
                match verdict {
                    Verdict::Done => {
                        if let Some(lane) = state.get(token.lane) {
                            lane.settle(token.seq);
                            due |= lane.fresh >= self.commit_every;
                        }
                    }
                    Verdict::Requeue => refused = Some(Capability::Requeue),
                    Verdict::Reject => refused = Some(Capability::Reject),
                }
            }
        }
        if due {
            self.shared.signal.set();
        }
        refused.map_or(Ok(()), |capability| CAPABILITIES.require(NAME, capability))
    }

    fn control(&mut self, command: Control) -> Result<()> {
        let mut state = self.shared.lock();
        match &command {
            // At once: what is still in its queue must not come out after this.
            Control::Pause(lane) => {
                if let Some(lane) = state.get(*lane) {
                    lane.paused = true;
                }
            }
            Control::Resume(_) | Control::Release(_) | Control::Seek { .. } => {}
        }
        state.commands.push_back(command);
        drop(state);
        self.shared.signal.set();
        Ok(())
    }

    async fn close(&mut self, deadline: Instant) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let (done, wait) = oneshot::channel();
        self.shared.lock().leave = Some(Leave {
            deadline,
            done: Some(done),
        });
        self.shared.signal.set();
        match timeout_at(deadline, wait).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::TimedOut,
                "what is settled could not be committed by the deadline",
            )
            .help("it is delivered again")),
        }
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        if !self.closed {
            let deadline = Instant::now() + Duration::from_secs(5);
            self.shared.lock().leave = Some(Leave {
                deadline,
                done: None,
            });
            self.shared.signal.set();
        }
    }
}
