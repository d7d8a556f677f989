//! What is wrong with a configuration, as far as it can be known without a broker; all of it in one error.

use gulo_bus_core::{Error, ErrorKind, Result};

use super::keys::{Kind, called};
use super::{AmqpConfig, KEYS, QueueArgument, QueueType};
use crate::names::LONGEST;

/// Arguments that have a setting of their own.
const OF_SETTINGS: &[(&str, &str)] = &[
    ("x-queue-type", "QUEUE_TYPE"),
    ("x-single-active-consumer", "SINGLE_ACTIVE_CONSUMER"),
    ("x-dead-letter-exchange", "DEAD_LETTER_EXCHANGE"),
];

/// Arguments by which a queue drops messages, silently unless they go somewhere.
const DROPPING: &[&str] = &["x-delivery-limit", "x-max-length", "x-max-length-bytes", "x-message-ttl"];

impl AmqpConfig {
    /// Says all that is wrong with it.
    pub(crate) fn check(&self) -> Result<()> {
        let mut problems = self.problems.clone();
        problems.extend(self.wrong_url());
        problems.extend(self.wrong_values());
        problems.extend(self.queue_arguments.keys().filter_map(|name| self.wrong_argument(name)));
        problems.extend(self.wrong_names());
        problems.extend(self.wrong_tls());
        self::problems(&problems)
    }

    pub(super) fn wrong_url(&self) -> Option<String> {
        self.uri.as_ref().err().map(|wrong| format!("{} {wrong}", called("URL")))
    }

    /// What code has said, by the rules for what others say.
    fn wrong_values(&self) -> Vec<String> {
        let optional =
            |key: &&super::keys::Key| !key.default.is_empty() && !matches!(key.kind, Kind::Secret | Kind::Pairs);
        let wrong = |key: &super::keys::Key| {
            let wrong = key.kind.read(&(key.shown)(self)).err()?;
            Some(format!("{} {wrong}", key.called()))
        };
        KEYS.iter().filter(optional).filter_map(wrong).collect()
    }

    fn wrong_names(&self) -> Option<String> {
        let exchange = self.dead_letter_exchange.as_ref()?;
        let wrong = exchange.is_empty() || exchange.len() > LONGEST;
        wrong.then(|| format!("{} must be a name of 1 to {LONGEST} bytes", called("DEAD_LETTER_EXCHANGE")))
    }

    fn wrong_argument(&self, name: &str) -> Option<String> {
        let says = format!("{}: `{name}`", called("QUEUE_ARGUMENTS"));
        if name.is_empty() || name.len() > LONGEST {
            return Some(format!("{}: an argument has a name of 1 to {LONGEST} bytes", called("QUEUE_ARGUMENTS")));
        }
        if let Some((_, setting)) = OF_SETTINGS.iter().find(|(argument, _)| *argument == name) {
            return Some(format!("{says} is a setting of its own: {}", called(setting)));
        }
        if name == "x-expires" {
            return Some(format!("{says} deletes the queue of a group that is away, and what is in it"));
        }
        let drops = DROPPING.contains(&name) && self.dead_letter_exchange.is_none();
        let by_length = name.starts_with("x-max-length");
        if !drops || by_length && self.refuses_overflow() {
            return None;
        }
        let or = if by_length { ", or `x-overflow` to `reject-publish`" } else { "" };
        Some(format!("{says} makes a queue drop messages, silently: set {}{or}", called("DEAD_LETTER_EXCHANGE")))
    }

    fn refuses_overflow(&self) -> bool {
        let overflow = self.queue_arguments.get("x-overflow");
        let is = |wanted: &str| matches!(overflow, Some(QueueArgument::Text(said)) if said == wanted);
        // Quorum queues know no other word.
        is("reject-publish") || self.queue_type == QueueType::Classic && is("reject-publish-dlx")
    }
}

/// One error of all of them.
pub(super) fn problems(problems: &[String]) -> Result<()> {
    let text = match problems {
        [] => return Ok(()),
        [one] => format!("the configuration of RabbitMQ: {one}"),
        several => format!("{} settings of RabbitMQ are wrong: {}", several.len(), several.join("; ")),
    };
    Err(Error::new(ErrorKind::Config, text))
}

#[cfg(test)]
mod tests;
