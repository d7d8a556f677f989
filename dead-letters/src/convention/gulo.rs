//! What the bus writes.

use gulo_bus_core::dead_letter as dlq;
use gulo_bus_core::headers::Headers;

use super::Account;
use super::value::{name, number, offset, time, words};
use crate::letter::{CameFrom, Failure, Reason};
use crate::republish::provenance;

/// Whether the header makes a message one of our letters. One that was sent back has some of ours and is none.
pub(super) fn tells(name: &str) -> bool {
    owns(name) && !provenance::is(name)
}

pub(super) fn owns(name: &str) -> bool {
    name.starts_with(dlq::PREFIX)
}

pub(super) fn read(headers: &Headers) -> Account {
    let origin = CameFrom {
        topic: name(headers, dlq::ORIGIN_TOPIC),
        partition: number(headers, dlq::ORIGIN_PARTITION),
        offset: offset(headers, dlq::ORIGIN_OFFSET),
        published_at: time(headers, dlq::ORIGIN_TIMESTAMP),
        group: name(headers, dlq::ORIGIN_GROUP),
    };
    Account {
        origin,
        reason: Reason::named(name(headers, dlq::REASON)),
        failure: Failure { message: words(headers, dlq::ERROR), ..Failure::default() },
        attempts: number(headers, dlq::ATTEMPTS),
        first_failed_at: time(headers, dlq::FIRST_FAILED_AT),
        last_failed_at: time(headers, dlq::LAST_FAILED_AT),
    }
}
