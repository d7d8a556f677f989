//! Tells health how the lanes are: from time to time and not for every message.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::jobs::About;
use super::{Runner, Wake};
use crate::bus::health::{LaneShot, LaneState, NAMED, Oldest, Shot, Stage, key_text};
use crate::bus::process::Work;
use crate::message::Origin;
use crate::settle::{Lane, Settlement, Token};
use crate::transport::{Delivery, LaneEvent};

/// How soon the next one may be taken. Each costs a look at all that is inside.
const INTERVAL: Duration = Duration::from_millis(250);
/// Where it takes long, its share of the time at most: one part in so many.
const SHARE: u32 = 100;

/// What is kept from one survey to the next.
#[derive(Debug, Default)]
pub(super) struct Survey {
    changed: bool,
    not_before: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    records: HashMap<Lane, Record>,
    /// By slot: whether anything has ended since the last survey.
    ended: Vec<bool>,
}

#[derive(Debug)]
struct Record {
    origin: Origin,
    paused: bool,
    last_progress: Option<Instant>,
    quiet_since: Instant,
    in_flight: usize,
    /// By when all up to a number of arrival were here; none of them below the oldest that is.
    arrivals: VecDeque<(u64, Instant)>,
}

/// What is inside of one lane.
#[derive(Default)]
struct Found<'a> {
    count: usize,
    last: u64,
    oldest: Option<Seen<'a>>,
    waiting: Vec<(&'a Work, Instant)>,
}

struct Seen<'a> {
    seq: u64,
    offset: Option<i64>,
    key: Option<&'a Bytes>,
    stage: Stage,
}

impl Survey {
    pub(super) fn note(&mut self, wake: &Wake) {
        self.changed |= !matches!(wake, Wake::Survey);
    }

    /// News of lanes, as far as it concerns health.
    pub(super) fn hear(&mut self, event: &LaneEvent) {
        match event {
            LaneEvent::Opened { lane, origin } => {
                self.records.insert(*lane, Record::new(origin));
                let slots = lane.slot as usize + 1;
                self.ended.resize(self.ended.len().max(slots), false);
            }
            LaneEvent::Paused(lane) | LaneEvent::Resumed(lane) => {
                let paused = matches!(event, LaneEvent::Paused(_));
                self.records.entry(*lane).and_modify(|record| record.paused = paused);
            }
            _ => {}
        }
    }

    /// These have come to their end.
    pub(super) fn ended(&mut self, settlements: &[Settlement]) {
        self.changed = true;
        for Settlement { token, .. } in settlements {
            if let Some(ended) = self.ended.get_mut(token.lane.slot as usize) {
                *ended = true;
            }
        }
    }

    /// Resolves when the next one is to be taken: never, where nothing has changed.
    ///
    /// Cancel safety: safe.
    pub(super) async fn due(&mut self) {
        match self.not_before.filter(|_| self.changed) {
            Some(at) => self.timer.get_or_insert_with(|| Box::pin(sleep_until(at))).as_mut().await,
            None => std::future::pending().await,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.changed && self.not_before.is_none_or(|at| at <= now)
    }

    fn shot_of(&mut self, lane: Lane, state: LaneState, found: Found<'_>, now: Instant) -> Option<LaneShot> {
        let ended = self.ended.get_mut(lane.slot as usize).is_some_and(std::mem::take);
        self.records.get_mut(&lane).map(|record| record.shot(lane, state, found, ended, now))
    }

    /// One was taken; `more` where things are about to change.
    fn rest(&mut self, begun: Instant, more: bool) -> Duration {
        let now = Instant::now();
        let interval = INTERVAL.max((now - begun) * SHARE);
        (self.changed, self.not_before, self.timer) = (more, Some(now + interval), None);
        interval
    }
}

impl Record {
    fn new(origin: &Origin) -> Self {
        let (origin, now) = (Origin { offset: None, ..origin.clone() }, Instant::now());
        Self { origin, paused: false, last_progress: None, quiet_since: now, in_flight: 0, arrivals: VecDeque::new() }
    }

    fn shot(&mut self, lane: Lane, state: LaneState, mut found: Found<'_>, ended: bool, now: Instant) -> LaneShot {
        if ended {
            self.last_progress = Some(now);
        }
        if ended || self.in_flight == 0 {
            self.quiet_since = now;
        }
        self.in_flight = found.count;
        let waiting_total = found.waiting.len();
        found.waiting.sort_by_key(|(work, _)| work.failing_since());
        let named = found.waiting.iter().take(NAMED);
        LaneShot {
            lane,
            origin: self.origin.clone(),
            state: if self.paused && state == LaneState::Open { LaneState::Paused } else { state },
            in_flight: found.count,
            waiting: named.map(|(work, until)| work.parked(*until, None)).collect(),
            waiting_total,
            last_progress: self.last_progress,
            quiet_since: self.quiet_since,
            oldest: self.oldest(found, now),
        }
    }

    /// How long it has been here is known from when a survey first saw it, or one behind it.
    fn oldest(&mut self, found: Found<'_>, now: Instant) -> Option<Oldest> {
        let Some(Seen { seq, offset, key, stage }) = found.oldest else {
            self.arrivals.clear();
            return None;
        };
        if self.arrivals.back().is_none_or(|(last, _)| *last < found.last) {
            self.arrivals.push_back((found.last, now));
        }
        while self.arrivals.front().is_some_and(|(last, _)| *last < seq) {
            self.arrivals.pop_front();
        }
        let since = self.arrivals.front().map_or(now, |(_, at)| *at);
        Some(Oldest { offset, key: key.map(key_text), stage, since })
    }
}

impl<'a> Found<'a> {
    fn see(&mut self, seen: Seen<'a>) {
        self.count += 1;
        self.last = self.last.max(seen.seq);
        if self.oldest.as_ref().is_none_or(|oldest| seen.seq < oldest.seq) {
            self.oldest = Some(seen);
        }
    }
}

impl<'a> Seen<'a> {
    fn delivery(Delivery { message, token, offset, .. }: &'a Delivery, stage: Stage) -> (Lane, Self) {
        let Token { lane, seq } = *token;
        (lane, Self { seq, offset: *offset, key: message.key.as_ref(), stage })
    }
}

impl Runner {
    /// Takes a survey, if things have changed since the last one and that was not just now.
    pub(super) fn take_survey(&mut self) {
        let now = self.processor.gauge.board.polling_since();
        if self.survey.is_due(now.unwrap_or_else(Instant::now)) {
            self.take_survey_now();
        }
    }

    pub(super) fn take_survey_now(&mut self) {
        let begun = Instant::now();
        let mut survey = std::mem::take(&mut self.survey);
        let mut found: HashMap<Lane, Found<'_>> = HashMap::new();
        for (lane, seen) in self.queued().chain(self.under_way()) {
            found.entry(lane).or_default().see(seen);
        }
        for (work, until) in self.jobs.waiting() {
            let (lane, seen) = Seen::delivery(&work.received.delivery, Stage::Waiting);
            let found = found.entry(lane).or_default();
            found.see(seen);
            found.waiting.push((work, until));
        }
        let shot = |(lane, state)| survey.shot_of(lane, state, found.remove(&lane).unwrap_or_default(), begun);
        let lanes: Vec<LaneShot> = self.lanes.states().filter_map(shot).collect();
        survey.records.retain(|lane, _| lanes.iter().any(|shot| shot.lane == *lane));
        let interval = survey.rest(begun, self.may_begin_more());
        self.survey = survey;
        self.processor.gauge.board.put(Shot { lanes, interval });
    }

    fn queued(&self) -> impl Iterator<Item = (Lane, Seen<'_>)> {
        let queued = self.inbox.deliveries.iter().chain(self.dispatcher.unbegun());
        queued.map(|delivery| Seen::delivery(delivery, Stage::Queued))
    }

    fn under_way(&self) -> impl Iterator<Item = (Lane, Seen<'_>)> {
        self.jobs.under_way().map(|(About { token, offset, key }, stage)| {
            (token.lane, Seen { seq: token.seq, offset: *offset, key: key.as_ref(), stage })
        })
    }
}
