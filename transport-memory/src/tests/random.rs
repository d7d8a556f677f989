//! Random schedules of everything a group may meet: nothing is lost, first deliveries of a key are in order, verdicts
//! of an old epoch do nothing.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::*;

/// SplitMix64: the same schedule for the same seed, and no dependency.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// A member and what it has not settled.
struct Worker {
    reader: Reader,
    out: Vec<Delivery>,
    /// Tokens of lanes that are over: their verdicts are given too, and must do nothing.
    stale: Vec<Delivery>,
    open: BTreeSet<Lane>,
    draining: Vec<Lane>,
}

struct World {
    transport: MemoryTransport,
    dice: Dice,
    workers: Vec<Worker>,
    sent: BTreeMap<String, usize>,
    /// Highest number seen of each key, and all that a verdict was given for in time.
    seen: BTreeMap<String, usize>,
    settled: BTreeSet<String>,
    log: bool,
}

impl World {
    async fn publish(&mut self) {
        let batch = (0..1 + self.dice.below(4)).map(|_| {
            let key = format!("k{}", self.dice.below(6));
            let number = self.sent.entry(key.clone()).or_default();
            *number += 1;
            message(&format!("{key}:{key}-{number}"))
        });
        let batch = batch.collect();
        publish(&self.transport, batch).await.unwrap();
    }

    async fn join(&mut self) {
        let mut spec = spec();
        spec.window = 3 + self.dice.below(5);
        spec.commit.every = 1 + self.dice.below(4);
        let reader = Reader::new(&self.transport, spec).await;
        let (out, stale, open, draining) = Default::default();
        self.workers.push(Worker { reader, out, stale, open, draining });
    }

    /// Returns the keys of what came.
    async fn receive(&mut self, index: usize, room: usize) -> BTreeSet<Bytes> {
        let mut keys = BTreeSet::new();
        tokio::task::yield_now().await;
        let worker = &mut self.workers[index];
        let got = timeout(Duration::ZERO, worker.reader.source.recv(&mut worker.reader.inbox, room)).await;
        got.unwrap_or(Ok(())).unwrap();
        for event in worker.reader.inbox.events.drain(..) {
            match event {
                LaneEvent::Opened { lane, .. } => drop(worker.open.insert(lane)),
                LaneEvent::Closed(lane) | LaneEvent::Lost(lane) => drop(worker.open.remove(&lane)),
                LaneEvent::Draining { lanes, .. } => worker.draining.extend(lanes),
                _ => {}
            }
        }
        let got: Vec<Delivery> = worker.reader.inbox.deliveries.drain(..).collect();
        assert!(got.len() <= room);
        for delivery in got {
            keys.extend(delivery.message.key.clone());
            assert!(worker.open.contains(&delivery.token.lane), "delivered on a lane that is not open");
            first_in_order(&mut self.seen, &payloads(std::slice::from_ref(&delivery))[0]);
            worker.out.push(delivery);
        }
        let Worker { out, stale, open, .. } = worker;
        stale.extend(out.extract_if(.., |delivery| !open.contains(&delivery.token.lane)));
        keys
    }

    /// Receives; every other member knows by then which of its lanes are over, and has none of these keys at work.
    async fn receive_alone(&mut self, index: usize) {
        for other in 0..self.workers.len() {
            self.receive(other, 0).await;
        }
        let room = self.dice.below(5);
        let keys = self.receive(index, room).await;
        let others = self.workers.iter().enumerate().filter(|(other, _)| *other != index);
        for held in others.flat_map(|(_, worker)| &worker.out).filter_map(|delivery| delivery.message.key.as_ref()) {
            assert!(!keys.contains(held), "{held:?} is at work with two members");
        }
    }

    /// Settles one of those out, its lane known to be open, and one of an old epoch.
    async fn settle(&mut self, index: usize) {
        self.receive(index, 0).await;
        let worker = &mut self.workers[index];
        if let Some(stale) = worker.stale.pop() {
            let before = self.transport.faults().lag("g");
            worker.reader.done(&[stale]);
            assert_eq!(self.transport.faults().lag("g"), before, "a verdict of an old epoch counted");
        }
        if !worker.out.is_empty() {
            let which = self.dice.below(worker.out.len());
            let delivery = worker.out.remove(which);
            worker.reader.done(std::slice::from_ref(&delivery));
            self.settled.extend(payloads(&[delivery]));
        }
    }

    async fn step(&mut self) {
        let (index, step) = (self.dice.below(self.workers.len().max(1)), self.dice.below(40));
        match step {
            0..8 => self.publish().await,
            8 | 9 if self.workers.len() < 4 => self.join().await,
            _ if self.workers.is_empty() => {}
            10 => self.workers.swap_remove(index).reader.close().await,
            11 => drop(self.workers.swap_remove(index)),
            12 => self.transport.faults().lose("g"),
            13 => self.transport.faults().lose_lane("g", "t", self.dice.below(3) as u32),
            14 => tokio::time::advance(Duration::from_secs(6)).await,
            15..18 => {
                let lanes = std::mem::take(&mut self.workers[index].draining);
                self.workers[index].reader.control(Control::Release(lanes));
            }
            18 => {
                let lane = self.workers[index].open.iter().next().copied();
                self.workers[index].reader.control(Control::Release(lane.into_iter().collect()));
            }
            19..30 => self.receive_alone(index).await,
            _ => self.settle(index).await,
        }
    }

    /// One last member must get all that nobody settled, and then there is nothing left.
    async fn finish(&mut self) {
        self.workers.clear();
        self.join().await;
        for _ in 0..100_000 {
            self.receive(0, 9).await;
            self.settle(0).await;
            if self.workers[0].out.is_empty() {
                tokio::time::advance(HOUR).await;
            }
            if self.transport.faults().lag("g") == 0 {
                break;
            }
        }
        assert_eq!(self.transport.faults().lag("g"), 0);
        let all = self.sent.iter().flat_map(|(key, count)| (1..=*count).map(move |number| format!("{key}-{number}")));
        let lost: Vec<String> = all.filter(|text| !self.settled.contains(text)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert_eq!(self.transport.faults().messages("t").is_empty(), !self.log);
    }
}

/// A first delivery follows the one before it, with no hole.
fn first_in_order(seen: &mut BTreeMap<String, usize>, text: &str) {
    let (key, number) = text.split_once('-').unwrap();
    let (number, last): (usize, _) = (number.parse().unwrap(), seen.entry(key.to_owned()).or_default());
    assert!(number <= *last + 1, "{text} came before its forerunner, after {last}");
    *last = number.max(*last);
}

async fn run(transport: MemoryTransport, log: bool, seed: u64) {
    let (workers, sent, seen, settled) = Default::default();
    let mut world = World { transport, dice: Dice(seed), workers, sent, seen, settled, log };
    for _ in 0..400 {
        world.step().await;
    }
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn no_schedule_loses_a_message_or_the_order_of_a_key_in_the_log() {
    for seed in 0..60 {
        run(log(3).await, true, seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_schedule_loses_a_message_or_the_order_of_a_key_in_queues() {
    for seed in 0..60 {
        run(queue().await, false, seed).await;
    }
}
