//! What can be known to be wrong before anything connects.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::groups::Group;
use super::{TopicSettings, config};
use crate::bus::limits::{TYPE_RULE, is_event_type};
use crate::bus::registered::{Registered, Routed};
use crate::bus::subscription::Subscription;
use crate::error::{ErrorKind, Result, shown};
use crate::handler::{StateMap, Taken};
use crate::panic::caught;
use crate::transport::{Capability, Position, Transport};

/// The source of its events is a URI reference, as CloudEvents has it, and not empty.
pub(super) fn service(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_graphic() && !"<>\"{}|\\^`".contains(c);
    if !name.is_empty() && name.chars().all(fits) {
        return Ok(());
    }
    let help = "it is the source of its events, a URI reference: letters, digits and signs, no spaces";
    Err(config(format!("a service cannot be called `{}`", shown(name))).help(help))
}

pub(super) fn transport(transport: Option<&Arc<dyn Transport>>) -> Result<Arc<dyn Transport>> {
    let missing =
        || config("the bus has no transport".into()).help("add `.transport(MemoryTransport::new())` or another");
    transport.cloned().ok_or_else(missing)
}

pub(super) fn subscriptions(subscriptions: &[Subscription], states: &StateMap) -> Result<()> {
    let mut groups = HashMap::new();
    for subscription in subscriptions {
        let Subscription { group, handlers, place, .. } = subscription;
        if !is_name(group, GROUP_BYTES) {
            let problem = format!("the subscription at {place} is of a group called `{}`", shown(group));
            return Err(config(problem).help("a group's name is 1 to 255 bytes without control characters"));
        }
        if let Some(first) = groups.insert(group, place) {
            let problem = format!("group {group} is subscribed twice: at {first} and at {place}");
            return Err(config(problem).help("put all its handlers into one"));
        }
        if handlers.is_empty() {
            return Err(config(format!("group {group} at {place} has no handler")).help("add one with `.on(handler)`"));
        }
        numbers(subscription)?;
        states_of(group, handlers, states)?;
    }
    Ok(())
}

/// Nought would mean that nothing is ever handled. Nobody wants that, and whoever computed it wants to hear of it.
fn numbers(subscription: &Subscription) -> Result<()> {
    let Subscription { group, place, retry, concurrency, deadline, in_flight, window, .. } = subscription;
    let cases = [
        (concurrency.limit() == 0, "handles 0 messages at a time", "say 1 or more, or `Concurrency::Sequential`"),
        (
            retry.never_attempts(),
            "attempts a message 0 times",
            "`Retry::max_attempts` counts the first one: say 1 or more, or `Retry::never()`",
        ),
        (
            *deadline == Some(Duration::ZERO),
            "gives its handlers a deadline of 0 s, which each attempt would miss",
            "say a longer one, or none where there is no limit",
        ),
        (*in_flight == Some(0), "lets 0 messages in flight", "say 1 or more, or nothing of `in_flight`"),
        (*window == Some(0), "has a window of 0 messages", "say 1 or more, or nothing of `window`"),
    ];
    match cases.into_iter().find(|(is_wrong, ..)| *is_wrong) {
        Some((_, problem, help)) => Err(config(format!("group {group} at {place} {problem}")).help(help)),
        None => Ok(()),
    }
}

fn states_of(group: &str, handlers: &[Registered], states: &StateMap) -> Result<()> {
    for Registered { handler, place, .. } in handlers {
        if let Some(missing) = handler.requirements().into_iter().find(|requirement| !states.has(*requirement)) {
            let (name, state) = (handler.name(), missing.name);
            let names: Vec<_> = states.names().map(|name| format!("`{name}`")).collect();
            let others = if names.is_empty() { String::new() } else { format!(", only {}", names.join(", ")) };
            let problem =
                format!("{name} in group {group} at {place} takes State<{state}>, and there is no such state{others}");
            return Err(config(problem).help("give it to the bus with `.state(..)`"));
        }
    }
    Ok(())
}

/// What brokers take.
const GROUP_BYTES: usize = 255;

const CONTENT_TYPE_BYTES: usize = 256;

/// Text that may be a name.
fn is_name(text: &str, bytes: usize) -> bool {
    (1..=bytes).contains(&text.len()) && !text.contains(char::is_control)
}

/// What a handler takes, and whether it reads anything at all.
fn handler(group: &str, Routed { handler, topics, place }: &Routed) -> Result<()> {
    if topics.pattern().map_or_else(|| topics.names().is_empty(), str::is_empty) {
        let problem = format!("{} in group {group} at {place} reads no topic", handler.name());
        return Err(config(problem).help("name one, or a pattern"));
    }
    let Some(Taken { event_type, version, accepts: (lowest, highest), .. }) = handler.takes() else { return Ok(()) };
    let named = shown(event_type);
    if !is_event_type(event_type) {
        return Err(config(format!("group {group} takes events of type `{named}` at {place}")).help(TYPE_RULE));
    }
    if version == 0 {
        let problem = format!("group {group} takes version 0 of `{named}` at {place}");
        return Err(config(problem).help("versions count from 1"));
    }
    if !(lowest..=highest).contains(&version) {
        let problem = format!(
            "group {group} takes `{named}` at {place}, which is of version {version} and accepts {lowest} to {highest}"
        );
        return Err(config(problem).help("let it accept its own version"));
    }
    Ok(())
}

/// A payload is read by its content type, so one that is written says what it is.
pub(super) fn formats(topics: &BTreeMap<Arc<str>, TopicSettings>) -> Result<()> {
    for (topic, settings) in topics {
        let what = format_args!("asking the codec of topic `{topic}` for its content type");
        let named =
            caught(ErrorKind::Config, what, || is_name(settings.format.codec.content_type(), CONTENT_TYPE_BYTES))?;
        if !named {
            let problem = format!("the codec of topic `{topic}` has no content type");
            let rule = "`Codec::content_type` is 1 to 256 bytes without control characters, as `application/avro`";
            return Err(config(problem).help(rule));
        }
    }
    Ok(())
}

/// Any number of handlers may take one event, but not one of them twice, and not as different Rust types.
pub(super) fn handlers(groups: &[Group]) -> Result<()> {
    for group in groups {
        let Group { subscription, routed, .. } = group;
        routed.iter().try_for_each(|routed| handler(&subscription.group, routed))?;
        for (index, second) in routed.iter().enumerate() {
            let earlier = routed[..index].iter().filter(|first| first.topics.may_meet(&second.topics));
            earlier.into_iter().try_for_each(|first| pair(&subscription.group, first, second))?;
        }
    }
    Ok(())
}

fn pair(group: &str, first: &Routed, second: &Routed) -> Result<()> {
    let (one, other) = (first.place, second.place);
    let same = |routed: &Routed| (routed.handler.identity(), routed.handler.takes());
    if first.handler.identity().is_some() && same(first) == same(second) {
        let name = second.handler.name();
        return Err(config(format!("group {group} has {name} twice: at {one} and at {other}")).help("take one away"));
    }
    let (Some(taken), Some(again)) = (first.handler.takes(), second.handler.takes()) else { return Ok(()) };
    if taken.event_type != again.event_type || taken.id == again.id {
        return Ok(());
    }
    let (event, as_one, as_other) = (taken.event_type, taken.name, again.name);
    let problem = format!("group {group} takes `{event}` as {as_one} at {one} and as {as_other} at {other}");
    Err(config(problem).help("let both take one of them: an event may accept several versions"))
}

pub(super) fn capabilities(transport: &dyn Transport, required: &[Capability], groups: &[Group]) -> Result<()> {
    let (name, capabilities) = (transport.name(), transport.capabilities());
    for capability in required {
        capabilities.require(name, *capability)?;
    }
    for group in groups {
        let Subscription { group: called, start, .. } = &group.subscription;
        if matches!(start, Position::At(_) | Position::Offset(_)) {
            let refused = capabilities.require(name, Capability::History);
            refused.map_err(|error| error.context(format_args!("start of group {called}")))?;
        }
        if group.subscription.later.is_some() {
            let refused = capabilities.require(name, Capability::DeliverAt);
            refused.map_err(|error| error.context(format_args!("`retry_later` of group {called}")))?;
        }
        if let Some(pattern) = group.patterns().first() {
            let refused = capabilities.require(name, Capability::Patterns);
            refused.map_err(|error| error.context(format_args!("pattern `{pattern}` of group {called}")))?;
        }
    }
    Ok(())
}
