//! Making what is missing of a topology, or naming it.

use std::sync::Arc;

use gulo_bus_core::transport::{Capability, GroupSpec, TopicSpec, Topics, Topology, TopologyMode};
use gulo_bus_core::{Error, ErrorKind, Result};

use crate::broker::group::{GroupId, Matcher};
use crate::broker::{Broker, NAME, State};
use crate::config::Shape;

/// Checks all of it first, so that a topology that cannot be is not made by half.
pub(crate) fn ensure(broker: &Broker, topology: &Topology) -> Result<()> {
    topology.topics.iter().try_for_each(|topic| check_topic(broker, topic))?;
    topology.groups.iter().try_for_each(|group| check_group(broker, group))?;
    let mut state = broker.lock();
    match topology.mode {
        TopologyMode::Create => {
            create(broker, &mut state, topology);
            Ok(())
        }
        TopologyMode::Check => check(broker, &state, topology),
    }
}

fn check_topic(broker: &Broker, topic: &TopicSpec) -> Result<()> {
    let name = &topic.name;
    check_name(broker.config.shape, name)?;
    match topic.partitions {
        Some(0) => {
            let problem = format!("topic `{name}` cannot have 0 partitions");
            return Err(Error::new(ErrorKind::Config, problem).help("give it at least 1, or say nothing of them"));
        }
        Some(2..) => {
            let can = broker.config.capabilities().require(NAME, Capability::Partitions);
            can.map_err(|error| error.context(format_args!("topic `{name}`")))?;
        }
        _ => {}
    }
    if !topic.settings.is_empty() {
        // They are another broker's words: a program that runs on that one shall run here too.
        tracing::debug!(topic = %name, "the memory broker knows no settings of topics; left out");
    }
    Ok(())
}

/// What the broker that it resembles would take, so that a program that runs here runs there: Kafka for a log, for
/// queues what AMQP's short strings hold.
pub(crate) fn check_name(shape: Shape, name: &str) -> Result<()> {
    let (legal, rule) = match shape {
        Shape::Log => {
            let chars = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            let legal = name.len() <= 249 && name.chars().all(chars) && name != "." && name != "..";
            (legal, "1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`")
        }
        Shape::Queue => (name.len() <= 255, "1 to 255 bytes"),
    };
    if legal && !name.is_empty() {
        return Ok(());
    }
    let problem = format!("there can be no topic called `{}`", shown(name));
    Err(Error::new(ErrorKind::Config, problem).help(format!("a name is {rule}")))
}

/// So much of it that one knows it: the end says whose dead letters it was to take.
fn shown(name: &str) -> String {
    let chars: Vec<char> = name.chars().filter(|c| !c.is_control()).collect();
    match (chars.get(..60), chars.get(chars.len().saturating_sub(20)..)) {
        (Some(start), Some(end)) if chars.len() > 80 => start.iter().chain(&['.', '.']).chain(end).collect(),
        _ => chars.into_iter().collect(),
    }
}

fn check_group(broker: &Broker, group: &GroupSpec) -> Result<()> {
    if let Topics::Pattern(_) = group.topics {
        let can = broker.config.capabilities().require(NAME, Capability::Patterns);
        can.map_err(|error| error.context(format_args!("group `{}`", group.group)))?;
    }
    named(group).iter().try_for_each(|name| check_name(broker.config.shape, name))?;
    Matcher::new(&group.topics).map(drop)
}

fn named(group: &GroupSpec) -> &[Arc<str>] {
    match &group.topics {
        Topics::Named(names) => names,
        Topics::Pattern(_) => &[],
    }
}

fn create(broker: &Broker, state: &mut State, topology: &Topology) {
    for topic in &topology.topics {
        state.create(&broker.config, topic.name.clone(), topic.partitions);
        state.keep(topic);
    }
    for group in &topology.groups {
        for name in named(group) {
            state.create(&broker.config, name.clone(), None);
            if broker.config.shape == Shape::Queue {
                state.bind(&broker.config, &GroupId::Named(group.group.clone()), name);
            }
        }
    }
    state.rebalance_all();
}

fn check(broker: &Broker, state: &State, topology: &Topology) -> Result<()> {
    let mut missing: Vec<String> = Vec::new();
    let read = topology.groups.iter().flat_map(named);
    for name in topology.topics.iter().map(|topic| &topic.name).chain(read) {
        let text = format!("topic `{name}`");
        if !state.topics.contains_key(name) && !missing.contains(&text) {
            missing.push(text);
        }
    }
    for group in topology.groups.iter().filter(|_| broker.config.shape == Shape::Queue) {
        let queues = state.groups.get(&GroupId::Named(group.group.clone())).map(|group| &group.queues);
        let bound = |name: &&Arc<str>| queues.is_some_and(|queues| queues.contains_key(*name));
        let unbound = named(group).iter().filter(|name| !bound(name));
        missing.extend(unbound.map(|name| format!("queue of group `{}` for topic `{name}`", group.group)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let problem = format!("the memory broker lacks {}", missing.join(", "));
    Err(Error::new(ErrorKind::Missing, problem).help("make it first, or let `ensure` do so: `TopologyMode::Create`"))
}
