//! The dispatcher against the simplest model of it, over random schedules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Lane, key (0: none) and number of arrival.
type Job = (Lane, u8, usize);

const fn lane(slot: u32, epoch: u32) -> Lane {
    Lane { slot, epoch }
}

fn key(key: u8) -> Option<Bytes> {
    (key > 0).then(|| Bytes::from(vec![key]))
}

/// The dispatcher, and all that is known about it.
struct World {
    dispatcher: Dispatcher<Job>,
    concurrency: Concurrency,
    epochs: [u32; 3],
    arrived: usize,
    /// Not begun, of lanes that are open.
    expected: BTreeSet<Job>,
    running: BTreeMap<Slot, Job>,
    parked: BTreeMap<Slot, Job>,
    /// Unparked, and not gone on yet.
    due: BTreeMap<Slot, Job>,
    /// The latest begun of each lane and key.
    last: BTreeMap<(Lane, u8), usize>,
}

#[derive(Debug, Clone)]
enum Step {
    Admit { slot: u32, key: u8, ready: bool },
    Next,
    Finish(prop::sample::Index),
    Park(prop::sample::Index),
    Unpark(prop::sample::Index),
    DropLane(u32),
}

impl<J> Dispatcher<J> {
    /// Takes a message in, as the runner does: hands it straight back where it may begin at this moment.
    pub(super) fn admit(&mut self, lane: Lane, key: Option<&Bytes>, job: J) -> Option<J> {
        if self.is_free(lane, key) {
            return Some(job);
        }
        self.enqueue(lane, key, job);
        None
    }
}

impl World {
    fn new(concurrency: Concurrency) -> Self {
        Self {
            dispatcher: Dispatcher::new(concurrency),
            concurrency,
            epochs: [0; 3],
            arrived: 0,
            expected: BTreeSet::new(),
            running: BTreeMap::new(),
            parked: BTreeMap::new(),
            due: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Admit { slot, key, ready } => self.admit(*slot, *key, *ready),
            Step::Next => drop(self.next()),
            Step::Finish(pick) => {
                if let Some(slot) = pick_of(&self.running, pick) {
                    self.running.remove(&slot);
                    self.dispatcher.finish(slot);
                }
            }
            Step::Park(pick) => {
                if let Some(slot) = pick_of(&self.running, pick) {
                    self.parked.extend(self.running.remove(&slot).map(|job| (slot, job)));
                    self.dispatcher.park(slot);
                }
            }
            Step::Unpark(pick) => {
                if let Some(slot) = pick_of(&self.parked, pick) {
                    self.dispatcher.unpark(slot);
                    self.due.extend(self.parked.remove(&slot).map(|job| (slot, job)));
                }
            }
            Step::DropLane(slot) => self.drop_lane(*slot),
        }
        self.check();
    }

    fn admit(&mut self, slot: u32, of_key: u8, ready: bool) {
        let lane = lane(slot, self.epochs[slot as usize]);
        let job = (lane, of_key, self.arrived);
        self.arrived += 1;
        self.expected.insert(job);
        let key = key(of_key);
        if let Some(job) = self.dispatcher.admit(lane, key.as_ref(), job) {
            assert!(self.running.len() < self.concurrency.limit(), "handed back without a slot");
            self.begin(job);
            if !ready {
                let slot = self.dispatcher.hold(lane, key.as_ref());
                self.running.insert(slot, job);
            }
        }
    }

    fn next(&mut self) -> bool {
        match self.dispatcher.next() {
            None => false,
            Some(Next::Begin(slot, job)) => {
                self.begin(job);
                self.running.insert(slot, job);
                true
            }
            Some(Next::Resume(slot)) => {
                let job = self.due.remove(&slot).expect("resumed once, and only what was unparked");
                self.running.insert(slot, job);
                true
            }
        }
    }

    /// A message begins: nothing of its key is in work, and none of its key is overtaken.
    fn begin(&mut self, job: Job) {
        assert!(self.expected.remove(&job), "{job:?} begins, and was begun before or its lane is gone");
        let (lane, key, number) = job;
        let mut in_work = self.running.values().chain(self.parked.values()).chain(self.due.values());
        match self.concurrency {
            Concurrency::Sequential => {
                assert_eq!(in_work.next(), None, "one after the other");
                assert!(self.expected.iter().all(|other| other.2 > number), "{job:?} overtakes");
            }
            Concurrency::PerKey(_) if key > 0 => {
                assert_eq!(
                    in_work.find(|other| (other.0, other.1) == (lane, key)),
                    None,
                    "{job:?}: its key is in work"
                );
                let before = self.last.insert((lane, key), number);
                assert!(before.is_none_or(|before| before < number), "{job:?} comes after {before:?}");
                let overtaken =
                    self.expected.iter().find(|other| (other.0, other.1) == (lane, key) && other.2 < number);
                assert_eq!(overtaken, None, "{job:?} overtakes");
            }
            _ => {}
        }
    }

    fn drop_lane(&mut self, slot: u32) {
        let gone = lane(slot, self.epochs[slot as usize]);
        self.epochs[slot as usize] += 1;
        let ended: BTreeSet<Slot> = self.dispatcher.drop_lanes(|lane| lane == gone).into_iter().collect();
        let of_lane = |(slot, job): (&Slot, &Job)| (job.0 == gone).then_some(*slot);
        let mine: BTreeSet<Slot> = [&self.running, &self.parked, &self.due]
            .into_iter()
            .flat_map(|jobs| jobs.iter().filter_map(of_lane))
            .collect();
        assert_eq!(ended, mine, "exactly what had begun on the lane ends");
        self.running.retain(|_, job| job.0 != gone);
        self.parked.retain(|_, job| job.0 != gone);
        self.due.retain(|_, job| job.0 != gone);
        self.expected.retain(|job| job.0 != gone);
    }

    fn check(&self) {
        assert!(self.running.len() <= self.concurrency.limit(), "more at a time than allowed");
        assert_eq!(
            self.dispatcher.len(),
            self.expected.len() + self.running.len() + self.parked.len() + self.due.len()
        );
    }

    /// Everything comes to its end.
    fn drain(&mut self) {
        loop {
            while self.next() {}
            if let Some((slot, job)) = self.parked.pop_first() {
                self.dispatcher.unpark(slot);
                self.due.insert(slot, job);
                continue;
            }
            let Some((slot, _)) = self.running.pop_first() else { break };
            self.dispatcher.finish(slot);
        }
        assert!(self.expected.is_empty(), "never begun: {:?}", self.expected);
        assert_eq!((self.dispatcher.len(), self.dispatcher.held.len(), self.dispatcher.behind.len()), (0, 0, 0));
        assert_eq!(self.dispatcher.running, 0);
    }
}

fn pick_of(of: &BTreeMap<Slot, Job>, pick: &prop::sample::Index) -> Option<Slot> {
    (!of.is_empty()).then(|| *of.keys().nth(pick.index(of.len())).expect("in range"))
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0u32..3, 0u8..5, any::<bool>()).prop_map(|(slot, key, ready)| Step::Admit { slot, key, ready }),
        4 => Just(Step::Next),
        3 => index().prop_map(Step::Finish),
        2 => index().prop_map(Step::Park),
        2 => index().prop_map(Step::Unpark),
        1 => (0u32..3).prop_map(Step::DropLane),
    ]
}

fn concurrency() -> impl Strategy<Value = Concurrency> {
    prop_oneof![
        Just(Concurrency::Sequential),
        (1usize..6).prop_map(Concurrency::PerKey),
        (1usize..6).prop_map(Concurrency::Unordered),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn order_bound_and_completeness_hold_over_any_schedule(
        concurrency in concurrency(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(concurrency);
        steps.iter().for_each(|step| world.step(step));
        world.drain();
    }
}
