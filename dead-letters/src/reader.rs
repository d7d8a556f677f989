//! Reading a dead-letter topic as it stands.

mod ends;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Origin;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{
    Inbox, LaneEvent, Position, Source, Status, SubscribeSpec, TopicSpec, Topology, TopologyMode, Transport,
};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

use crate::filter::Filter;
use crate::letter::Letter;
use ends::Ends;

const PATIENCE: Duration = Duration::from_secs(5);

/// How long the broker may take to tell what partitions there are.
const OPENING: Duration = Duration::from_secs(30);

/// How long a source may take to leave.
const PARTING: Duration = Duration::from_secs(5);

/// Letters that are received at a time.
const ROOM: usize = 256;

/// The way to dead-letter topics, over any transport that has [`solo`](gulo_bus_core::transport::Capability::Solo)
/// readers.
///
/// ```
/// # async fn example(transport: std::sync::Arc<dyn gulo_bus_core::transport::Transport>) -> gulo_bus_core::Result<()> {
/// let mut letters = gulo_dead_letters::DeadLetters::new(transport).open("users.email.dlq").await?;
/// while let Some(letter) = letters.next().await? {
///     println!("{letter}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DeadLetters {
    transport: Arc<dyn Transport>,
    patience: Duration,
    start: Position,
}

impl DeadLetters {
    /// Over `transport`, which may be the one that a bus runs on. Connects to nothing yet.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, patience: PATIENCE, start: Position::Earliest }
    }

    /// After how long without a message a partition is taken to have no more, where its last places hold none that
    /// can be delivered: 5 seconds unless said. See [`Letters`].
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Reads from here on in every partition, instead of from the oldest letter: [`Position::At`] spares reading all
    /// that is older. The time is that of the letters, by the broker's clock.
    #[must_use]
    pub fn start(mut self, position: Position) -> Self {
        self.start = position;
        self
    }

    /// Looks at `topic`: what stands in it now is what will be read. Belongs to no group, and changes nothing.
    ///
    /// # Errors
    ///
    /// [`Missing`](ErrorKind::Missing) where there is no such topic, which is then not made;
    /// [`Unsupported`](ErrorKind::Unsupported), naming `solo`, where the broker's topics cannot be read without taking
    /// from them; [`TimedOut`](ErrorKind::TimedOut) where it does not answer in 30 seconds; and whatever the transport
    /// says.
    pub async fn open(&self, topic: impl Into<Arc<str>>) -> Result<Letters> {
        let topic = topic.into();
        self.look(&topic).await.map_err(|error| error.context(format_args!("dead letters in `{topic}`")))
    }

    async fn look(&self, topic: &Arc<str>) -> Result<Letters> {
        check_exist(&*self.transport, [Arc::clone(topic)]).await?;
        let ends = self.mark_ends(topic).await?;
        let source = self.transport.subscribe(self.spec(topic, self.start)).await?;
        Ok(Letters {
            transport: Arc::clone(&self.transport),
            topic: Arc::clone(topic),
            source,
            inbox: Inbox::default(),
            ready: VecDeque::new(),
            held: VecDeque::new(),
            ends,
            filter: Filter::new(),
            patience: self.patience,
            quiet_since: None,
            trouble: None,
            read: 0,
            ended: false,
        })
    }

    fn spec(&self, topic: &Arc<str>, start: Position) -> SubscribeSpec {
        SubscribeSpec { start, ..SubscribeSpec::solo([Arc::clone(topic)]) }
    }

    /// Where the partitions end now: a reader that begins behind the newest message is told where that is.
    async fn mark_ends(&self, topic: &Arc<str>) -> Result<Ends> {
        let deadline = Instant::now() + OPENING;
        let mut source = self.transport.subscribe(self.spec(topic, Position::Latest)).await?;
        let (mut inbox, mut ends, mut trouble) = (Inbox::default(), Ends::default(), None);
        while ends.is_empty() {
            let Ok(received) = timeout_at(deadline, source.recv(&mut inbox, 0)).await else {
                return Err(no_answer(trouble));
            };
            received?;
            for event in inbox.events.drain(..) {
                match event {
                    LaneEvent::Opened { origin, .. } => ends.mark(&origin),
                    LaneEvent::Degraded(error) => trouble = Some(error),
                    _ => {}
                }
            }
        }
        // It has nothing to make durable, so how it ends is of no interest.
        drop(source.close(Instant::now() + PARTING).await);
        Ok(ends)
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters")
            .field("transport", &self.transport.name())
            .field("patience", &self.patience)
            .field("start", &self.start)
            .finish()
    }
}

/// A reader may make the topic that it names, on some brokers: a name that is mistyped shall not.
pub(crate) async fn check_exist(transport: &dyn Transport, topics: impl IntoIterator<Item = Arc<str>>) -> Result<()> {
    let topics = topics.into_iter().map(TopicSpec::new).collect();
    transport.ensure(&Topology { mode: TopologyMode::Check, topics, groups: Vec::new() }).await
}

fn no_answer(trouble: Option<Error>) -> Error {
    let error = Error::new(ErrorKind::TimedOut, format!("the broker has told of no partition in {OPENING:?}"));
    match trouble {
        Some(trouble) => error.help(trouble.to_string()),
        None => error,
    }
}

/// The letters of a topic, one after the other: those of one partition in order, partitions in any.
///
/// **Where it ends.** At the place where each partition ended when it was opened, so letters that come meanwhile are
/// not among them, and it always comes to its end. Most brokers' logs have places without a message (the mark of a
/// transaction, what compaction removed); where the last ones are such, nothing will come of them, and reading ends
/// when nothing has come for the [patience](DeadLetters::patience) although the broker can be reached.
/// [`cut_short`](Self::cut_short) names those partitions.
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

impl Letters {
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
