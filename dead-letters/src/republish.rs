//! Sending letters back to where they came from.

mod pace;
mod plan;
pub mod provenance;
mod report;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Outcome, Publisher, Transport};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep_until};

use crate::letter::Letter;
use pace::Pace;
use plan::{Groups, Rules};

pub use report::{DryRun, Planned, Refusal, Refused, Report, Sent, Unconfirmed};

const BATCH: usize = 100;

/// How long the publisher may take to leave; all it was given is confirmed or has failed by then.
const PARTING: Duration = Duration::from_secs(5);

/// Makes messages of letters again and sends them: to the topic each came from, with its key, its exact bytes and its
/// own headers, without those of the dead letter, and with those of [`provenance`].
///
/// Nothing goes where a letter alone says that it should: letters can be written by anybody who may write to the
/// dead-letter topic. Say with [`only_to`](Self::only_to) which topics you mean, and look at a
/// [`dry_run`](Self::dry_run) first. A topic that does not exist is never made.
///
/// **Who handles it.** A message that is sent back says for which group it is, the one that failed, and the other
/// groups of a Gulo bus pass it over: they have handled it. Consumers that are no Gulo bus know nothing of that and
/// handle it again. A letter that does not say which group failed is refused until you say for whom it is.
///
/// **Order.** What is sent back comes behind all that was published since, newer messages of its own key among them.
/// Letters of one key keep the order in which they are given. A handler that must not go back in time has to look at
/// the event's own time or version.
///
/// **The letter stays** where it is, and nothing is written on it: the topic cannot tell what has been sent back.
/// Keep the place of the last letter that was dealt with, and go on behind it
/// ([`Filter::after`](crate::Filter::after)). A message that dies again is a new letter, and says in
/// [`Letter::replays`] how often it has been sent back.
///
/// ```
/// # use std::sync::Arc;
/// # use gulo_bus_core::transport::Transport;
/// # use gulo_dead_letters::{Letter, Republish};
/// # async fn example(transport: Arc<dyn Transport>, letters: Vec<Letter>) -> gulo_bus_core::Result<()> {
/// let republish = Republish::new(transport).only_to(["orders"]).per_second(100);
/// println!("{}", republish.dry_run(&letters).await?); // what would go where
/// let report = republish.send(letters).await?;
/// println!("{report}");
/// assert!(report.is_complete()); // or see `refused` and `unconfirmed`
/// # Ok(()) }
/// ```
///
/// To repair them first, letters may go elsewhere, and for whom one says:
///
/// ```
/// # use std::sync::Arc;
/// # use gulo_bus_core::transport::Transport;
/// # use gulo_dead_letters::Republish;
/// # fn example(transport: Arc<dyn Transport>) {
/// let repair = Republish::new(transport.clone()).to_topic("orders-repair").for_group("repair").batch(50);
/// let everybody = Republish::new(transport).only_to(["orders"]).to_all_groups();
/// # }
/// ```
#[derive(Clone)]
pub struct Republish {
    transport: Arc<dyn Transport>,
    rules: Rules,
    per_second: Option<u32>,
    batch: usize,
}

impl Republish {
    /// Over `transport`: each letter to its origin, for the group that failed, 100 at a time, as fast as the broker
    /// takes them.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, rules: Rules::default(), per_second: None, batch: BATCH }
    }

    /// Only to these topics; a letter from any other is refused. An empty list refuses all.
    #[must_use]
    pub fn only_to<T: Into<Arc<str>>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.rules.only_to = Some(topics.into_iter().map(Into::into).collect());
        self
    }

    /// All to this topic, wherever they came from.
    #[must_use]
    pub fn to_topic(mut self, topic: impl Into<Arc<str>>) -> Self {
        self.rules.to = Some(topic.into());
        self
    }

    /// For this group, whichever failed.
    #[must_use]
    pub fn for_group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.rules.groups = Groups::This(group.into());
        self
    }

    /// For every group of the topic, those included that handled it long ago.
    #[must_use]
    pub fn to_all_groups(mut self) -> Self {
        self.rules.groups = Groups::All;
        self
    }

    /// At most so many a second, evenly. 0 is a [`Config`](ErrorKind::Config) error when it begins.
    #[must_use]
    pub fn per_second(mut self, messages: u32) -> Self {
        self.per_second = Some(messages);
        self
    }

    /// At most so many in one publish, 100 unless said; at least 1. With a rate, no more than a tenth of a second of
    /// it.
    #[must_use]
    pub fn batch(mut self, messages: usize) -> Self {
        self.batch = messages.max(1);
        self
    }

    /// What [`send`](Self::send) would do with these letters: what goes where, and what is refused, with reasons.
    /// Sends nothing; asks the broker whether the topics exist.
    ///
    /// # Errors
    ///
    /// Where the broker cannot be asked. A topic that does not exist, or is not for us, is no error but a refusal.
    pub async fn dry_run(&self, letters: &[Letter]) -> Result<DryRun> {
        let (mut planned, mut refused) = (Vec::new(), Vec::new());
        let plan = plan::make(&*self.transport, &self.rules, letters).await?;
        for (letter, course) in letters.iter().zip(plan) {
            match course {
                Ok(course) => planned.push(Planned::new(letter, course)),
                Err(refusal) => refused.push(Refused::new(letter, refusal)),
            }
        }
        Ok(DryRun { planned, refused })
    }

    /// Sends them, in the order given, and waits until each is confirmed.
    ///
    /// Where one is not confirmed, but for one that the broker will never take, nothing is sent of the batches behind
    /// it, which might overtake it; the [`Report`] has their letters beside it.
    ///
    /// # Errors
    ///
    /// Before anything is sent: a rate of 0, a broker that cannot be asked for topics, no publisher. Afterwards all is
    /// in the report.
    ///
    /// Cancel safety: what was sent stays sent, and which that was is lost with the future. Send in several calls
    /// where that matters.
    pub async fn send(&self, letters: impl IntoIterator<Item = Letter>) -> Result<Report> {
        let mut pace = Pace::new(self.per_second, self.batch)?;
        let letters: Vec<Letter> = letters.into_iter().collect();
        let plan = plan::make(&*self.transport, &self.rules, &letters).await?;
        let mut report = Report::default();
        let mut courses = Vec::new();
        for (letter, course) in letters.into_iter().zip(plan) {
            match course {
                Ok(course) => courses.push((letter, course)),
                Err(refusal) => report.refused.push(Refused::new(&letter, refusal)),
            }
        }
        if courses.is_empty() {
            return Ok(report);
        }
        let publisher = self.transport.publisher().await?;
        let mut courses = courses.into_iter();
        while !courses.as_slice().is_empty() {
            let batch: Vec<_> = courses.by_ref().take(pace.batch()).collect();
            sleep_until(pace.next(Instant::now(), batch.len())).await;
            if !publish(&*publisher, batch, &mut report).await {
                break;
            }
        }
        report.unconfirmed.extend(courses.map(|(letter, course)| Unconfirmed::not_tried(&letter, course)));
        // All is confirmed or has failed by now.
        drop(publisher.close(Instant::now() + PARTING).await);
        Ok(report)
    }
}

/// Returns whether one may go on.
async fn publish(publisher: &dyn Publisher, batch: Vec<(Letter, plan::Course)>, report: &mut Report) -> bool {
    let now = Utc::now();
    let mut sent: Vec<Option<Sent>> = batch.iter().map(|(letter, course)| Some(Sent::new(letter, course))).collect();
    let messages: Vec<Message> = batch.into_iter().map(|(letter, course)| course.message(letter, now)).collect();
    let mut goes_on = true;
    if let Err(unsent) = publisher.publish(messages).await {
        for failed in unsent.failed {
            goes_on &= failed.outcome == Outcome::Refused;
            let Some(sent) = sent.get_mut(failed.index).and_then(Option::take) else { continue };
            report.unconfirmed.push(Unconfirmed { sent, outcome: failed.outcome, error: failed.error });
        }
    }
    report.sent.extend(sent.into_iter().flatten());
    goes_on
}

fn not_tried() -> Error {
    Error::new(ErrorKind::Other, "not tried, for one before it was not confirmed").help("send it again")
}

impl fmt::Debug for Republish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Republish")
            .field("transport", &self.transport.name())
            .field("rules", &self.rules)
            .field("per_second", &self.per_second)
            .field("batch", &self.batch)
            .finish()
    }
}
