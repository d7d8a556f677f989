//! What topics may be called: the broker refuses other names, and librdkafka's wrapper panics over some of them.

use std::sync::Arc;

use gulo_bus_core::transport::Topology;
use gulo_bus_core::{Error, ErrorKind, Result};

use crate::topology::listed;

/// [`Topic.validate`](https://github.com/apache/kafka/blob/4.1.0/clients/src/main/java/org/apache/kafka/common/internals/Topic.java)
const LONGEST: usize = 249;

/// `Ok` where all of `names` may be topics; else one error that shows those which may not.
pub(crate) fn check<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Result<()> {
    let bad: Vec<String> = names.filter(|name| !is_legal(name)).map(|name| shown(name)).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, format!("Kafka has no topics called {}", listed(&bad))).help(rule()))
}

/// The same of all topics of `topology`. Where it is only for a group's name that one cannot be, the group is told: nobody has
/// written the name of that topic.
pub(crate) fn check_all(topology: &Topology) -> Result<()> {
    let names = || topology.topics.iter().map(|topic| &topic.name);
    let spoilt_by = |name| topology.groups.iter().map(|group| &*group.group).find(|group| is_spoilt_by(name, group));
    let bad = || names().map(|name| &**name).filter(|name| !is_legal(name));
    let Some((name, group)) = bad().next().and_then(|name| Some((name, spoilt_by(name)?))) else {
        return check(names());
    };
    if bad().any(|name| spoilt_by(name).is_none()) {
        return check(names());
    }
    let (name, group) = (shown(name), shown(group));
    let problem = format!("group `{group}` cannot have the topic `{name}`: Kafka has none called so");
    let help = format!("{}; give the group another name, or that topic one without the group's", rule());
    Err(Error::new(ErrorKind::Config, problem).help(help))
}

/// Whether it would be legal with another group in it.
fn is_spoilt_by(name: &str, group: &str) -> bool {
    !group.is_empty() && name.contains(group) && is_legal(&name.replace(group, "g"))
}

fn rule() -> String {
    format!("a name is 1 to {LONGEST} of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`")
}

fn is_legal(name: &str) -> bool {
    let chars = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (1..=LONGEST).contains(&name.len()) && name != "." && name != ".." && name.chars().all(chars)
}

/// So much of it that one knows it: the end says whose dead letters it was to take.
fn shown(name: &str) -> String {
    let chars: Vec<char> = name.chars().filter(|c| !c.is_control()).collect();
    match (chars.get(..60), chars.get(chars.len().saturating_sub(20)..)) {
        (Some(start), Some(end)) if chars.len() > 80 => start.iter().chain(&['.', '.']).chain(end).collect(),
        _ => chars.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use gulo_bus_core::transport::{GroupSpec, TopicSpec, Topics, TopologyMode};

    use super::*;

    fn text(name: &str) -> Option<String> {
        let name: Arc<str> = name.into();
        check(std::iter::once(&name)).err().map(|error| error.to_string())
    }

    #[test]
    fn names_that_the_broker_takes_are_taken() {
        for name in ["users", "a", "integration-events.user_registered", &"x".repeat(249)] {
            assert_eq!(text(name), None);
        }
    }

    #[test]
    fn other_names_are_refused_with_the_rule() {
        for name in ["", ".", "..", "two words", "a/b", "grüezi", "a\0b", &"x".repeat(250)] {
            let text = text(name).expect("refused");
            assert!(
                text.ends_with("(a name is 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`)"),
                "{text}"
            );
        }
        let two = text("two words").expect("refused");
        assert!(two.starts_with("Kafka has no topics called `two words` ("), "{two}");
        let long = text(&format!("{}tail", "x".repeat(996))).expect("refused");
        let shown = format!("`{}..{}tail`", "x".repeat(60), "x".repeat(16));
        assert!(long.starts_with(&format!("Kafka has no topics called {shown} (")), "{long}");
    }

    fn text_of_all(topics: &[&str], group: &str) -> Option<String> {
        let groups = vec![GroupSpec { group: group.into(), topics: Topics::Named(Vec::new()) }];
        let topics = topics.iter().map(|name| TopicSpec::new(*name)).collect();
        check_all(&Topology { mode: TopologyMode::Create, topics, groups }).err().map(|error| error.to_string())
    }

    #[test]
    fn a_name_that_a_group_spoils_is_told_as_the_groups() {
        let rule = rule();
        assert_eq!(text_of_all(&["orders", "orders.billing.dlq"], "billing"), None);
        let told = |group: &str, topic: &str| {
            format!(
                "group `{group}` cannot have the topic `{topic}`: Kafka has none called so ({rule}; give the group another \
                 name, or that topic one without the group's)"
            )
        };
        let spaces = told("a b/ü", "orders.a b/ü.dlq");
        assert_eq!(text_of_all(&["orders", "orders.a b/ü.dlq", "users.a b/ü.dlq"], "a b/ü"), Some(spaces));
        let long = "g".repeat(245);
        let shown = |text: String| shown(&text);
        let long_told = told(&shown(long.clone()), &shown(format!("orders.{long}.dlq")));
        assert_eq!(text_of_all(&["orders", &format!("orders.{long}.dlq")], &long), Some(long_told));
        let own = format!("Kafka has no topics called `or ders`, `or ders.a b.dlq` ({rule})");
        assert_eq!(text_of_all(&["or ders", "or ders.a b.dlq"], "a b"), Some(own));
    }
}
