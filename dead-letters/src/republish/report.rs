//! What became of letters, or would.

use std::fmt;
use std::sync::Arc;

use gulo_bus_core::Error;
use gulo_bus_core::message::Origin;
use gulo_bus_core::transport::Outcome;

use super::not_tried;
use super::plan::Course;
use crate::letter::Letter;
use crate::text::Shown;

/// Why a letter is not sent. `Display` says what to do about it.
///
/// ```
/// # use gulo_dead_letters::{DryRun, Refusal};
/// fn look(run: &DryRun) {
///     run.planned.iter().for_each(|planned| println!("{} goes to {}", planned.letter, planned.to));
///     for refused in &run.refused {
///         match &refused.refusal {
///             Refusal::NotAllowed(topic) => println!("{} is of {topic}, which was not named", refused.letter),
///             other => println!("{}: {other}", refused.letter),
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not say which topic it came from: name one with [`to_topic`](super::Republish::to_topic).
    NoOrigin,
    /// It does not say which group failed: say [`for_group`](super::Republish::for_group) or
    /// [`to_all_groups`](super::Republish::to_all_groups).
    NoGroup,
    /// Its topic is not among those of [`only_to`](super::Republish::only_to).
    NotAllowed(Arc<str>),
    /// Its topic does not exist.
    NoSuchTopic(Arc<str>),
    /// Its topic cannot be sent to, and why: no right to it, or a name that no topic can have.
    Unusable(Arc<str>, String),
    /// Its topic is the one that it stands in.
    Itself,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOrigin => f.write_str("it does not say which topic it came from (name one with `to_topic`)"),
            Self::NoGroup => {
                f.write_str("it does not say which group failed (say `for_group(..)` or `to_all_groups()`)")
            }
            Self::NotAllowed(topic) => {
                write!(f, "`{}` is not among the topics of `only_to` (name it there)", Shown(topic))
            }
            Self::NoSuchTopic(topic) => {
                write!(f, "there is no topic `{}` (make it, or name another with `to_topic`)", Shown(topic))
            }
            Self::Unusable(topic, why) => write!(f, "`{}` cannot be sent to: {}", Shown(topic), Shown(why)),
            Self::Itself => f.write_str("its origin is the topic that it stands in (name another with `to_topic`)"),
        }
    }
}

/// A letter that is not sent. [`Refusal`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Where the letter stands.
    pub letter: Origin,
    /// Why.
    pub refusal: Refusal,
}

impl Refused {
    pub(super) fn new(letter: &Letter, refusal: Refusal) -> Self {
        Self { letter: letter.stands.clone(), refusal }
    }
}

/// A letter that would be sent. [`Refusal`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// Where the letter stands.
    pub letter: Origin,
    /// The topic it goes to.
    pub to: Arc<str>,
    /// The group it is for; `None` is all of them.
    pub group: Option<Arc<str>>,
    /// How often it will have been sent back then.
    pub replays: u32,
}

impl Planned {
    pub(super) fn new(letter: &Letter, Course { topic, group }: Course) -> Self {
        let replays = letter.replays.saturating_add(1);
        Self { letter: letter.stands.clone(), to: topic, group, replays }
    }
}

/// What would become of letters, in their order. `Display` has a line for each. [`Republish`](super::Republish) has an
/// example.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DryRun {
    /// Those that would be sent.
    pub planned: Vec<Planned>,
    /// Those that would not.
    pub refused: Vec<Refused>,
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dry run: {} would be sent, {} refused", self.planned.len(), self.refused.len())?;
        for Planned { letter, to, group, replays } in &self.planned {
            write!(f, "\n  {letter} -> {}, ", Shown(to))?;
            match group {
                Some(group) => write!(f, "for group {}", Shown(group))?,
                None => f.write_str("for all groups")?,
            }
            if *replays > 1 {
                write!(f, ", time {replays}")?;
            }
        }
        show_refused(&self.refused, f)
    }
}

fn show_refused(refused: &[Refused], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    refused.iter().try_for_each(|Refused { letter, refusal }| write!(f, "\n  {letter} refused: {refusal}"))
}

/// A letter that was sent. [`Report`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Where the letter stands.
    pub letter: Origin,
    /// The topic it went to.
    pub to: Arc<str>,
}

impl Sent {
    pub(super) fn new(letter: &Letter, course: &Course) -> Self {
        Self { letter: letter.stands.clone(), to: Arc::clone(&course.topic) }
    }
}

/// A letter whose message is not confirmed. [`Report`] has an example.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unconfirmed {
    /// The letter and the topic it was for.
    pub sent: Sent,
    /// What is known of it: of an [`Unknown`](Outcome::Unknown) one it may be there.
    pub outcome: Outcome,
    /// Why.
    pub error: Error,
}

impl Unconfirmed {
    pub(super) fn not_tried(letter: &Letter, course: Course) -> Self {
        Self { sent: Sent::new(letter, &course), outcome: Outcome::NotSent, error: not_tried() }
    }
}

/// What became of letters. `Display` has a line for each that was not sent.
///
/// ```
/// # use gulo_dead_letters::Report;
/// fn look(report: &Report) {
///     println!("{} of them are done", report.sent.len());
///     for unconfirmed in &report.unconfirmed {
///         let (letter, outcome) = (&unconfirmed.sent.letter, unconfirmed.outcome.name());
///         println!("{letter} to {} is {outcome}: {}", unconfirmed.sent.to, unconfirmed.error);
///     }
/// }
/// ```
#[derive(Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct Report {
    /// Confirmed by the broker, in order.
    pub sent: Vec<Sent>,
    /// Not sent, because of what the letter says.
    pub refused: Vec<Refused>,
    /// Not confirmed, in order.
    pub unconfirmed: Vec<Unconfirmed>,
}

impl Report {
    /// Whether every letter was sent.
    pub fn is_complete(&self) -> bool {
        self.refused.is_empty() && self.unconfirmed.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, refused, unconfirmed) = (self.sent.len(), self.refused.len(), self.unconfirmed.len());
        write!(f, "{sent} sent back, {refused} refused, {unconfirmed} not confirmed")?;
        show_refused(&self.refused, f)?;
        self.unconfirmed.iter().try_for_each(|Unconfirmed { sent, outcome, error }| {
            write!(f, "\n  {} to {} {}: {error}", sent.letter, Shown(&sent.to), outcome.name())
        })
    }
}
