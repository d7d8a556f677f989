//! Ledgers and dispatcher together, over random schedules: a source of three partitions with holes in their logs, a
//! group that handles what it delivers, lanes that are called back, lost and opened anew, verdicts that come too late.
//! Against a model that knows the logs and what came to its end.

mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

use world::{Job, World};

/// What the first poll of a message that begins comes to.
#[derive(Debug, Clone, Copy)]
enum First {
    Done,
    Pending,
    Waits,
}

#[derive(Debug, Clone)]
enum Step {
    Append {
        partition: u32,
        hole: i64,
        key: u8,
    },
    Deliver {
        partition: u32,
        count: usize,
        first: First,
    },
    Repeat(u32),
    Next(First),
    Finish(prop::sample::Index),
    Park(prop::sample::Index),
    Unpark(prop::sample::Index),
    Late(prop::sample::Index),
    HandOver,
    Commit(u32),
    Drain(u32),
    Close(u32),
    Lose(u32),
    /// Lost, and ours again at once.
    Renew(u32),
    Open(u32),
}

impl World {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { partition, hole, key } => self.append(*partition, *hole, *key),
            Step::Deliver { partition, count, first } => {
                let _ = (0..*count).all(|_| self.deliver(*partition, *first));
            }
            Step::Repeat(partition) => self.repeat(*partition),
            Step::Next(first) => {
                self.next(*first);
            }
            Step::Finish(pick) => {
                if let Some((slot, job)) = take(&mut self.running, pick) {
                    self.finish(slot, job);
                }
            }
            Step::Park(pick) => {
                if let Some((slot, job)) = take(&mut self.running, pick) {
                    self.dispatcher.park(slot);
                    self.parked.insert(slot, job);
                }
            }
            Step::Unpark(pick) => {
                if let Some((slot, job)) = take(&mut self.parked, pick) {
                    self.dispatcher.unpark(slot);
                    self.due.insert(slot, job);
                }
            }
            Step::Late(pick) => self.late(pick),
            Step::HandOver => self.hand_over(),
            Step::Commit(partition) => self.commit(*partition),
            Step::Drain(partition) => self.drain(*partition),
            Step::Close(partition) => self.close(*partition),
            Step::Lose(partition) => self.lose(*partition),
            Step::Renew(partition) => {
                self.lose(*partition);
                self.open(*partition);
            }
            Step::Open(partition) => self.open(*partition),
        }
        self.check();
    }
}

fn take(from: &mut BTreeMap<Slot, Job>, pick: &prop::sample::Index) -> Option<(Slot, Job)> {
    let slot = (!from.is_empty()).then(|| *from.keys().nth(pick.index(from.len())).expect("in range"))?;
    from.remove(&slot).map(|job| (slot, job))
}

fn first() -> impl Strategy<Value = First> {
    prop_oneof![2 => Just(First::Done), 3 => Just(First::Pending), 1 => Just(First::Waits)]
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let append = |(partition, hole, key)| Step::Append { partition, hole, key };
    let deliver = |(partition, count, first)| Step::Deliver { partition, count, first };
    prop_oneof![
        20 => (0u32..3, prop_oneof![3 => Just(0i64), 1 => 1i64..4], 0u8..4).prop_map(append),
        12 => (0u32..3, 1usize..4, first()).prop_map(deliver),
        8 => first().prop_map(Step::Next),
        6 => index().prop_map(Step::Finish),
        4 => index().prop_map(Step::Park),
        4 => index().prop_map(Step::Unpark),
        1 => index().prop_map(Step::Late),
        1 => (0u32..3).prop_map(Step::Repeat),
        2 => Just(Step::HandOver),
        3 => (0u32..3).prop_map(Step::Commit),
        1 => (0u32..3).prop_map(Step::Drain),
        1 => (0u32..3).prop_map(Step::Close),
        1 => (0u32..3).prop_map(Step::Lose),
        2 => (0u32..3).prop_map(Step::Renew),
        4 => (0u32..3).prop_map(Step::Open),
    ]
}

fn concurrency() -> impl Strategy<Value = Concurrency> {
    prop_oneof![
        1 => Just(Concurrency::Sequential),
        3 => (1usize..6).prop_map(Concurrency::PerKey),
        1 => (1usize..6).prop_map(Concurrency::Unordered),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_order_holds_over_any_schedule_of_lanes(
        concurrency in concurrency(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new(concurrency);
        steps.iter().for_each(|step| world.step(step));
        world.settle_up();
    }
}
