//! What the sink connectors of Kafka Connect write, with `errors.deadletterqueue.context.headers.enable`.

use std::sync::Arc;

use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::Message;

use super::Account;
use super::value::{name, number, offset, words};
use crate::letter::{CameFrom, Failure, Reason, utc};

const PREFIX: &str = "__connect.errors.";

pub(super) fn owns(name: &str) -> bool {
    name.starts_with(PREFIX)
}

pub(super) fn read(message: &Message) -> Account {
    let headers = &message.headers;
    Account {
        origin: CameFrom {
            topic: name(headers, "__connect.errors.topic"),
            partition: number(headers, "__connect.errors.partition"),
            offset: offset(headers, "__connect.errors.offset"),
            // The letter has the timestamp of the message.
            published_at: message.timestamp.and_then(utc),
            // That of a connector is `connect-<name>` unless its configuration says otherwise: not known from here.
            group: None,
        },
        reason: reason(headers),
        failure: Failure {
            class: words(headers, "__connect.errors.exception.class.name"),
            cause: None,
            message: words(headers, "__connect.errors.exception.message"),
            trace: words(headers, "__connect.errors.exception.stacktrace"),
        },
        ..Account::default()
    }
}

/// The stage in which it failed: what a converter does not take cannot be read.
fn reason(headers: &Headers) -> Reason {
    let text = |what: &str| headers.get_str(&format!("{PREFIX}{what}")).filter(|text| !text.is_empty());
    let Some(stage) = text("stage") else { return Reason::Unknown(None) };
    if matches!(stage, "KEY_CONVERTER" | "VALUE_CONVERTER" | "HEADER_CONVERTER") {
        return Reason::Undecodable;
    }
    let mut told = format!("stage {stage}");
    for (what, header) in [("connector", "connector.name"), ("task", "task.id"), ("class", "class.name")] {
        if let Some(value) = text(header) {
            told.push_str(&format!(", {what} {value}"));
        }
    }
    Reason::Unknown(Some(Arc::from(told)))
}
