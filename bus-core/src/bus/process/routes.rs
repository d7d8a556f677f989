//! Which handlers a message is for.

use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use crate::bus::format::{Formats, TopicFormat};
use crate::bus::registered::Routed;
use crate::dead_letter;
use crate::envelope::{self, Envelope};
use crate::error::{Error, ErrorKind, shown};
use crate::handler::{ErasedHandler, Received};
use crate::retry_later;
use crate::routing::Pattern;

/// The handlers of one type of event: all of them get it.
pub(crate) type Recipients = Arc<[Arc<dyn ErasedHandler>]>;

/// The handlers of a group, by topic and type.
#[derive(Debug)]
pub(crate) struct Routes {
    named: Vec<(Arc<str>, Handlers)>,
    patterned: Option<Patterned>,
}

/// The handlers of one topic.
#[derive(Debug, Default)]
pub(super) struct Handlers {
    pub(super) format: Arc<TopicFormat>,
    typed: Vec<(&'static str, Recipients)>,
    /// For what is left.
    raw: Option<Recipients>,
    /// It is here by a pattern, which may match dead letters too.
    by_pattern: bool,
}

/// Handlers of topics that are known when a message of theirs comes.
#[derive(Debug)]
struct Patterned {
    all: Vec<Routed>,
    patterns: Vec<Option<Pattern>>,
    formats: Arc<Formats>,
    met: RwLock<Vec<(Arc<str>, Arc<Handlers>)>>,
}

pub(super) enum Route<'a> {
    To(&'a Recipients),
    /// There is no event for anybody here in it: a tombstone, say.
    Skip(&'static str),
    /// It names a type that the group does not handle.
    Unhandled(Error),
    /// It names no type, and the topic has not just one; or its envelope cannot be read.
    Unknown(Error),
}

/// Handlers of a topic.
pub(super) enum Found<'a> {
    Named(&'a Handlers),
    Met(Arc<Handlers>),
}

impl Deref for Found<'_> {
    type Target = Handlers;
    fn deref(&self) -> &Handlers {
        match self {
            Self::Named(handlers) => handlers,
            Self::Met(handlers) => handlers,
        }
    }
}

impl Routes {
    pub(crate) fn new(routed: Vec<Routed>, formats: &Arc<Formats>) -> Self {
        let mut names: Vec<Arc<str>> = routed.iter().flat_map(|routed| routed.topics.names().iter().cloned()).collect();
        names.sort();
        names.dedup();
        let patterns: Vec<_> = routed.iter().map(Routed::pattern).collect();
        let of_topic = |topic: &Arc<str>| {
            let reads = |index: usize| {
                routed.get(index).is_some_and(|routed| routed.topics.names().contains(topic))
                    || matches(&patterns, index, topic)
            };
            Handlers::new(&routed, reads, formats.of(topic))
        };
        let named = names.iter().map(|topic| (Arc::clone(topic), of_topic(topic))).collect();
        let any = patterns.iter().any(Option::is_some);
        let patterned =
            any.then(|| Patterned { all: routed, patterns, formats: Arc::clone(formats), met: RwLock::default() });
        Self { named, patterned }
    }

    /// The handlers of `topic`. A group has few topics: to compare is faster than to hash.
    pub(super) fn of(&self, topic: &Arc<str>) -> Option<Found<'_>> {
        let named = self.named.iter().find(|(name, _)| name == topic);
        match (named, &self.patterned) {
            (Some((_, handlers)), _) => Some(Found::Named(handlers)),
            (None, Some(patterned)) => Some(Found::Met(patterned.of(topic))),
            (None, None) => None,
        }
    }
}

impl Patterned {
    fn of(&self, topic: &Arc<str>) -> Arc<Handlers> {
        let known = |met: &[(Arc<str>, Arc<Handlers>)]| {
            met.iter().find(|(name, _)| name == topic).map(|(_, handlers)| Arc::clone(handlers))
        };
        if let Some(handlers) = known(&self.met.read().unwrap_or_else(PoisonError::into_inner)) {
            return handlers;
        }
        let format = || self.formats.of(topic);
        let mut new = Handlers::new(&self.all, |index| matches(&self.patterns, index, topic), format());
        if new.typed.is_empty() && new.raw.is_none() {
            // The broker found it, whose dialect of patterns is not quite ours: better one handler too many than none.
            let has_pattern = |index: usize| self.patterns.get(index).is_some_and(Option::is_some);
            new = Handlers::new(&self.all, has_pattern, format());
        }
        new.by_pattern = true;
        let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
        known(&met).unwrap_or_else(|| {
            let new = Arc::new(new);
            met.push((Arc::clone(topic), Arc::clone(&new)));
            new
        })
    }
}

impl Handlers {
    /// Of those of `routed`, by their place in it, that read the topic.
    fn new(routed: &[Routed], reads: impl Fn(usize) -> bool, format: Arc<TopicFormat>) -> Self {
        let mut typed: Vec<(&'static str, Vec<_>)> = Vec::new();
        let mut raw = Vec::new();
        for (_, routed) in routed.iter().enumerate().filter(|(index, _)| reads(*index)) {
            let handler = Arc::clone(&routed.handler);
            match handler.event_type() {
                None => raw.push(handler),
                Some(event_type) => match typed.iter_mut().find(|(known, _)| *known == event_type) {
                    Some((_, handlers)) => handlers.push(handler),
                    None => typed.push((event_type, vec![handler])),
                },
            }
        }
        let typed = typed.into_iter().map(|(event_type, handlers)| (event_type, handlers.into())).collect();
        let raw = (!raw.is_empty()).then(|| raw.into());
        Self { format, typed, raw, by_pattern: false }
    }

    /// Whom of `group` `received` is for. Opens its envelope, where its body is one.
    pub(super) fn route(&self, received: &mut Received, group: &str) -> Route<'_> {
        let message = &received.delivery.message;
        // Once through the headers for all that is asked of every message.
        let names = [envelope::TYPE, envelope::CONTENT_TYPE, dead_letter::REPLAYED_FOR];
        let [event_type, content_type, replayed_for] = message.headers.get_each(names);
        if replayed_for.is_some_and(|other| other != group.as_bytes()) {
            return Route::Skip("it was sent back for another group");
        }
        // Before all else: the letter of a tombstone is one too.
        if self.by_pattern && message.headers.get(dead_letter::REASON).is_some() {
            return Route::Skip("it is a dead letter");
        }
        if self.by_pattern && message.headers.get(retry_later::GROUP).is_some() {
            return Route::Skip("it waits for another group");
        }
        if message.payload.is_none() {
            return self.raw.as_ref().map_or(Route::Skip("a tombstone"), Route::To);
        }
        if let Some(opened) = received.opened() {
            return self.by_type(&opened.meta.event_type);
        }
        if self.typed.is_empty() {
            let route = self.by_header(event_type);
            received.is_taken_unopened(self.format.unsaid());
            return route;
        }
        let said = (content_type, event_type.is_some());
        match Envelope::open_said(message, said, || received.delivery.origin(), self.format.unsaid()) {
            Ok(None) => self.by_header(event_type),
            Ok(Some(opened)) => {
                let route = self.by_type(&opened.meta.event_type);
                received.open(opened);
                route
            }
            Err(error) => self.raw.as_ref().map_or_else(|| Route::Unknown(error), Route::To),
        }
    }

    fn by_header(&self, given: Option<&[u8]>) -> Route<'_> {
        // An empty one is no type, and none of somebody else's that may be passed over.
        let said = given.filter(|name| !name.is_empty()).and_then(|name| std::str::from_utf8(name).ok());
        match (said, &self.raw, &*self.typed) {
            (Some(event_type), ..) => self.by_type(event_type),
            (None, Some(raw), _) => Route::To(raw),
            // A message of other software, on a topic with one type: the subscription says what it is.
            (None, None, [(_, handlers)]) if given.is_none() => Route::To(handlers),
            (None, None, _) => Route::Unknown(unknown_type(given)),
        }
    }

    fn by_type(&self, event_type: &str) -> Route<'_> {
        match (self.typed.iter().find(|(handled, _)| *handled == event_type), &self.raw) {
            (Some((_, handlers)), _) | (None, Some(handlers)) => Route::To(handlers),
            (None, None) => Route::Unhandled(no_handler(event_type)),
        }
    }
}

fn matches(patterns: &[Option<Pattern>], index: usize, topic: &str) -> bool {
    patterns.get(index).and_then(Option::as_ref).is_some_and(|pattern| pattern.matches(topic))
}

/// A message of a topic that the group did not ask for.
pub(super) fn no_topic(topic: &str) -> Error {
    Error::new(ErrorKind::Decode, format!("no handler for messages of topic `{}`", shown(topic)))
        .help("add one with `.on_raw(topic, handler)`, or pass such over: `Unhandled::Skip`")
}

fn unknown_type(given: Option<&[u8]>) -> Error {
    let problem = match given {
        None => "is missing, and the group handles several types",
        Some([]) => "is empty",
        Some(_) => "is not UTF-8",
    };
    Error::new(ErrorKind::Decode, format!("header `{}` {problem}: the type is unknown", envelope::TYPE))
        .help("let who sends it say the type, or take it with `.on_raw(topic, handler)`")
}

fn no_handler(event_type: &str) -> Error {
    Error::new(ErrorKind::Decode, format!("no handler for events of type `{}`", shown(event_type)))
        .help("add one with `.on(handler)`, or pass such over: `Unhandled::Skip`")
}

impl Routed {
    /// Checked when the bus started.
    fn pattern(&self) -> Option<Pattern> {
        Pattern::new(self.topics.pattern()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Subscription;
    use crate::handler::Payload;
    use crate::routing::{TopicNaming, TopicSelector};

    fn routes(subscription: Subscription) -> Routes {
        let routed =
            subscription.handlers.iter().map(|handler| handler.resolve(&TopicNaming::new()).expect("resolves"));
        Routes::new(routed.collect(), &Arc::default())
    }

    /// Brokers match by a dialect of their own.
    #[test]
    fn a_topic_that_the_broker_found_and_no_pattern_of_ours_goes_to_those_who_asked_by_pattern() {
        let by_pattern = Subscription::group("g").on_raw(TopicSelector::pattern("a+"), async |_: Payload| {});
        let routes = routes(by_pattern.on_raw("named", async |_: Payload, _: Payload| {}));
        for (topic, expected) in [("aaa", 1), ("b", 1), ("named", 1)] {
            let handlers = routes.of(&topic.into()).expect("handlers");
            assert_eq!(handlers.raw.as_ref().map_or(0, |raw| raw.len()), expected, "{topic}");
        }
    }

    #[test]
    fn a_topic_that_nobody_asked_for_has_no_handlers() {
        let routes = routes(Subscription::group("g").on_raw("named", async |_: Payload| {}));
        assert!(routes.of(&"b".into()).is_none());
    }
}
