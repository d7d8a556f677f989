//! A source, a group on top of it, and the model of both.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::First;
use crate::settle::{Ledger, Token};

/// A delivery: its token, its key (0: none) and its position in the log of its partition.
pub(super) type Job = (Token, u8, i64);

#[derive(Debug, Default)]
struct Partition {
    /// Position and key of each message; the holes between them never arrive.
    log: Vec<(i64, u8)>,
    /// Where the next owner reads on.
    committed: i64,
    epoch: u32,
    open: Option<Open>,
}

/// A lane of the simplest source there is.
#[derive(Debug)]
struct Open {
    ledger: Ledger,
    start: i64,
    /// Positions by sequence number, and which of them a verdict reached.
    delivered: Vec<i64>,
    settled: BTreeSet<u64>,
    /// To be given back: delivers nothing more.
    draining: bool,
}

pub(super) struct World {
    concurrency: Concurrency,
    pub(super) dispatcher: Dispatcher<Job>,
    partitions: [Partition; 3],
    /// In order of arrival.
    unbegun: Vec<Job>,
    pub(super) running: BTreeMap<Slot, Job>,
    pub(super) parked: BTreeMap<Slot, Job>,
    /// Unparked, and not gone on yet.
    pub(super) due: BTreeMap<Slot, Job>,
    /// Ended, or dropped with their lane.
    gone: Vec<Slot>,
    /// Given, and not handed to the source yet.
    verdicts: Vec<Token>,
    /// How many of each key have begun on each lane; and all that ever did, by partition, key and position.
    begun: BTreeMap<(Lane, u8), usize>,
    ever: BTreeSet<(u32, u8, i64)>,
    /// Partition and position of all that came to its end in any epoch.
    finished: BTreeSet<(u32, i64)>,
}

impl World {
    pub(super) fn new(concurrency: Concurrency) -> Self {
        let mut world = Self {
            concurrency,
            dispatcher: Dispatcher::new(concurrency),
            partitions: Default::default(),
            unbegun: Vec::new(),
            running: BTreeMap::new(),
            parked: BTreeMap::new(),
            due: BTreeMap::new(),
            gone: Vec::new(),
            verdicts: Vec::new(),
            begun: BTreeMap::new(),
            ever: BTreeSet::new(),
            finished: BTreeSet::new(),
        };
        (0..3).for_each(|partition| world.open(partition));
        world
    }

    pub(super) fn append(&mut self, partition: u32, hole: i64, key: u8) {
        let log = &mut self.partitions[partition as usize].log;
        let last = log.last().map_or(-1, |(position, _)| *position);
        log.push((last + 1 + hole, key));
    }

    fn lane(&self, partition: u32) -> Lane {
        Lane { slot: partition, epoch: self.partitions[partition as usize].epoch }
    }

    /// The next message of the lane arrives, if there is one.
    pub(super) fn deliver(&mut self, partition: u32, first: First) -> bool {
        let lane = self.lane(partition);
        let Partition { log, open, .. } = &mut self.partitions[partition as usize];
        let Some(open) = open.as_mut().filter(|open| !open.draining) else { return false };
        let mut rest = log.iter().filter(|(position, _)| *position >= open.start);
        let Some((position, key)) = rest.nth(open.delivered.len()).copied() else { return false };
        let seq = open.ledger.arrive(position).expect("positions rise");
        assert_eq!(seq, open.delivered.len() as u64, "numbers are dense, whatever the holes");
        open.delivered.push(position);
        self.admit((Token { lane, seq }, key, position), first);
        true
    }

    /// What arrived before, arriving again in the same epoch, is not handed out.
    pub(super) fn repeat(&mut self, partition: u32) {
        let Some(open) = &mut self.partitions[partition as usize].open else { return };
        if let Some(last) = open.delivered.last() {
            assert_eq!(open.ledger.arrive(*last), None);
        }
    }

    fn admit(&mut self, job: Job, first: First) {
        self.unbegun.push(job);
        let (lane, key) = (job.0.lane, key(job.1));
        let Some(job) = self.dispatcher.admit(lane, key.as_ref(), job) else { return };
        assert!(self.running.len() < self.concurrency.limit(), "handed back without a slot");
        self.begin(job);
        match first {
            First::Done => self.end(job),
            First::Pending | First::Waits => {
                let slot = self.dispatcher.hold(lane, key.as_ref());
                self.polled(slot, job, first);
            }
        }
    }

    pub(super) fn next(&mut self, first: First) -> bool {
        match self.dispatcher.next() {
            None => return false,
            Some(Next::Begin(slot, job)) => {
                self.begin(job);
                self.polled(slot, job, first);
            }
            Some(Next::Resume(slot)) => match self.due.remove(&slot) {
                Some(job) => self.polled(slot, job, first),
                None => assert!(self.gone.contains(&slot), "{slot:?} resumes and was not unparked"),
            },
        }
        true
    }

    fn polled(&mut self, slot: Slot, job: Job, first: First) {
        match first {
            First::Done => self.finish(slot, job),
            First::Pending => drop(self.running.insert(slot, job)),
            First::Waits => {
                self.dispatcher.park(slot);
                self.parked.insert(slot, job);
            }
        }
    }

    /// A message begins: the next of its key in the log, and nothing of its key is in work.
    fn begin(&mut self, job: Job) {
        let place = self.unbegun.iter().position(|other| *other == job);
        let place = place.unwrap_or_else(|| panic!("{job:?} begins, and did before, or its lane is gone"));
        self.unbegun.remove(place);
        let (token, key, position) = job;
        let (lane, mut in_work) = (token.lane, self.in_work());
        match self.concurrency {
            Concurrency::Sequential => {
                assert_eq!((in_work.next(), place), (None, 0), "{job:?}: one after the other, as they came");
            }
            Concurrency::PerKey(_) if key > 0 => {
                let same = in_work.find(|other| (other.0.lane, other.1) == (lane, key));
                assert_eq!(same, None, "{job:?}: its key is in work");
            }
            _ => return,
        }
        drop(in_work);
        let Partition { log, open, .. } = &self.partitions[lane.slot as usize];
        let start = open.as_ref().expect("open").start;
        let of_key = log.iter().filter(|(at, of)| *at >= start && *of == key);
        let begun = self.begun.entry((lane, key)).or_default();
        assert_eq!(of_key.map(|(at, _)| *at).nth(*begun), Some(position), "in the order of the log, none left out");
        *begun += 1;
        let this = (lane.slot, key, position);
        let later = self.ever.range(this..=(lane.slot, key, i64::MAX)).next();
        assert!(later.is_none_or(|later| *later == this || self.ever.contains(&this)), "{job:?} comes after {later:?}");
        self.ever.insert(this);
    }

    fn in_work(&self) -> impl Iterator<Item = &Job> {
        self.running.values().chain(self.parked.values()).chain(self.due.values())
    }

    pub(super) fn finish(&mut self, slot: Slot, job: Job) {
        self.dispatcher.finish(slot);
        self.gone.push(slot);
        self.end(job);
    }

    fn end(&mut self, (token, _, position): Job) {
        self.finished.insert((token.lane.slot, position));
        self.verdicts.push(token);
    }

    /// News of a message that is gone changes nothing.
    pub(super) fn late(&mut self, pick: &proptest::sample::Index) {
        if self.gone.is_empty() {
            return;
        }
        let slot = self.gone[pick.index(self.gone.len())];
        let before = self.dispatcher.due.len();
        self.dispatcher.park(slot);
        self.dispatcher.unpark(slot);
        self.dispatcher.finish(slot);
        assert_eq!(self.dispatcher.due.len(), before);
    }

    /// The source looks its lane up by slot and epoch: a verdict of an old epoch finds none.
    pub(super) fn hand_over(&mut self) {
        for Token { lane, seq } in std::mem::take(&mut self.verdicts) {
            let Partition { epoch, open, .. } = &mut self.partitions[lane.slot as usize];
            if let Some(open) = open.as_mut().filter(|_| *epoch == lane.epoch) {
                let before = open.ledger.watermark();
                let moved = open.ledger.finish(seq);
                assert_eq!(moved, open.ledger.watermark() != before);
                open.settled.insert(seq);
            }
        }
    }

    pub(super) fn commit(&mut self, partition: u32) {
        let Partition { committed, open, .. } = &mut self.partitions[partition as usize];
        if let Some(mark) = open.as_ref().and_then(|open| open.ledger.watermark()) {
            assert!(mark >= *committed, "a commit goes back");
            *committed = mark;
        }
    }

    /// As the runner does when a lane is called back: what has not begun is forgotten, what waits is left.
    pub(super) fn drain(&mut self, partition: u32) {
        let lane = self.lane(partition);
        let Some(open) = &mut self.partitions[partition as usize].open else { return };
        open.draining = true;
        let before = self.unbegun.len();
        self.unbegun.retain(|job| job.0.lane != lane);
        assert_eq!(self.dispatcher.forget_unbegun(|of| of == lane), before - self.unbegun.len());
        for waits in [&mut self.parked, &mut self.due] {
            let left: Vec<Slot> = waits.iter().filter(|(_, job)| job.0.lane == lane).map(|(slot, _)| *slot).collect();
            waits.retain(|_, job| job.0.lane != lane);
            left.iter().for_each(|slot| self.dispatcher.finish(*slot));
            self.gone.extend(left);
        }
    }

    /// Given back in good order: what is settled is durable.
    pub(super) fn close(&mut self, partition: u32) {
        self.drop_lane(partition);
        self.hand_over();
        self.commit(partition);
        self.partitions[partition as usize].open = None;
    }

    /// Gone: what was not committed comes again, and verdicts on their way come too late.
    pub(super) fn lose(&mut self, partition: u32) {
        self.drop_lane(partition);
        self.partitions[partition as usize].open = None;
    }

    fn drop_lane(&mut self, partition: u32) {
        let lane = self.lane(partition);
        let ended: BTreeSet<Slot> = self.dispatcher.drop_lanes(|of| of == lane).into_iter().collect();
        let mut mine = BTreeSet::new();
        for jobs in [&mut self.running, &mut self.parked, &mut self.due] {
            mine.extend(jobs.iter().filter(|(_, job)| job.0.lane == lane).map(|(slot, _)| *slot));
            jobs.retain(|_, job| job.0.lane != lane);
        }
        assert_eq!(ended, mine, "exactly what had begun on the lane ends");
        self.unbegun.retain(|job| job.0.lane != lane);
        self.gone.extend(ended);
    }

    /// The next owner reads from the watermark, under a new epoch.
    pub(super) fn open(&mut self, partition: u32) {
        let Partition { committed, epoch, open, .. } = &mut self.partitions[partition as usize];
        if open.is_none() {
            *epoch += 1;
            let (delivered, settled) = (Vec::new(), BTreeSet::new());
            *open = Some(Open { ledger: Ledger::new(), start: *committed, delivered, settled, draining: false });
        }
    }

    pub(super) fn check(&self) {
        assert!(self.running.len() <= self.concurrency.limit(), "more at a time than allowed");
        assert_eq!(self.dispatcher.running, self.running.len());
        assert_eq!(self.dispatcher.len(), self.unbegun.len() + self.in_work().count());
        for (slot, Partition { log, committed, epoch, open }) in (0..).zip(&self.partitions) {
            let finished = |position: &i64| self.finished.contains(&(slot, *position));
            let mark = open.as_ref().and_then(|open| open.ledger.watermark()).unwrap_or(*committed).max(*committed);
            let skipped = log.iter().find(|(position, _)| *position < mark && !finished(position));
            assert_eq!(skipped, None, "the watermark {mark} passes what is not finished");
            let Some(Open { ledger, delivered, settled, .. }) = open else { continue };
            let early = settled.iter().find(|seq| !finished(&delivered[**seq as usize]));
            assert_eq!(early, None, "a verdict reached what is not finished");
            let prefix = (0..delivered.len() as u64).take_while(|seq| settled.contains(seq)).count();
            let behind = prefix.checked_sub(1).map(|last| delivered[last] + 1);
            assert_eq!((ledger.watermark(), ledger.span()), (behind, delivered.len() - prefix));
            assert_eq!(ledger.first_unfinished(), delivered.get(prefix).copied());
            let lane = Lane { slot, epoch: *epoch };
            assert_eq!(self.dispatcher.is_busy(lane), self.busy_by_model(lane));
        }
    }

    /// In work, or chosen to begin next: that holds its key already.
    fn busy_by_model(&self, lane: Lane) -> bool {
        let chosen = self.dispatcher.due.iter().any(|due| matches!(due, Due::Begin(of, ..) if *of == lane));
        chosen || self.in_work().any(|job| job.0.lane == lane)
    }

    /// Everything comes to its end, on lanes that are open or open again: nothing is lost, nothing is left.
    pub(super) fn settle_up(&mut self) {
        for partition in 0..3 {
            if self.partitions[partition as usize].open.as_ref().is_none_or(|open| open.draining) {
                self.close(partition);
                self.open(partition);
            }
            while self.deliver(partition, First::Pending) {}
        }
        loop {
            while self.next(First::Pending) {}
            if let Some((slot, job)) = self.parked.pop_first() {
                self.dispatcher.unpark(slot);
                self.due.insert(slot, job);
            } else if let Some((slot, job)) = self.running.pop_first() {
                self.finish(slot, job);
            } else {
                break;
            }
            self.check();
        }
        let dispatcher = &self.dispatcher;
        assert_eq!((dispatcher.len(), dispatcher.running, dispatcher.due.len()), (0, 0, 0));
        assert_eq!((dispatcher.held.len(), dispatcher.behind.len()), (0, 0));
        for partition in 0..3 {
            self.close(partition);
            let Partition { log, committed, .. } = &self.partitions[partition as usize];
            let lost = log.iter().find(|(position, _)| !self.finished.contains(&(partition, *position)));
            assert_eq!(lost, None, "never came to its end");
            let behind = log.last().map_or(0, |(position, _)| position + 1);
            assert_eq!(*committed, behind, "the next owner repeats nothing");
        }
    }
}

fn key(key: u8) -> Option<Bytes> {
    (key > 0).then(|| Bytes::from(vec![key]))
}
