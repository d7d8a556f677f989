//! What exchanges and queues are called. Topics are exchanges; a group reads a topic by a queue of its own,
//! `<topic>.<group>`; what a topic keeps while no group reads it lies in a queue that is called as the topic.

use std::sync::Arc;

use gulo_bus_core::{Error, ErrorKind, Result};

use crate::delay;

/// Names are short strings of AMQP: their length is one byte.
pub(crate) const LONGEST: usize = 255;

/// The queue by which `group` reads `topic`.
pub(crate) fn queue_of(topic: &str, group: &str) -> String {
    format!("{topic}.{group}")
}

/// The exchange that takes what no queue of `topic` took.
pub(crate) fn unread_exchange_of(topic: &str) -> String {
    format!("{topic}.unread")
}

/// The queue with what was published to `topic` while no group read it.
pub(crate) fn unread_queue_of(topic: &str) -> &str {
    topic
}

/// `Ok` where all of `names` may be topics; else one error that shows those which may not.
pub(crate) fn check_topics<'a>(names: impl IntoIterator<Item = &'a Arc<str>>) -> Result<()> {
    let bad: Vec<String> = names.into_iter().filter(|name| !is_legal(name)).map(|name| shown(name)).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let help = format!(
        "a name is 1 to {LONGEST} bytes without control characters; `amq.` before it is RabbitMQ's, `{}` Gulo's",
        delay::OWN
    );
    Err(Error::new(ErrorKind::Config, format!("RabbitMQ has no topics called {}", bad.join(", "))).help(help))
}

/// `Ok` where the queue of `group` for each of `topics` may be called so.
pub(crate) fn check_group<'a>(group: &str, topics: impl IntoIterator<Item = &'a Arc<str>>) -> Result<()> {
    let long = |topic: &&Arc<str>| !is_legal(group) || topic.len() + 1 + group.len() > LONGEST;
    let Some(topic) = topics.into_iter().find(long) else { return Ok(()) };
    let problem = format!("group {} cannot have a queue for topic {}", shown(group), shown(topic));
    let help = format!("its name is `<topic>.<group>`: at most {LONGEST} bytes, none of them a control character");
    Err(Error::new(ErrorKind::Config, problem).help(help))
}

fn is_legal(name: &str) -> bool {
    let is_taken = ["amq.", delay::OWN].iter().any(|taken| name.starts_with(taken));
    (1..=LONGEST).contains(&name.len()) && !name.chars().any(char::is_control) && !is_taken
}

/// So much of it that one knows it: the end says whose dead letters it was to take.
pub(crate) fn shown(name: &str) -> String {
    let chars: Vec<char> = name.chars().filter(|c| !c.is_control()).collect();
    match (chars.get(..60), chars.get(chars.len().saturating_sub(20)..)) {
        (Some(start), Some(end)) if chars.len() > 80 => {
            format!("`{}..{}`", start.iter().collect::<String>(), end.iter().collect::<String>())
        }
        _ => format!("`{}`", chars.into_iter().collect::<String>()),
    }
}

/// `` `a`, `b` ``
pub(crate) fn listed<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| shown(name.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> Option<String> {
        let name: Arc<str> = name.into();
        check_topics([&name]).err().map(|error| error.to_string())
    }

    #[test]
    fn names_that_the_broker_takes_are_taken() {
        for name in ["users", "two words", "grüezi", "a/b", &"x".repeat(255)] {
            assert_eq!(refused(name), None);
        }
    }

    #[test]
    fn other_names_are_refused_with_the_rule() {
        for name in ["", "amq.topic", "gulo.delay-delivery", "a\0b", &"x".repeat(256)] {
            let text = refused(name).expect("refused");
            assert!(text.contains("(a name is 1 to 255 bytes without control characters"), "{text}");
        }
    }

    #[test]
    fn a_queue_whose_name_would_be_too_long_is_told_with_group_and_topic() {
        let topic: Arc<str> = "x".repeat(200).into();
        let text = check_group(&"g".repeat(60), [&topic]).expect_err("too long").to_string();
        assert!(text.starts_with("group `gggg") && text.contains("for topic `xxxx"), "{text}");
    }
}
