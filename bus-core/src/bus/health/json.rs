//! The shape of health as JSON. Times are seconds, with milliseconds behind the point; what is not there is `null`.

use std::time::Duration;

use chrono::SecondsFormat;
use serde::{Serialize, Serializer};

use crate::bus::health::{Health, InFlight, LaneHealth, ParkedKey, SubscriptionHealth};
use crate::bus::report::Counts;
use crate::message::Origin;
use crate::time::utc;
use crate::transport::Status;

#[derive(Serialize)]
struct Bus<'a> {
    up: bool,
    transport: Connection<'a>,
    subscriptions: &'a [SubscriptionHealth],
}

#[derive(Serialize)]
struct Connection<'a> {
    state: &'static str,
    since: Option<String>,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Group<'a> {
    group: &'a str,
    up: bool,
    degraded: Option<&'a str>,
    handled: u64,
    retried: u64,
    dead_lettered: u64,
    skipped: u64,
    postponed: u64,
    in_flight: usize,
    blocked_seconds: Option<f64>,
    lanes: &'a [LaneHealth],
}

#[derive(Serialize)]
struct Lane<'a> {
    topic: &'a str,
    partition: Option<u32>,
    state: &'static str,
    in_flight: usize,
    oldest: Option<&'a InFlight>,
    parked_total: usize,
    parked: &'a [ParkedKey],
    last_progress_seconds: Option<f64>,
    stalled_seconds: Option<f64>,
}

#[derive(Serialize)]
struct Message<'a> {
    topic: &'a str,
    partition: Option<u32>,
    offset: Option<i64>,
    key: Option<&'a str>,
    stage: &'static str,
    #[serde(flatten)]
    more: More<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum More<'a> {
    Oldest { age_seconds: f64 },
    Parked { attempts: u32, since_seconds: f64, goes_on_in_seconds: f64, reason: &'a str },
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let transport = connection(&self.transport);
        Bus { up: self.is_up(), transport, subscriptions: &self.subscriptions }.serialize(serializer)
    }
}

impl Serialize for SubscriptionHealth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Counts { handled, retried, dead_lettered, skipped, postponed } = self.counts;
        Group {
            group: &self.group,
            up: self.is_up(),
            degraded: self.degraded.as_deref(),
            handled,
            retried,
            dead_lettered,
            skipped,
            postponed,
            in_flight: self.in_flight,
            blocked_seconds: self.blocked.map(seconds),
            lanes: &self.lanes,
        }
        .serialize(serializer)
    }
}

impl Serialize for LaneHealth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Lane {
            topic: &self.origin.topic,
            partition: self.origin.partition,
            state: self.state.name(),
            in_flight: self.in_flight,
            oldest: self.oldest.as_ref(),
            parked_total: self.parked_total,
            parked: &self.parked,
            last_progress_seconds: self.last_progress.map(seconds),
            stalled_seconds: self.stalled.map(seconds),
        }
        .serialize(serializer)
    }
}

impl Serialize for InFlight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let more = More::Oldest { age_seconds: seconds(self.age) };
        message(&self.origin, self.key.as_deref(), self.stage.name(), more).serialize(serializer)
    }
}

impl Serialize for ParkedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (since_seconds, goes_on_in_seconds) = (seconds(self.since), seconds(self.goes_on_in));
        let more = More::Parked { attempts: self.attempts, since_seconds, goes_on_in_seconds, reason: &self.reason };
        message(&self.origin, self.key.as_deref(), self.stage.name(), more).serialize(serializer)
    }
}

fn message<'a>(origin: &'a Origin, key: Option<&'a str>, stage: &'static str, more: More<'a>) -> Message<'a> {
    Message { topic: &origin.topic, partition: origin.partition, offset: origin.offset, key, stage, more }
}

fn connection(status: &Status) -> Connection<'_> {
    match status {
        Status::Up => Connection { state: "up", since: None, reason: None },
        Status::Blocked { reason } => Connection { state: "blocked", since: None, reason: Some(reason) },
        Status::Down { since, reason } => {
            let since = utc(*since).map(|since| since.to_rfc3339_opts(SecondsFormat::Millis, true));
            Connection { state: "down", since, reason: Some(reason) }
        }
    }
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}
