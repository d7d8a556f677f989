//! A source, its lanes remembered and its promises watched.

use std::time::Duration;

use gulo_bus_core::settle::{Lane, Settlement};
use gulo_bus_core::transport::{Control, Delivery, Inbox, LaneEvent, Source};
use tokio::time::{Instant, timeout_at};

use super::lanes::Lanes;

/// Reads. Lanes that are called back are released at once, unless the case takes that over.
pub(crate) struct Reader {
    pub(crate) lanes: Lanes,
    /// Whether lanes that drain are released at once.
    pub(crate) releases: bool,
    /// Received and not yet taken.
    pub(crate) got: Vec<Delivery>,
    source: Box<dyn Source>,
    window: usize,
    patience: Duration,
    inbox: Inbox,
    log: Vec<String>,
}

impl Reader {
    pub(crate) fn new(source: Box<dyn Source>, window: usize, patience: Duration) -> Self {
        let (lanes, inbox, got, log) = (Lanes::default(), Inbox::default(), Vec::new(), Vec::new());
        Self { lanes, releases: true, got, source, window, patience, inbox, log }
    }

    /// Receives once, up to `room`; `false` when `deadline` passed first. May be dropped midway, as `recv` may.
    pub(crate) async fn step(&mut self, room: usize, deadline: Instant) -> bool {
        if !self.inbox.is_empty() {
            // An earlier step was dropped when its fill had begun.
            self.sort_in(room);
            return true;
        }
        match timeout_at(deadline, self.source.recv(&mut self.inbox, room)).await {
            Ok(received) => received.expect("the source goes on"),
            Err(_) => {
                // A fill may have begun: nothing of it is lost.
                self.sort_in(room);
                return false;
            }
        }
        assert!(!self.inbox.is_empty(), "`recv` came back with nothing");
        self.sort_in(room);
        true
    }

    fn sort_in(&mut self, room: usize) {
        let Inbox { events, deliveries } = std::mem::take(&mut self.inbox);
        assert!(deliveries.len() <= room, "{} deliveries for room {room}", deliveries.len());
        self.lanes.begin();
        events.into_iter().for_each(|event| self.note(event));
        let lanes = &self.lanes;
        self.got.retain(|delivery| lanes.open.contains_key(&delivery.token.lane));
        for delivery in deliveries {
            if self.lanes.arrived(&delivery, self.window) {
                self.got.push(delivery);
            }
        }
    }

    fn note(&mut self, event: LaneEvent) {
        self.log.push(format!("{event:?}"));
        self.lanes.note(&event);
        if let LaneEvent::Draining { lanes, .. } = event
            && self.releases
        {
            self.control(Control::Release(lanes));
        }
    }

    /// What was received and not taken yet.
    pub(crate) fn taken(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.got)
    }

    /// Exactly the next `count` deliveries; does not settle them.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Delivery> {
        let deadline = self.soon();
        while self.got.len() < count {
            let more = self.step(count - self.got.len(), deadline).await;
            assert!(more, "{:?} came in time, of {count}; events: {:#?}", texts(&self.got), self.log);
        }
        self.got.drain(..count).collect()
    }

    /// The next delivery.
    pub(crate) async fn one(&mut self) -> Delivery {
        self.take(1).await.remove(0)
    }

    /// The next `count` deliveries, settled.
    pub(crate) async fn take_and_settle(&mut self, count: usize) -> Vec<Delivery> {
        let taken = self.take(count).await;
        self.settle(&taken);
        taken
    }

    /// All deliveries up to the one that says `last`, each settled as it comes.
    pub(crate) async fn up_to(&mut self, last: &str) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|text| text != last) {
            seen.extend(texts(&self.take_and_settle(1).await));
        }
        seen
    }

    /// Receives, with room for `room` at a time, until `condition` holds of this reader.
    pub(crate) async fn until(&mut self, what: &str, room: usize, condition: impl Fn(&Self) -> bool) {
        let deadline = self.soon();
        while !condition(self) {
            let more = self.step(room, deadline).await;
            assert!(more, "in vain: {what}; got {:?}; events: {:#?}", texts(&self.got), self.log);
        }
    }

    /// Receives for as long as this. Only for cases about time itself.
    pub(crate) async fn run_for(&mut self, time: Duration, room: usize) {
        let end = Instant::now() + time;
        while self.step(room, end).await {}
    }

    /// Whether this has come.
    pub(crate) fn happened(&self, event: &LaneEvent) -> bool {
        self.log.contains(&format!("{event:?}"))
    }

    /// Events so far, in words.
    pub(crate) fn events(&self) -> &[String] {
        &self.log
    }

    /// Waits until `count` lanes are open, receiving no messages.
    pub(crate) async fn opened(&mut self, count: usize) -> Vec<Lane> {
        self.until("lanes open", 0, |reader| reader.lanes.open.len() >= count).await;
        self.lanes.open.keys().copied().collect()
    }

    /// The first lane, as soon as it is there.
    pub(crate) async fn lane(&mut self) -> Lane {
        self.opened(1).await[0]
    }

    /// The open lane of a partition.
    pub(crate) fn lane_of(&self, partition: u32) -> Lane {
        let mut lanes = self.lanes.open.iter();
        let of = lanes.find(|(_, open)| open.origin.partition == Some(partition));
        of.map(|(lane, _)| *lane).unwrap_or_else(|| panic!("no lane of partition {partition} is open"))
    }

    /// Waits until `lane` is closed and its slot open under a later epoch, receiving no messages.
    pub(crate) async fn reopened(&mut self, lane: Lane) -> Lane {
        let later = |reader: &Self| {
            reader.lanes.open.keys().copied().find(|open| open.slot == lane.slot && open.epoch > lane.epoch)
        };
        self.until("the lane opens again", 0, |reader| later(reader).is_some()).await;
        assert!(self.happened(&LaneEvent::Closed(lane)), "{lane:?} was closed first: {:#?}", self.log);
        later(self).expect("it is open")
    }

    /// Gives `lane` back, though nobody asked for it, and waits for its next epoch.
    pub(crate) async fn release(&mut self, lane: Lane) -> Lane {
        self.control(Control::Release(vec![lane]));
        self.reopened(lane).await
    }

    pub(crate) fn settle<'a>(&mut self, deliveries: impl IntoIterator<Item = &'a Delivery>) {
        let batch = deliveries.into_iter().map(|delivery| Settlement::done(delivery.token)).collect();
        self.verdicts(batch).expect("verdicts are taken");
    }

    /// Hands verdicts over; only the ones that are taken count as given.
    pub(crate) fn verdicts(&mut self, mut batch: Vec<Settlement>) -> gulo_bus_core::Result<()> {
        let given = batch.clone();
        let result = self.source.settle(&mut batch);
        assert!(batch.is_empty(), "verdicts are drained");
        if result.is_ok() {
            given.iter().for_each(|settlement| self.lanes.settled(settlement.token));
        }
        result
    }

    pub(crate) fn control(&mut self, command: Control) {
        self.source.control(command).expect("the command is taken");
    }

    pub(crate) fn try_control(&mut self, command: Control) -> gulo_bus_core::Result<()> {
        self.source.control(command)
    }

    /// The source itself, for a transaction that settles.
    pub(crate) fn source(&mut self) -> &mut dyn Source {
        &mut *self.source
    }

    pub(crate) async fn close(self) {
        let deadline = self.soon();
        self.close_by(deadline).await.expect("closed in good order");
    }

    pub(crate) async fn close_by(mut self, deadline: Instant) -> gulo_bus_core::Result<()> {
        self.source.close(deadline).await
    }

    fn soon(&self) -> Instant {
        Instant::now() + self.patience
    }
}

/// Receives on both until `condition` holds of them.
pub(crate) async fn both_until(
    (a, b): (&mut Reader, &mut Reader),
    what: &str,
    room: usize,
    condition: impl Fn(&Reader, &Reader) -> bool,
) {
    let deadline = a.soon();
    while !condition(a, b) {
        let more = tokio::select! {
            more = a.step(room, deadline) => more,
            more = b.step(room, deadline) => more,
        };
        let got = (texts(&a.got), texts(&b.got));
        assert!(more, "in vain: {what}; got {got:?}; events: {:#?} and {:#?}", a.log, b.log);
    }
}

/// The payload as text.
pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message.payload.as_deref().unwrap_or_default()).into_owned()
}

pub(crate) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(text).collect()
}
