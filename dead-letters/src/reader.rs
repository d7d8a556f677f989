//! Reading a dead-letter topic as it stands.

mod ends;
mod letters;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::transport::{
    Inbox, LaneEvent, Position, SubscribeSpec, TopicSpec, Topology, TopologyMode, Transport,
};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

use crate::text::Shown;

use ends::Ends;
use letters::Reading;

pub use letters::Letters;

const PATIENCE: Duration = Duration::from_secs(5);

/// How long the broker may take to tell what partitions there are.
const OPENING: Duration = Duration::from_secs(30);

/// After so long without news of another partition all are known.
const QUIET: Duration = Duration::from_millis(300);

/// How long a source may take to leave.
const PARTING: Duration = Duration::from_secs(5);

/// The way to dead-letter topics, over any transport that has [`solo`](gulo_bus_core::transport::Capability::Solo)
/// readers.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::{Duration, SystemTime};
/// # use gulo_bus_core::transport::{Position, Transport};
/// # use gulo_dead_letters::DeadLetters;
/// # async fn example(transport: Arc<dyn Transport>) -> gulo_bus_core::Result<()> {
/// let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
/// let topics = DeadLetters::new(transport).start(Position::At(yesterday)).patience(Duration::from_secs(10));
/// let mut letters = topics.open("users.email.dlq").await?;
/// while let Some(letter) = letters.next().await? {
///     println!("{letter}");
/// }
/// letters.cut_short().iter().for_each(|place| eprintln!("no more came behind {place}"));
/// letters.close().await?;
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
    ///
    /// Cancel safety: safe, nothing is left of it.
    pub async fn open(&self, topic: impl Into<Arc<str>>) -> Result<Letters> {
        let topic = topic.into();
        self.look(&topic).await.map_err(|error| error.context(format_args!("dead letters in `{}`", Shown(&topic))))
    }

    async fn look(&self, topic: &Arc<str>) -> Result<Letters> {
        check_exist(&*self.transport, [Arc::clone(topic)]).await?;
        let ends = self.mark_ends(topic).await?;
        let source = self.transport.subscribe(self.spec(topic, self.start)).await?;
        let reading = Reading { source, ends, patience: self.patience };
        Ok(Letters::new(Arc::clone(&self.transport), Arc::clone(topic), reading))
    }

    fn spec(&self, topic: &Arc<str>, start: Position) -> SubscribeSpec {
        SubscribeSpec { start, ..SubscribeSpec::solo([Arc::clone(topic)]) }
    }

    /// Where the partitions end now: a reader that begins behind the newest message is told where that is.
    async fn mark_ends(&self, topic: &Arc<str>) -> Result<Ends> {
        let deadline = Instant::now() + OPENING;
        let mut source = self.transport.subscribe(self.spec(topic, Position::Latest)).await?;
        let (mut inbox, mut ends, mut trouble) = (Inbox::default(), Ends::default(), None);
        loop {
            // A broker may tell of its partitions one after the other.
            let until = if ends.is_empty() { deadline } else { deadline.min(Instant::now() + QUIET) };
            match timeout_at(until, source.recv(&mut inbox, 0)).await {
                Ok(received) => received?,
                Err(_) if ends.is_empty() => return Err(no_answer(trouble)),
                Err(_) => break,
            }
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
        None => error.help("has the topic partitions, and does its broker answer?"),
    }
}
