//! Which acknowledgements are due on a channel: pure, so that it is tested without a broker.
//!
//! Deliveries of a lane are numbered from 0 in the order of their delivery tags, which count from 1. The finished ones
//! before the oldest unfinished one are acknowledged by one frame (`multiple`), others one by one, later: they may soon be
//! covered.

use std::collections::VecDeque;

use gulo_bus_core::settle::Verdict;

/// What is to be said to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Everything up to this tag is done.
    AckUpTo(u64),
    /// This one is done.
    Ack(u64),
    /// This one is given back.
    Requeue(u64),
    /// This one is for the broker's own dead-lettering.
    Reject(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Open,
    /// Done, and the broker does not know.
    Done,
    /// The broker has been told.
    Told,
}

/// The deliveries of one lane.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// Number of the front of `places`, which is open unless there is none.
    first: u64,
    places: VecDeque<Place>,
    /// The last tag before the front of which the broker does not know that it is done.
    owed: Option<u64>,
    /// How many one frame would tell of.
    finished: usize,
    /// Done behind the front, and not told.
    waiting: usize,
}

impl Settling {
    /// Takes in a delivery; its number.
    pub(crate) fn arrive(&mut self) -> u64 {
        self.places.push_back(Place::Open);
        self.first + self.places.len() as u64 - 1
    }

    /// Deliveries from the oldest unsettled one on.
    pub(crate) fn span(&self) -> usize {
        self.places.len()
    }

    /// Nothing has ever arrived.
    pub(crate) fn is_fresh(&self) -> bool {
        self.first == 0 && self.places.is_empty()
    }

    /// Done, and the broker does not know.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Done before the oldest unfinished one, and the broker does not know.
    pub(crate) fn finished(&self) -> usize {
        self.finished
    }

    /// A verdict; `None` for what was settled before or never came. What it returns is to be said at once.
    pub(crate) fn settle(&mut self, seq: u64, verdict: Verdict) -> Option<Option<Due>> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        let place = self.places.get_mut(index).filter(|place| **place == Place::Open)?;
        let tag = tag_of(seq);
        let due = match verdict {
            Verdict::Done => None,
            Verdict::Requeue => Some(Due::Requeue(tag)),
            Verdict::Reject => Some(Due::Reject(tag)),
        };
        *place = if due.is_some() { Place::Told } else { Place::Done };
        self.waiting += usize::from(due.is_none());
        self.advance();
        Some(due)
    }

    fn advance(&mut self) {
        while let Some(place) = self.places.front().copied().filter(|place| *place != Place::Open) {
            if place == Place::Done {
                self.owed = Some(tag_of(self.first));
                self.finished += 1;
                self.waiting -= 1;
            }
            self.places.pop_front();
            self.first += 1;
        }
    }

    /// What one frame can say. The tag is one that the broker has not been told of: to acknowledge up to one that it has
    /// forgotten is an error to it, which ends the channel.
    pub(crate) fn prefix(&mut self) -> Option<Due> {
        self.finished = 0;
        self.owed.take().map(Due::AckUpTo)
    }

    /// All that is done behind the oldest unfinished one.
    pub(crate) fn singles(&mut self) -> impl Iterator<Item = Due> {
        self.waiting = 0;
        let first = self.first;
        let done = |(_, place): &(usize, &mut Place)| **place == Place::Done;
        self.places.iter_mut().enumerate().filter(done).map(move |(index, place)| {
            *place = Place::Told;
            Due::Ack(tag_of(first + index as u64))
        })
    }
}

fn tag_of(seq: u64) -> u64 {
    seq + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_finished_prefix_is_one_frame() {
        let mut lane = Settling::default();
        (0..5).for_each(|seq| assert_eq!(lane.arrive(), seq));
        for seq in [1, 0, 3] {
            assert_eq!(lane.settle(seq, Verdict::Done), Some(None));
        }
        assert_eq!(lane.prefix(), Some(Due::AckUpTo(2)));
        assert_eq!((lane.prefix(), lane.span(), lane.waiting()), (None, 3, 1));
        assert_eq!(lane.singles().collect::<Vec<_>>(), [Due::Ack(4)]);
        assert_eq!(lane.settle(2, Verdict::Done), Some(None));
        assert_eq!(lane.prefix(), Some(Due::AckUpTo(3)), "4 is known already, and its tag gone");
        assert_eq!(lane.settle(2, Verdict::Done), None);
        assert_eq!(lane.settle(9, Verdict::Done), None);
    }

    /// RabbitMQ's side: what is out, and what becomes of it.
    #[derive(Debug, Default)]
    struct Broker {
        out: BTreeSet<u64>,
        acked: BTreeSet<u64>,
        back: BTreeSet<u64>,
    }

    impl Broker {
        fn hear(&mut self, due: Due) {
            match due {
                Due::AckUpTo(tag) => {
                    assert!(self.out.contains(&tag), "{tag} is unknown to it");
                    let covered: Vec<u64> = self.out.range(..=tag).copied().collect();
                    covered.into_iter().for_each(|tag| self.ack(tag));
                }
                Due::Ack(tag) => self.ack(tag),
                Due::Requeue(tag) | Due::Reject(tag) => {
                    assert!(self.out.remove(&tag), "{tag} is unknown to it");
                    self.back.insert(tag);
                }
            }
        }

        fn ack(&mut self, tag: u64) {
            assert!(self.out.remove(&tag), "{tag} is unknown to it");
            self.acked.insert(tag);
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Arrive,
        Settle(u64, Verdict),
        Prefix,
        Singles,
    }

    fn step() -> impl Strategy<Value = Step> {
        let verdict = prop_oneof![4 => Just(Verdict::Done), 1 => Just(Verdict::Requeue), 1 => Just(Verdict::Reject)];
        prop_oneof![
            4 => Just(Step::Arrive),
            5 => (0..40_u64, verdict).prop_map(|(seq, verdict)| Step::Settle(seq, verdict)),
            2 => Just(Step::Prefix),
            1 => Just(Step::Singles),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_acknowledged_but_what_is_done_and_all_of_it_is(steps in proptest::collection::vec(step(), 0..120)) {
            let (mut lane, mut broker, mut done, mut back) =
                (Settling::default(), Broker::default(), BTreeSet::new(), BTreeSet::new());
            for step in steps.into_iter().chain([Step::Prefix, Step::Singles]) {
                match step {
                    Step::Arrive => drop(broker.out.insert(lane.arrive() + 1)),
                    Step::Settle(seq, verdict) => match lane.settle(seq, verdict) {
                        Some(None) => drop(done.insert(seq + 1)),
                        Some(Some(due)) => {
                            back.insert(seq + 1);
                            broker.hear(due);
                        }
                        None => {}
                    },
                    Step::Prefix => lane.prefix().into_iter().for_each(|due| broker.hear(due)),
                    Step::Singles => {
                        lane.prefix().into_iter().for_each(|due| broker.hear(due));
                        lane.singles().collect::<Vec<_>>().into_iter().for_each(|due| broker.hear(due));
                    }
                }
                prop_assert!(broker.acked.is_subset(&done), "{:?} of {:?}", broker.acked, done);
                let open = broker.out.iter().find(|tag| !done.contains(tag)).copied().unwrap_or(u64::MAX);
                let (before, behind): (Vec<u64>, Vec<u64>) = done.difference(&broker.acked).partition(|tag| **tag < open);
                prop_assert_eq!((lane.finished(), lane.waiting()), (before.len(), behind.len()));
            }
            prop_assert_eq!(&broker.acked, &done);
            prop_assert_eq!(&broker.back, &back);
            let oldest = broker.out.first().copied();
            prop_assert_eq!(lane.span() == 0, oldest.is_none());
        }
    }
}
