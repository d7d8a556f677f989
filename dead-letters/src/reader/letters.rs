//! Letter by letter, to the end that there was.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Origin;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{Inbox, LaneEvent, Source, Status, Transport};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

use super::PARTING;
use super::ends::Ends;
use crate::filter::Filter;
use crate::letter::Letter;

/// Letters that are received at a time.
const ROOM: usize = 256;

/// The letters of a topic, one after the other: those of one partition in order, partitions in any.
///
/// **Where it ends.** At the place where each partition ended when it was opened, so letters that come meanwhile are
/// not among them, and it always comes to its end. Most brokers' logs have places without a message (the mark of a
/// transaction, what compaction removed); where the last ones are such, nothing will come of them, and reading ends
/// when nothing has come for the [patience](super::DeadLetters::patience) although the broker can be reached.
/// [`cut_short`](Self::cut_short) names those partitions. [`DeadLetters`](super::DeadLetters) has an example.
pub struct Letters {
    transport: Arc<dyn Transport>,
    topic: Arc<str>,
    source: Box<dyn Source>,
    inbox: Inbox,
    /// Received, and not looked at yet.
    ready: VecDeque<Letter>,
    /// Chosen for a call that did not come to its end.
    held: VecDeque<Letter>,
    ends: Ends,
    filter: Filter,
    patience: Duration,
    /// Since when it has been waiting. Time that its owner takes between two calls does not count.
    quiet_since: Option<Instant>,
    trouble: Option<Error>,
    read: u64,
    ended: bool,
}

/// How a topic is to be read.
pub(super) struct Reading {
    pub(super) source: Box<dyn Source>,
    pub(super) ends: Ends,
    pub(super) patience: Duration,
}

impl Letters {
    pub(super) fn new(transport: Arc<dyn Transport>, topic: Arc<str>, reading: Reading) -> Self {
        let Reading { source, ends, patience } = reading;
        Self {
            transport,
            topic,
            source,
            inbox: Inbox::default(),
            ready: VecDeque::new(),
            held: VecDeque::new(),
            ends,
            filter: Filter::new(),
            patience,
            quiet_since: None,
            trouble: None,
            read: 0,
            ended: false,
        }
    }

    /// Only these from now on.
    pub fn filter(&mut self, filter: Filter) -> &mut Self {
        self.filter = filter;
        self
    }

    /// The next letter that the filter accepts; `None` at the end, and ever after.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ErrorKind::Unavailable) where nothing has come for the patience because the broker cannot be
    /// reached: it can be called again. What else a source says ends it.
    ///
    /// Cancel safety: safe, no letter is lost with the future.
    pub async fn next(&mut self) -> Result<Option<Letter>> {
        match self.held.pop_front() {
            Some(letter) => Ok(Some(letter)),
            None => self.advance().await,
        }
    }

    /// The next letters that the filter accepts, up to `limit`: fewer only where there are no more. All of them are
    /// held in memory.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next). What was read until then is not lost, and comes with the next call.
    ///
    /// Cancel safety: safe, in the same way.
    pub async fn read_all(&mut self, limit: usize) -> Result<Vec<Letter>> {
        while self.held.len() < limit
            && let Some(letter) = self.advance().await?
        {
            self.held.push_back(letter);
        }
        let count = limit.min(self.held.len());
        Ok(self.held.drain(..count).collect())
    }

    async fn advance(&mut self) -> Result<Option<Letter>> {
        loop {
            while let Some(letter) = self.ready.pop_front() {
                self.read += 1;
                if self.filter.accepts(&letter) {
                    return Ok(Some(letter));
                }
            }
            if self.ended || self.ends.are_reached() {
                self.ended = true;
                return Ok(None);
            }
            self.receive().await.map_err(|error| error.context(format_args!("dead letters in `{}`", self.topic)))?;
        }
    }

    /// How many letters have been read, those included that the filter did not accept.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Where reading stood in partitions that were given up for having no more, although their last place had not
    /// been seen. Empty as a rule, and before the end.
    pub fn cut_short(&self) -> Vec<Origin> {
        if self.ended { self.ends.open(&self.topic) } else { Vec::new() }
    }

    /// Lets go of the connection. Dropping does it too, without waiting.
    ///
    /// # Errors
    ///
    /// As [`Source::close`]; nothing is lost by it.
    pub async fn close(mut self) -> Result<()> {
        self.source.close(Instant::now() + PARTING).await
    }

    /// Waits for more, or for the end of the patience.
    async fn receive(&mut self) -> Result<()> {
        let since = *self.quiet_since.get_or_insert_with(Instant::now);
        let received = match since.checked_add(self.patience) {
            Some(deadline) => timeout_at(deadline, self.source.recv(&mut self.inbox, ROOM)).await,
            None => Ok(self.source.recv(&mut self.inbox, ROOM).await),
        };
        let Ok(received) = received else {
            self.quiet_since = None;
            return self.end_in_silence();
        };
        received?;
        self.take_in()
    }

    fn take_in(&mut self) -> Result<()> {
        for event in self.inbox.events.drain(..) {
            match event {
                LaneEvent::Opened { lane, origin } => self.ends.opened(lane, &origin),
                LaneEvent::Gap { lane, to, .. } => self.ends.gap(lane, to),
                LaneEvent::Degraded(error) => self.trouble = Some(error),
                LaneEvent::Recovered => self.trouble = None,
                _ => continue,
            }
            self.quiet_since = None;
        }
        if self.inbox.deliveries.is_empty() {
            return Ok(());
        }
        (self.quiet_since, self.trouble) = (None, None);
        let mut done = Vec::new();
        for delivery in self.inbox.deliveries.drain(..) {
            done.push(Settlement::done(delivery.token));
            if self.ends.arrives(&delivery) {
                self.ready.push_back(delivery.into());
            }
        }
        // Nobody remembers it, for a reader outside of any group; the source lets more through by it.
        self.source.settle(&mut done)
    }

    /// Nothing came: that is the end, unless it comes of trouble.
    fn end_in_silence(&mut self) -> Result<()> {
        let reason = match (&self.trouble, self.transport.status()) {
            (Some(trouble), _) => trouble.to_string(),
            (None, Status::Down { reason, .. }) => reason,
            (None, _) if !self.ends.all_opened() => "not every partition has been opened".to_owned(),
            (None, _) => {
                tracing::debug!(topic = %self.topic, "nothing more came before the end of a partition");
                self.ended = true;
                return Ok(());
            }
        };
        let text = format!("nothing came for {:?}: {reason}", self.patience);
        Err(Error::new(ErrorKind::Unavailable, text).help("read on, or open the topic again"))
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letters")
            .field("topic", &self.topic)
            .field("read", &self.read)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
