//! The task of a publisher.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use gulo_bus_core::Result;
use gulo_bus_core::transport::{Outcome, Status};
use lapin::types::ShortString;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use uuid::Uuid;

use super::batch::Batches;
use super::flight::{End, Ended, Flight};
use super::passage::{FIRST_REST, Passage};
use super::prepare::prepare;
use super::publishing::Prepared;
use super::topics::{Answer, Course, KnownTopics};
use super::words::{ambiguous, late, no_way, nobody_reads, not_taken};
use super::{Call, Phase, closed};
use crate::config::AmqpConfig;
use crate::connection::Link;
use crate::convert::{self, OWN_ID};
use crate::delay;
use crate::error;
use crate::names;

/// Calls that are being worked on; more wait in the queue of the publisher.
const AT_ONCE: usize = 1024;

/// Most that is sent in a round, and rounds before others on this thread have their turn.
const ROUND: usize = 256;
const ROUNDS: usize = 8;

/// Digits.
const LONGEST_NUMBER: usize = 20;

/// Whether a topic is there.
type Asking = BoxFuture<'static, Result<Answer>>;

pub(super) struct Work {
    link: Arc<Link>,
    config: Arc<AmqpConfig>,
    calls: mpsc::Receiver<Call>,
    phase: watch::Sender<Phase>,
    status: watch::Receiver<Status>,
    passage: Passage,
    topics: KnownTopics,
    asking: Option<Asking>,
    batches: Batches,
    flight: Flight,
    timer: Pin<Box<Sleep>>,
    /// What begins the ids of messages that have none.
    id: String,
}

impl Work {
    /// With a channel that is open.
    pub(super) async fn open(
        link: &Arc<Link>,
        config: &Arc<AmqpConfig>,
        calls: mpsc::Receiver<Call>,
        phase: watch::Sender<Phase>,
    ) -> Result<Self> {
        let passage = Passage::open(link.clone()).await?;
        let id = format!("{OWN_ID}{}-", Uuid::now_v7().simple());
        Ok(Self {
            status: link.watch(),
            link: link.clone(),
            config: config.clone(),
            calls,
            phase,
            passage,
            topics: KnownTopics::default(),
            asking: None,
            batches: Batches::default(),
            flight: Flight::new(config.publish_window, id.clone()),
            timer: Box::pin(sleep_until(Instant::now())),
            id,
        })
    }

    pub(super) async fn run(mut self) {
        let (mut phase, mut status) = (self.phase.subscribe(), self.status.clone());
        for round in 1_usize.. {
            let now = *phase.borrow_and_update();
            let over = tokio::select! {
                biased;
                over = poll_fn(|cx| self.poll(cx, now)) => over,
                // What is new is looked at by the next poll.
                _ = phase.changed() => false,
                Ok(()) = status.changed() => false,
            };
            if over {
                break;
            }
            // Each time, it would cost who publishes one by one as much as the message.
            if round.is_multiple_of(ROUNDS) {
                tokio::task::yield_now().await;
            }
        }
        // Whoever waits for room or in the queue is told that there will be none.
        self.calls.close();
        // Not `try_recv`: who has been given room and is about to use it would wait for ever.
        while let Some(call) = self.calls.recv().await {
            self.batches.take_in(call);
        }
        self.batches.expire(None, |call, index| self.flight.holds(call, index), closed);
        self.phase.send_replace(Phase::Done);
    }

    /// Ready with `true` when all is finished, with `false` when there is more to do at once.
    fn poll(&mut self, cx: &mut Context<'_>, phase: Phase) -> Poll<bool> {
        if phase == Phase::Done {
            return Poll::Ready(true);
        }
        let others = self.take_in(cx);
        if self.passage.poll(cx) {
            self.topics = KnownTopics::default();
        }
        self.poll_asking(cx);
        let mut more = self.send(cx);
        // Behind it: who is first in line must be polled to be heard of.
        let over = self.poll_flight(cx) | self.poll_timer(cx);
        // What is over makes room for what waits, and may be the end of the channel: nobody is woken for either.
        more |= over && (others || self.batches.next().is_some() || !self.passage.is_open());
        let idle = self.batches.is_empty();
        if phase == Phase::Closing && idle && self.calls.is_empty() {
            return Poll::Ready(true);
        }
        if more { Poll::Ready(false) } else { Poll::Pending }
    }

    /// `true` where there may be others for which there is no room.
    fn take_in(&mut self, cx: &mut Context<'_>) -> bool {
        while self.batches.len() < AT_ONCE {
            let Poll::Ready(Some(call)) = self.calls.poll_recv(cx) else { return false };
            self.batches.take_in(call);
        }
        true
    }

    fn poll_asking(&mut self, cx: &mut Context<'_>) {
        let Some(asking) = &mut self.asking else { return };
        if let Poll::Ready(answer) = asking.as_mut().poll(cx) {
            self.asking = None;
            match answer {
                Ok(answer) => {
                    // It does answer.
                    self.passage.trouble = None;
                    self.topics.note(answer);
                }
                Err(trouble) => self.passage.trouble = Some(trouble),
            }
        }
    }

    fn poll_flight(&mut self, cx: &mut Context<'_>) -> bool {
        let (batches, id) = (&mut self.batches, &self.id);
        let ended = self.flight.poll(cx, |returned, call, index| {
            let message = batches.message(call, index)?;
            let ours = returned.properties.message_id().as_ref().map_or("", ShortString::as_str);
            let is_its = match convert::id_of(message) {
                Some(its) => ours == its,
                None => ours == own_id(id, call, index),
            };
            Some(delay::went_by(message, returned.delivery.exchange.as_str()) && is_its)
        });
        let any = !ended.is_empty();
        let refused = self.refused(&ended);
        ended.into_iter().for_each(|ended| self.end(ended, refused));
        any
    }

    /// Which message the broker did not take when it ended the channel over an exchange. It names the exchange alone: what had
    /// been published to it before may have arrived, without a confirm by then. Of the last one that is sure.
    fn refused(&mut self, ended: &[Ended]) -> Option<(u64, usize)> {
        let exchange = ended.iter().find_map(|(.., end)| match end {
            End::Failed(failure) => error::exchange_named(failure),
            _ => None,
        })?;
        let all: Vec<_> = ended.iter().map(|(call, index, _)| (*call, *index)).chain(self.flight.places()).collect();
        let goes_there = |(call, index): &(u64, usize)| {
            let message = self.batches.message(*call, *index);
            // What is for later has gone elsewhere.
            message.is_some_and(|message| *message.topic == *exchange && message.send.deliver_at.is_none())
        };
        all.into_iter().rev().find(goes_there)
    }

    fn end(&mut self, (call, index, end): Ended, refused: Option<(u64, usize)>) {
        if let End::Confirmed = end {
            return self.batches.confirm(call);
        }
        let Some(message) = self.batches.message(call, index) else { return };
        let (topic, course, was_for_later) =
            (message.topic.clone(), Course::of(message), message.send.deliver_at.is_some());
        let (outcome, error) = match end {
            End::Confirmed => return,
            End::Returned if was_for_later => {
                // Though its time may have come since, and it would go straight now.
                self.topics.doubt_delays();
                (Outcome::Refused, if course == Course::Delayed { no_way(&topic) } else { nobody_reads(&topic) })
            }
            End::Returned => (Outcome::Refused, nobody_reads(&topic)),
            End::Nacked => (Outcome::Unknown, not_taken(&topic)),
            End::Ambiguous => (Outcome::Unknown, ambiguous(&topic)),
            End::Failed(failure) => {
                self.link.lost(&failure);
                let told = self.link.told(&failure);
                if error::exchange_named(&failure) == Some(&*topic) {
                    let told = told.context(format_args!("topic {}", names::shown(&topic)));
                    self.topics.refuse(topic, error::again(&told));
                    let is_sure = refused == Some((call, index));
                    (if is_sure { Outcome::Refused } else { Outcome::Unknown }, told)
                } else {
                    (Outcome::Unknown, told.context("not confirmed when the connection was lost"))
                }
            }
        };
        self.batches.fail(call, index, outcome, error);
    }

    /// Sends what there is room for; `true` where there is more.
    fn send(&mut self, cx: &mut Context<'_>) -> bool {
        // What is written to a blocked connection lies in lapin's memory, without bound.
        if matches!(*self.status.borrow(), Status::Blocked { .. }) {
            return false;
        }
        for _ in 0..ROUND {
            if self.flight.len() >= self.config.publish_window || self.asking.is_some() {
                return false;
            }
            let Some(way) = self.passage.way() else { return false };
            let Some((call, index, messages)) = self.batches.next() else { return false };
            let message = &messages[index];
            let course = Course::of(message);
            match self.topics.get(&message.topic, course) {
                Some(Ok(())) => {}
                Some(Err(refused)) => {
                    self.batches.fail_next(call, index, Outcome::Refused, refused);
                    continue;
                }
                None => {
                    let asking = self.topics.ask(&self.link, &self.config, &message.topic, course);
                    let again = self.passage.trouble.is_some();
                    self.asking = Some(Box::pin(async move {
                        if again {
                            sleep(FIRST_REST).await;
                        }
                        asking.await
                    }));
                    self.poll_asking(cx);
                    continue;
                }
            }
            match prepare(&self.config, message, || own_id(&self.id, call, index), way.largest_header) {
                Ok((exchange, key, properties)) => {
                    let (channel, messages) = (way.channel.clone(), messages.clone());
                    self.flight.push(call, Prepared { channel, exchange, key, properties, messages, index });
                    self.batches.sent();
                }
                Err(refused) => self.batches.fail_next(call, index, Outcome::Refused, refused),
            }
        }
        true
    }

    /// `true` where the time of a call was over.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some(deadline) = self.batches.deadline() {
            // One that is set for a call which has been answered since will do: each call would set it anew.
            if self.timer.is_elapsed() || self.timer.deadline() > deadline {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return any;
            }
            let now = Instant::now();
            if now < deadline {
                continue;
            }
            any = true;
            let (flight, status) = (&self.flight, self.status.borrow().clone());
            let why = || late(&self.config, &status, self.passage.trouble.as_ref());
            self.batches.expire(Some(now), |call, index| flight.holds(call, index), why);
        }
        any
    }
}

fn own_id(prefix: &str, call: u64, index: usize) -> String {
    let mut numbers = itoa::Buffer::new();
    let mut id = String::with_capacity(prefix.len() + 2 * LONGEST_NUMBER + 1);
    id.push_str(prefix);
    id.push_str(numbers.format(call));
    id.push('-');
    id.push_str(numbers.format(index));
    id
}
