//! A steady load that goes on through faults, and keeps the truth about what became of each message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gulo::message::Message;
use gulo::transport::{Outcome, Publisher, Unsent};
use tokio::sync::Mutex as Turn;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::step::{Brings, Step};
use crate::{Trouble, now};

/// The keys take turns within the time of a step, so that the load is even.
const PHASES: usize = 4;
/// Before a message that did not leave is sent again.
const AGAIN: Duration = Duration::from_millis(50);

/// Key and number.
pub(crate) type Id = (usize, usize);
/// What a step brings with it.
pub(crate) type Script = fn(Id) -> Option<Brings>;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) keys: usize,
    /// Steps of each key a second.
    pub(crate) rate: usize,
    pub(crate) script: Script,
}

impl Default for Pace {
    fn default() -> Self {
        Self { keys: 24, rate: 16, script: usual }
    }
}

/// One in forty fails three times before it succeeds, so that at any moment some wait for their next attempt; one in three
/// takes a while, so that some are in work. The others take a millisecond.
pub(crate) fn usual((key, number): Id) -> Option<Brings> {
    match number + key * 7 {
        at if number > 0 && at % 40 == 13 => Some(Brings::FailsTimes(3)),
        at if at % 3 == 0 => Some(Brings::Takes(20)),
        _ => None,
    }
}

/// What was published, and what the publisher said of it.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// By key and number: when it was handed to the publisher first.
    pub(crate) at: Vec<Vec<u64>>,
    /// The publisher did not know whether these arrived.
    pub(crate) unknown: BTreeSet<Id>,
    /// The same, and sent again nevertheless by who insists; how often in all.
    pub(crate) doubtful: BTreeSet<Id>,
    pub(crate) sent_again: usize,
    /// These it would not take.
    pub(crate) refused: BTreeSet<Id>,
    /// What it said of those it failed to publish, and how often.
    pub(crate) said: BTreeMap<String, usize>,
    /// What must become a dead letter.
    pub(crate) poison: BTreeSet<Id>,
    /// From when to when the load went on.
    pub(crate) spans: Vec<(u64, u64)>,
}

impl Sent {
    pub(crate) fn all(&self) -> impl Iterator<Item = Id> {
        self.at.iter().enumerate().flat_map(|(key, at)| (0..at.len()).map(move |number| (key, number)))
    }

    /// The publisher said that these stand in the log.
    pub(crate) fn confirmed(&self) -> impl Iterator<Item = Id> {
        self.all().filter(|id| !self.unknown.contains(id) && !self.refused.contains(id))
    }
}

pub(crate) struct Traffic {
    pub(crate) publisher: Arc<dyn Publisher>,
    topic: Arc<str>,
    pub(crate) pace: Pace,
    /// Whether what may have arrived is sent again: then it may be there twice, and is there for certain.
    insists: bool,
    /// Who has it numbers steps and publishes them: those of a key are published in the order of their numbers.
    turn: Arc<Turn<()>>,
    sent: Arc<Mutex<Sent>>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Traffic {
    pub(crate) fn new(publisher: Arc<dyn Publisher>, topic: Arc<str>, pace: Pace) -> Self {
        let sent = Sent { at: vec![Vec::new(); pace.keys], ..Sent::default() };
        let (turn, sent) = (Arc::default(), Arc::new(Mutex::new(sent)));
        Self { publisher, topic, pace, insists: false, turn, sent, running: None }
    }

    pub(crate) fn insisting(mut self) -> Self {
        self.insists = true;
        self
    }

    fn run(&self, end: Arc<AtomicBool>) -> Run {
        let (publisher, topic, sent) = (self.publisher.clone(), self.topic.clone(), self.sent.clone());
        Run { publisher, topic, pace: self.pace, insists: self.insists, turn: self.turn.clone(), sent, end }
    }

    pub(crate) fn sent(&self) -> MutexGuard<'_, Sent> {
        lock(&self.sent)
    }

    /// Begins, or goes on.
    pub(crate) fn begin(&mut self) {
        let end = Arc::new(AtomicBool::new(false));
        self.running = Some((end.clone(), tokio::spawn(self.run(end).go_on())));
    }

    /// So many steps of each key at once, confirmed.
    pub(crate) async fn burst(&self, steps: usize) {
        let run = self.run(Arc::default());
        let _turn = run.turn.lock().await;
        let keys = (0..steps).flat_map(|_| 0..self.pace.keys);
        run.publish(keys.map(|key| run.next_step(key)).collect()).await;
    }

    /// Ends it when what is on its way has been confirmed or has failed.
    pub(crate) async fn end(&mut self) -> Result<(), Trouble> {
        if let Some((end, task)) = self.running.take() {
            end.store(true, Relaxed);
            task.await?;
        }
        Ok(())
    }
}

struct Run {
    publisher: Arc<dyn Publisher>,
    topic: Arc<str>,
    pace: Pace,
    insists: bool,
    turn: Arc<Turn<()>>,
    sent: Arc<Mutex<Sent>>,
    end: Arc<AtomicBool>,
}

impl Run {
    async fn go_on(self) {
        let (began, period) = (now(), Duration::from_secs(1) / (self.pace.rate * PHASES) as u32);
        let (mut tick, mut due) = (0, Instant::now());
        while !self.end.load(Relaxed) {
            sleep_until(due).await;
            // What came due while the broker confirmed the last batch is left out: a burst would hide what comes late.
            due = (due + period).max(Instant::now());
            let _turn = self.turn.lock().await;
            let keys = (0..self.pace.keys).filter(|key| key % PHASES == tick % PHASES);
            let batch = keys.map(|key| self.next_step(key)).collect();
            self.publish(batch).await;
            tick += 1;
        }
        lock(&self.sent).spans.push((began, now()));
    }

    fn next_step(&self, key: usize) -> (Id, Message) {
        let mut sent = lock(&self.sent);
        let id = (key, sent.at[key].len());
        sent.at[key].push(now());
        let trouble = (self.pace.script)(id);
        if trouble == Some(Brings::Poison) {
            sent.poison.insert(id);
        }
        (id, Step { key, number: id.1, trouble }.message(&self.topic))
    }

    /// Once more what did not leave; what may have arrived only where it is insisted, for then it may be there twice.
    async fn publish(&self, mut batch: Vec<(Id, Message)>) {
        while !batch.is_empty() {
            let (ids, messages): (Vec<Id>, Vec<Message>) = batch.into_iter().unzip();
            let Err(unsent) = self.publisher.publish(messages).await else { return };
            batch = self.not_sent(unsent, &ids);
            sleep(AGAIN).await;
        }
    }

    fn not_sent(&self, unsent: Unsent, ids: &[Id]) -> Vec<(Id, Message)> {
        let (mut again, mut sent) = (Vec::new(), lock(&self.sent));
        let goes_on = !self.end.load(Relaxed);
        for failed in unsent.failed {
            let id = ids[failed.index];
            *sent.said.entry(format!("{:?}: {}", failed.outcome, failed.error)).or_default() += 1;
            match failed.outcome {
                Outcome::NotSent if goes_on => again.push((id, failed.message)),
                Outcome::Unknown if goes_on && self.insists => {
                    sent.sent_again += 1;
                    sent.doubtful.insert(id);
                    again.push((id, failed.message));
                }
                Outcome::NotSent | Outcome::Refused => drop(sent.refused.insert(id)),
                Outcome::Unknown => drop(sent.unknown.insert(id)),
            }
        }
        again
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
