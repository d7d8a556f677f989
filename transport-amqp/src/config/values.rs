//! Values that have a name of their own.

use std::fmt;

/// What kind of exchange a topic is. [`AmqpConfig`](crate::AmqpConfig) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExchangeType {
    /// Every queue bound to it gets every message.
    #[default]
    Fanout,
    /// Queues get what matches the key they are bound with; groups of Gulo bind with `#`.
    Topic,
}

/// What kind of queue a group reads. [`AmqpConfig`](crate::AmqpConfig) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum QueueType {
    /// Replicated and safe against the loss of a node.
    #[default]
    Quorum,
    /// On one node.
    Classic,
}

/// The value of a queue's argument: text, a whole number, or a flag, made of what Rust has for them.
///
/// ```
/// # use gulo_transport_amqp::QueueArgument;
/// assert_eq!(QueueArgument::from(5), QueueArgument::Integer(5));
/// assert_eq!(QueueArgument::from("lazy"), QueueArgument::Text("lazy".into()));
/// assert_eq!(QueueArgument::from(true), QueueArgument::Flag(true));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueArgument {
    /// `x-overflow`, say.
    Text(String),
    /// `x-max-length`, say.
    Integer(i64),
    /// `x-cancel-on-ha-failover`, say.
    Flag(bool),
}

impl ExchangeType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Topic => "topic",
        }
    }
}

impl QueueType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        }
    }
}

impl QueueArgument {
    /// As it is meant where all is text.
    pub(super) fn read(text: &str) -> Self {
        match (text, text.parse()) {
            ("true", _) => Self::Flag(true),
            ("false", _) => Self::Flag(false),
            (_, Ok(number)) => Self::Integer(number),
            _ => Self::Text(text.to_owned()),
        }
    }
}

impl fmt::Display for QueueArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

impl From<&str> for QueueArgument {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for QueueArgument {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i32> for QueueArgument {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u32> for QueueArgument {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<i64> for QueueArgument {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for QueueArgument {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
