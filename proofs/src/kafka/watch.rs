//! What the group has committed, seen from outside, all the time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::eye::Eye;
use crate::ledger::{Entry, Reader};
use crate::record::{Positions, Sample};
use crate::{Trouble, now};

const EVERY: Duration = Duration::from_millis(25);
/// The broker may be away.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Watch {
    end: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    thread: Option<JoinHandle<Result<Reader, Trouble>>>,
}

impl Watch {
    pub(super) fn begin(
        eye: &Eye,
        (topic, group, partitions): (&str, &str, u32),
        ledger: &Path,
    ) -> Result<Self, Trouble> {
        let (client, reader) = (eye.client(group)?, Reader::open(ledger)?);
        let mut asked = TopicPartitionList::new();
        for partition in 0..partitions as i32 {
            asked.add_partition(topic, partition);
        }
        let (end, samples) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let look = Look { client, asked, reader, end: end.clone(), samples: samples.clone() };
        let thread = thread::Builder::new().name("watch".into()).spawn(move || look.go_on())?;
        Ok(Self { end, samples, thread: Some(thread) })
    }

    /// Forgets what was seen: what was committed of a topic says nothing of its successor.
    pub(super) fn forget(&self) {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// All that was seen, and the whole ledger.
    pub(super) fn end(&mut self) -> Result<(Vec<Sample>, Vec<Entry>), Trouble> {
        self.end.store(true, Relaxed);
        let Some(thread) = self.thread.take() else { return Err("it has ended already".into()) };
        let mut reader = thread.join().map_err(|_| "the watch panicked")??;
        reader.follow()?;
        let samples = std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((samples, reader.entries))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
    }
}

struct Look {
    client: BaseConsumer,
    asked: TopicPartitionList,
    reader: Reader,
    end: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Look {
    fn go_on(mut self) -> Result<Reader, Trouble> {
        while !self.end.load(Relaxed) {
            let begin = Instant::now();
            // Without an answer there is nothing to compare: faults are what this is for.
            if let Ok(answer) = self.client.committed_offsets(self.asked.clone(), PATIENCE) {
                self.reader.follow()?;
                let committed = positions(&answer);
                let sample = Sample { at: now(), committed, known: self.reader.entries.len() };
                self.samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
            // Its own events are nobody's.
            let _ = self.client.poll(Duration::ZERO);
            thread::sleep(EVERY.saturating_sub(begin.elapsed()));
        }
        Ok(self.reader)
    }
}

fn positions(answer: &TopicPartitionList) -> Positions {
    let position = |offset| if let Offset::Offset(at) = offset { Some(at) } else { None };
    let elements = answer.elements();
    elements.iter().filter_map(|element| Some((element.partition(), position(element.offset())?))).collect()
}
