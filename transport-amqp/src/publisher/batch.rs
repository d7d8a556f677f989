//! The messages of one call, until all of them have an outcome.

use std::collections::VecDeque;
use std::sync::Arc;

use gulo_bus_core::Error;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Failed, Outcome, Unsent};
use tokio::time::Instant;

use super::Call;

/// A call being worked on.
#[derive(Debug)]
pub(super) struct Batch {
    call: Call,
    /// The next one to send.
    next: usize,
    /// How many have no outcome yet.
    open: usize,
    /// What failed, and how; by index, in any order.
    failed: Vec<(usize, Outcome, Error)>,
    /// Which of them have an outcome. Allocated when the first fails: without failures the number is enough.
    over: Vec<bool>,
}

/// Calls in the order in which they came, each with a number that stays.
#[derive(Debug, Default)]
pub(super) struct Batches {
    first: u64,
    list: VecDeque<Option<Batch>>,
    /// Number of the first one with something to send.
    sending: u64,
}

impl Batch {
    fn new(call: Call) -> Self {
        let open = call.messages.len();
        Self { call, next: 0, open, failed: Vec::new(), over: Vec::new() }
    }

    fn fail(&mut self, index: usize, outcome: Outcome, error: Error) {
        self.over.resize(self.call.messages.len(), false);
        if !std::mem::replace(&mut self.over[index], true) {
            self.failed.push((index, outcome, error));
            self.open -= 1;
        }
    }

    /// Everything that has no outcome gets one.
    fn give_up(&mut self, confirmed: impl Fn(usize) -> bool, error: impl Fn() -> Error) {
        for index in 0..self.call.messages.len() {
            if index >= self.next {
                self.fail(index, Outcome::NotSent, error());
            } else if !confirmed(index) {
                self.fail(index, Outcome::Unknown, error());
            }
        }
        self.open = 0;
    }

    fn answer(self) {
        let Self { mut call, mut failed, .. } = self;
        if failed.is_empty() {
            return call.answer(Ok(()));
        }
        failed.sort_unstable_by_key(|(index, ..)| *index);
        let mut failed = failed.into_iter().peekable();
        let messages = call.take_back();
        let back = messages.into_iter().enumerate().filter_map(|(index, message)| {
            let (_, outcome, error) = failed.next_if(|(next, ..)| *next == index)?;
            Some(Failed { index, message, outcome, error })
        });
        call.answer(Err(Unsent { failed: back.collect() }));
    }
}

impl Batches {
    pub(super) fn take_in(&mut self, call: Call) {
        self.list.push_back(Some(Batch::new(call)));
    }

    /// Calls without an answer.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn get(&mut self, number: u64) -> Option<&mut Batch> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.list.get_mut(index)?.as_mut()
    }

    pub(super) fn message(&mut self, number: u64, index: usize) -> Option<&Message> {
        self.get(number).map(|batch| &batch.call.messages[index])
    }

    /// The next message to send: where it belongs, its place there, and all of them.
    pub(super) fn next(&mut self) -> Option<(u64, usize, &Arc<Vec<Message>>)> {
        self.sending = self.sending.max(self.first);
        loop {
            let index = (self.sending - self.first) as usize;
            let unsent = self.list.get(index)?.as_ref().is_some_and(|batch| batch.next < batch.call.messages.len());
            if unsent {
                let number = self.sending;
                let batch = self.list[index].as_ref()?;
                return Some((number, batch.next, &batch.call.messages));
            }
            self.sending += 1;
        }
    }

    /// The message that [`next`](Self::next) gave is on its way.
    pub(super) fn sent(&mut self) {
        let number = self.sending;
        if let Some(batch) = self.get(number) {
            batch.next += 1;
        }
    }

    /// The message that [`next`](Self::next) gave is not sent at all.
    pub(super) fn fail_next(&mut self, number: u64, index: usize, outcome: Outcome, error: Error) {
        self.sent();
        self.fail(number, index, outcome, error);
    }

    pub(super) fn confirm(&mut self, number: u64) {
        if let Some(batch) = self.get(number) {
            batch.open -= 1;
        }
        self.finish(number);
    }

    pub(super) fn fail(&mut self, number: u64, index: usize, outcome: Outcome, error: Error) {
        if let Some(batch) = self.get(number) {
            batch.fail(index, outcome, error);
        }
        self.finish(number);
    }

    fn finish(&mut self, number: u64) {
        let over = self.get(number).is_some_and(|batch| batch.open == 0);
        if !over {
            return;
        }
        if let Some(batch) = self.list[(number - self.first) as usize].take() {
            batch.answer();
        }
        self.trim();
    }

    fn trim(&mut self) {
        while let Some(None) = self.list.front() {
            self.list.pop_front();
            self.first += 1;
        }
    }

    /// When the first call must be answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.list.front()?.as_ref().map(|batch| batch.call.deadline)
    }

    /// Answers calls whose time is over by `now`, with what is known: `under_way` says which messages of a call are on
    /// their way still.
    pub(super) fn expire(
        &mut self,
        now: Option<Instant>,
        under_way: impl Fn(u64, usize) -> bool,
        error: impl Fn() -> Error,
    ) {
        let late =
            |batch: &Option<Batch>| batch.as_ref().is_none_or(|batch| now.is_none_or(|now| batch.call.deadline <= now));
        while self.list.front().is_some_and(late) {
            let number = self.first;
            if let Some(Some(mut batch)) = self.list.pop_front() {
                batch.give_up(|index| !under_way(number, index), &error);
                batch.answer();
            }
            self.first += 1;
        }
        self.trim();
    }
}
