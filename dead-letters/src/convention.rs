//! Who writes what on a dead letter.

mod connect;
mod gulo;
mod spring;
mod value;
mod wolverine;

use chrono::{DateTime, Utc};
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::Message;

use crate::letter::{CameFrom, Failure, Reason};

/// In whose words a dead letter says what it is.
///
/// ```
/// # use gulo_bus_core::message::{Message, Origin};
/// # use gulo_dead_letters::{Convention, Letter};
/// let message = Message::new("orders-dlt", "{}")
///     .header("kafka_dlt-original-topic", "orders")
///     .header("kafka_dlt-exception-message", "the price is no number");
/// let letter = Letter::read(message, Origin { topic: "orders-dlt".into(), partition: Some(0), offset: Some(4) });
/// assert_eq!((letter.convention, letter.convention.name()), (Convention::Spring, "Spring Kafka"));
/// assert_eq!(letter.failure.message.as_deref(), Some("the price is no number"));
/// ```
///
/// A letter may have died more than once, in different hands. Whoever writes a letter writes behind the headers that
/// are there, so it is the last one that says where the message failed this time, and the headers of an earlier death
/// are the message's own by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Convention {
    /// Our own: [`gulo_bus_core::dead_letter`].
    Gulo,
    /// [Spring Kafka]: `kafka_dlt-*`; of a retry topic `kafka_original-*`, `kafka_exception-*`, `retry_topic-*`.
    ///
    /// [Spring Kafka]: https://docs.spring.io/spring-kafka/api/org/springframework/kafka/listener/DeadLetterPublishingRecoverer.html
    Spring,
    /// [Kafka Connect]: `__connect.errors.*`.
    ///
    /// [Kafka Connect]: https://github.com/apache/kafka/blob/4.1.0/connect/runtime/src/main/java/org/apache/kafka/connect/runtime/errors/DeadLetterQueueReporter.java
    Connect,
    /// [Wolverine]: `exception-type`, `failed-at`, `original-*`.
    ///
    /// [Wolverine]: https://github.com/JasperFx/wolverine/blob/main/src/Wolverine/Transports/DeadLetterQueueConstants.cs
    Wolverine,
    /// None of them: nothing is known but the message itself.
    Unknown,
}

/// All that a convention can say.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) origin: CameFrom,
    pub(crate) reason: Reason,
    pub(crate) failure: Failure,
    pub(crate) attempts: Option<u32>,
    pub(crate) first_failed_at: Option<DateTime<Utc>>,
    pub(crate) last_failed_at: Option<DateTime<Utc>>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            origin: CameFrom::default(),
            reason: Reason::Unknown(None),
            failure: Failure::default(),
            attempts: None,
            first_failed_at: None,
            last_failed_at: None,
        }
    }
}

impl Convention {
    /// A name in plain text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gulo => "Gulo",
            Self::Spring => "Spring Kafka",
            Self::Connect => "Kafka Connect",
            Self::Wolverine => "Wolverine",
            Self::Unknown => "unknown",
        }
    }

    /// That of whoever wrote last on it.
    pub(crate) fn of(headers: &Headers) -> Self {
        let wolverine = wolverine::is_one(headers);
        let told = |name: &str| match name {
            name if gulo::tells(name) => Some(Self::Gulo),
            name if spring::tells(name) => Some(Self::Spring),
            name if connect::owns(name) => Some(Self::Connect),
            name if wolverine && wolverine::owns(name) => Some(Self::Wolverine),
            _ => None,
        };
        headers.iter().filter_map(|(name, _)| told(name)).last().unwrap_or(Self::Unknown)
    }

    /// What the headers of `message` say in it.
    pub(crate) fn account(self, message: &Message) -> Account {
        match self {
            Self::Gulo => gulo::read(&message.headers),
            Self::Spring => spring::read(&message.headers),
            Self::Connect => connect::read(message),
            Self::Wolverine => wolverine::read(&message.headers),
            Self::Unknown => Account::default(),
        }
    }

    /// Whether a header of a letter of this convention belongs to the letter, and not to the message.
    pub(crate) fn owns(self, name: &str) -> bool {
        match self {
            Self::Gulo => gulo::owns(name),
            Self::Spring => spring::owns(name),
            Self::Connect => connect::owns(name),
            Self::Wolverine => wolverine::owns(name),
            Self::Unknown => false,
        }
    }

    /// Whether the letter has the timestamp of the message it was.
    pub(crate) fn keeps_timestamp(self) -> bool {
        self == Self::Connect
    }
}
