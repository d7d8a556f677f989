//! A transport around the one in memory that is whole but for one fault.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::message::{Message, Wishes};
use gulo_bus_core::settle::{Lane, Settlement, Token};
use gulo_bus_core::transport::{
    Capabilities, Control, Failed, Inbox, LaneEvent, Outcome, Publisher, Source, Status, SubscribeSpec, Topology,
    Transaction, Transport, Unsent,
};
use gulo_bus_core::{Error, ErrorKind, Result};
use gulo_transport_memory::MemoryTransport;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    ConfirmsUnsent,
    ConfirmsFailed,
    ShiftsIndexes,
    FailsWholeBatch,
    IgnoresWishes,
    FillsTombstones,
    FillsNullHeaders,
    SwapsMessages,
    SettlesEarly,
    SettlesOnRelease,
    SettlesAllBelow,
    CountsVerdicts,
    IgnoresEpochs,
    ClosesHard,
    ClosesLate,
    IgnoresWindow,
    IgnoresRoom,
    IgnoresPause,
    LosesOnCancel,
    FailsWhenDegraded,
}

pub(crate) struct Broken {
    inner: MemoryTransport,
    fault: Fault,
}

impl Broken {
    pub(crate) fn new(inner: MemoryTransport, fault: Fault) -> Self {
        Self { inner, fault }
    }
}

#[async_trait]
impl Transport for Broken {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn status(&self) -> Status {
        self.inner.status()
    }

    async fn ensure(&self, topology: &Topology) -> Result<()> {
        self.inner.ensure(topology).await
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(BrokenPublisher { inner: self.inner.publisher().await?, fault: self.fault }))
    }

    async fn subscribe(&self, mut spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        if self.fault == Fault::IgnoresWindow {
            spec.window *= 2;
        }
        let inner = self.inner.subscribe(spec).await?;
        Ok(Box::new(BrokenSource { inner: Some(inner), fault: self.fault, state: State::default() }))
    }

    async fn transaction(&self, id: &str) -> Result<Box<dyn Transaction>> {
        self.inner.transaction(id).await
    }
}

struct BrokenPublisher {
    inner: Arc<dyn Publisher>,
    fault: Fault,
}

impl BrokenPublisher {
    fn change(&self, mut message: Message) -> Message {
        match self.fault {
            Fault::IgnoresWishes => message.send = Wishes::default(),
            Fault::FillsTombstones => message.payload = Some(message.payload.unwrap_or_default()),
            Fault::FillsNullHeaders => {
                let filled = message.headers.into_iter().map(|(name, value)| (name, Some(value.unwrap_or_default())));
                message.headers = filled.collect();
            }
            _ => {}
        }
        message
    }
}

#[async_trait]
impl Publisher for BrokenPublisher {
    async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        let batch: Vec<_> = batch.into_iter().map(|message| self.change(message)).collect();
        let result = match self.fault {
            Fault::ConfirmsUnsent => return Ok(()),
            _ => self.inner.publish(batch.clone()).await,
        };
        match (self.fault, result) {
            (Fault::ConfirmsFailed, _) => Ok(()),
            (Fault::ShiftsIndexes, Err(mut unsent)) => {
                unsent.failed.iter_mut().for_each(|failed| failed.index += 1);
                Err(unsent)
            }
            (Fault::FailsWholeBatch, Err(unsent)) => {
                let Failed { error, .. } = &unsent.failed[0];
                Err(Unsent::all(batch, Outcome::Refused, |_| Error::new(error.kind(), error.to_string())))
            }
            (_, result) => result,
        }
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        self.inner.close(deadline).await
    }
}

#[derive(Default)]
struct State {
    /// Epoch of each slot, and what has arrived under it.
    epochs: BTreeMap<u32, u32>,
    out: Vec<Token>,
    counted: u64,
    /// Events that nothing stands behind.
    answers: Vec<LaneEvent>,
}

struct BrokenSource {
    /// Taken by a hard close.
    inner: Option<Box<dyn Source>>,
    fault: Fault,
    state: State,
}

impl BrokenSource {
    fn inner(&mut self) -> Result<&mut Box<dyn Source>> {
        self.inner.as_mut().ok_or_else(|| Error::new(ErrorKind::Closed, "closed"))
    }

    fn look_at(&mut self, inbox: &mut Inbox) -> Result<()> {
        for event in &inbox.events {
            match event {
                LaneEvent::Opened { lane, .. } => drop(self.state.epochs.insert(lane.slot, lane.epoch)),
                LaneEvent::Degraded(_) if self.fault == Fault::FailsWhenDegraded => {
                    return Err(Error::new(ErrorKind::Unavailable, "the broker is away"));
                }
                _ => {}
            }
        }
        self.state.out.extend(inbox.deliveries.iter().map(|delivery| delivery.token));
        match self.fault {
            Fault::SettlesEarly => {
                let mut all = inbox.deliveries.iter().map(|delivery| Settlement::done(delivery.token)).collect();
                self.inner()?.settle(&mut all)
            }
            Fault::SwapsMessages => {
                let messages: Vec<_> = inbox.deliveries.iter().rev().map(|delivery| delivery.message.clone()).collect();
                inbox.deliveries.iter_mut().zip(messages).for_each(|(delivery, message)| delivery.message = message);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn verdicts(&mut self, given: Settlement) -> Vec<Settlement> {
        let mut settlement = given;
        let token = &mut settlement.token;
        match self.fault {
            Fault::IgnoresEpochs => token.lane.epoch = self.state.epochs.get(&token.lane.slot).copied().unwrap_or(0),
            Fault::CountsVerdicts => {
                token.seq = self.state.counted;
                self.state.counted += 1;
            }
            Fault::SettlesAllBelow => {
                let at = |seq| Settlement { token: Token { seq, ..given.token }, ..given };
                return (0..=given.token.seq).map(at).collect();
            }
            _ => {}
        }
        vec![settlement]
    }

    fn settle_lane(&mut self, lanes: &[Lane]) -> Result<()> {
        let out = self.state.out.iter().filter(|token| lanes.contains(&token.lane));
        let mut all = out.map(|token| Settlement::done(*token)).collect();
        self.inner()?.settle(&mut all)
    }
}

#[async_trait]
impl Source for BrokenSource {
    async fn recv(&mut self, inbox: &mut Inbox, room: usize) -> Result<()> {
        if !self.state.answers.is_empty() {
            inbox.events.append(&mut self.state.answers);
            return Ok(());
        }
        let room = if self.fault == Fault::IgnoresRoom { room + 10 } else { room };
        let mut fill = Inbox::default();
        self.inner()?.recv(&mut fill, room).await?;
        if self.fault == Fault::LosesOnCancel {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.look_at(&mut fill)?;
        inbox.events.append(&mut fill.events);
        inbox.deliveries.append(&mut fill.deliveries);
        Ok(())
    }

    fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()> {
        let mut changed = batch.drain(..).flat_map(|given| self.verdicts(given)).collect();
        self.inner()?.settle(&mut changed)
    }

    fn may_begin(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.may_begin())
    }

    fn control(&mut self, command: Control) -> Result<()> {
        match (self.fault, command) {
            (Fault::SettlesOnRelease, Control::Release(lanes)) => {
                self.settle_lane(&lanes)?;
                self.inner()?.control(Control::Release(lanes))
            }
            (Fault::IgnoresPause, Control::Pause(lane)) => {
                self.state.answers.push(LaneEvent::Paused(lane));
                Ok(())
            }
            (_, command) => self.inner()?.control(command),
        }
    }

    async fn close(&mut self, deadline: Instant) -> Result<()> {
        match self.fault {
            Fault::ClosesHard => {
                self.inner = None;
                Ok(())
            }
            Fault::ClosesLate => self.inner()?.close(deadline + Duration::from_secs(5)).await,
            _ => self.inner()?.close(deadline).await,
        }
    }
}
