//! Why a message was not published, in words.

use gulo_bus_core::transport::Status;
use gulo_bus_core::{Error, ErrorKind};

use crate::config::AmqpConfig;
use crate::error;
use crate::names;

/// By its deadline.
pub(super) fn late(config: &AmqpConfig, status: &Status, trouble: Option<&Error>) -> Error {
    let timeout = config.publish_timeout;
    match (status, trouble) {
        (Status::Blocked { reason }, _) => {
            let text = format!(
                "not published within {timeout:?}: the broker at {} lets nothing in: {reason}",
                config.address()
            );
            Error::new(ErrorKind::Unavailable, text).help("give it memory or disk; what is read from it makes room")
        }
        (_, Some(trouble)) => error::again(trouble).context(format_args!("not published within {timeout:?}")),
        (Status::Down { reason, .. }, None) => {
            Error::new(ErrorKind::Unavailable, format!("not published within {timeout:?}: {reason}"))
        }
        _ => {
            let text = format!("the broker at {} did not confirm within {timeout:?}", config.address());
            Error::new(ErrorKind::TimedOut, text)
                .help("it hangs, or the way to it is cut; `publish_timeout` says how long")
        }
    }
}

pub(super) fn nobody_reads(topic: &str) -> Error {
    Error::new(ErrorKind::Missing, format!("no queue takes messages of topic {}", names::shown(topic)))
        .help("start the groups that read it once, `ensure` them, or bind a queue to the exchange")
}

/// It was to wait, and there is nothing to wait in.
pub(super) fn no_way(topic: &str) -> Error {
    let text = format!("a queue is gone in which messages for topic {} wait", names::shown(topic));
    Error::new(ErrorKind::Missing, text)
        .help("publish again: what is missing is looked for, and made where that is allowed")
}

pub(super) fn not_taken(topic: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("a queue of topic {} did not take it", names::shown(topic)))
        .help("it is full (`x-max-length`), or has lost its majority; other queues may have taken it")
}

pub(super) fn ambiguous(topic: &str) -> Error {
    let text = format!("topic {}: of several messages with the same id not all found a queue", names::shown(topic));
    Error::new(ErrorKind::Other, text).help("give events ids of their own")
}
