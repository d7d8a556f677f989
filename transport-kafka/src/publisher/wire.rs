//! The producer and the thread that serves it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gulo_bus_core::message::Message;
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::{Notify, oneshot, watch};

use super::attendance::Attendance;
use super::receipt::{Receipts, Ticket};
use crate::config::KafkaConfig;
use crate::context::{Observer, lock};
use crate::convert::{to_millis, to_native};
use crate::error::of_call;
use crate::native::{Alarm, Parts, Topic};
use crate::token::Login;

/// How long the thread sleeps where nothing happens, and so how long it may take to see that it is over.
const NAP: Duration = Duration::from_millis(50);

/// The same while a publish waits for room in the local queue.
const SHORT_NAP: Duration = Duration::from_millis(1);

/// librdkafka says when a connection breaks and not when there is one again. While nothing else tells, the broker is
/// asked for something small, this often and for this long.
const PROBE: Duration = Duration::from_secs(1);

/// How far a publisher is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    /// Takes nothing more; what is under way may finish.
    Closing,
    /// What is under way now is given up.
    Gone,
}

/// What publishes and delivery reports share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) receipts: Receipts,
    /// Told when the local queue has room again.
    pub(super) room: Notify,
    pub(super) phase: watch::Sender<Phase>,
    /// How many publishes wait for room.
    pub(super) waiting: AtomicUsize,
    /// Some topic that was published to.
    pub(super) topic: Mutex<Option<Arc<str>>>,
    pub(super) attendance: Attendance,
    /// A callback has run: a poll that ran none has found the queue empty.
    served: AtomicBool,
    /// A message was confirmed by the poll that is under way.
    confirmed: AtomicBool,
    observer: Observer,
}

impl Desk {
    pub(super) fn new(observer: Observer) -> Self {
        let (receipts, room, phase) = (Receipts::new(), Notify::new(), watch::Sender::new(Phase::Open));
        Self {
            receipts,
            room,
            phase,
            waiting: AtomicUsize::new(0),
            topic: Mutex::default(),
            attendance: Attendance::default(),
            served: AtomicBool::new(false),
            confirmed: AtomicBool::new(false),
            observer,
        }
    }

    fn note_call(&self) {
        self.served.store(true, Relaxed);
    }

    /// The broker answers. Only one thread polls at a time, and what a poll hears of it stands in one event, so that once is enough.
    fn note_confirmed(&self) {
        if self.confirmed.load(Relaxed) {
            return;
        }
        self.confirmed.store(true, Relaxed);
        self.observer.answered();
    }

    pub(super) fn is_open(&self) -> bool {
        *self.phase.borrow() == Phase::Open
    }

    /// Closes further, never opens again.
    pub(super) fn close_to(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let further = *phase < to;
            *phase = to.max(*phase);
            further
        });
    }

    /// Why the broker cannot be reached, where that is so.
    pub(super) fn cause(&self) -> Option<(Code, String)> {
        self.observer.health.cause()
    }
}

/// The context of the producer.
pub(crate) struct Sending(Arc<Desk>);

impl ClientContext for Sending {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.0.note_call();
        self.0.observer.log(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.note_call();
        self.0.observer.error(&error, reason);
    }

    fn stats_raw(&self, _statistics: &[u8]) {
        self.0.note_call();
    }
}

impl ProducerContext for Sending {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let failure = match result {
            Ok(_) => None,
            Err((error, _)) => Some(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        self.0.note_call();
        if failure.is_none() {
            self.0.note_confirmed();
        }
        // The room of this message is free only when all reports of its event have been gone through: the thread tells of it.
        self.0.receipts.report(Ticket::unpack(ticket), failure);
    }
}

pub(super) fn send(to: &Topic<'_, Sending>, message: &Message, ticket: Ticket) -> Result<(), Code> {
    to.send(Parts {
        partition: message.send.partition.map(|number| number as i32),
        payload: message.payload.as_deref(),
        key: message.key.as_deref(),
        timestamp: message.timestamp.and_then(to_millis),
        headers: to_native(&message.headers)?,
        opaque: ticket.pack(),
    })
}

/// The producer. Its thread is the last to let go of it: dropping it waits for librdkafka.
pub(crate) struct Wire {
    /// Wakes the thread. Before the producer, for that is the order of their drops.
    alarm: Mutex<Option<Alarm>>,
    /// Who serves reports has it.
    turn: Mutex<()>,
    pub(crate) producer: BaseProducer<Sending>,
}

impl Wire {
    /// Makes the producer and begins to serve it. The receiver hears when it is gone.
    pub(super) async fn open(
        settings: ClientConfig,
        config: &KafkaConfig,
        desk: Arc<Desk>,
        mut login: Login,
    ) -> Result<(Arc<Self>, oneshot::Receiver<()>)> {
        let context = Sending(desk.clone());
        let made = tokio::task::spawn_blocking(move || settings.create_with_context(context)).await;
        let made = made.map_err(|error| Error::new(ErrorKind::Other, "no Kafka producer").source(error))?;
        let producer = made.map_err(|error| of_call("the producer", &error, &config.secrets()))?;
        let wire = Arc::new(Self { alarm: Mutex::default(), turn: Mutex::default(), producer });
        let (ended, wait) = oneshot::channel();
        let (serving, publish_timeout) = (wire.clone(), config.publish_timeout);
        let serve = move || {
            desk.attendance.is_served_by(thread::current());
            let ringing = desk.clone();
            *lock(&serving.alarm) = Alarm::set(&serving.producer, move || ringing.attendance.alarm());
            serving.serve(&desk, publish_timeout, &mut login);
            // Rings no more, before the producer goes.
            lock(&serving.alarm).take();
            // Purges what is left, which reports it.
            drop(serving);
            // Nobody listens where the publisher was dropped.
            let _ = ended.send(());
        };
        let spawned = thread::Builder::new().name("gulo-kafka-publisher".into()).spawn(serve);
        spawned.map_err(|error| {
            Error::new(ErrorKind::Other, "no thread for the Kafka publisher")
                .help("the system gives this process no more threads")
                .source(error)
        })?;
        Ok((wire, wait))
    }

    /// The topic of `message`, which most of a batch have in common.
    pub(super) fn topic<'t, 'w>(
        &'w self,
        last: &'t mut Option<Topic<'w, Sending>>,
        message: &Message,
    ) -> Result<&'t Topic<'w, Sending>, Code> {
        Ok(match last {
            Some(topic) => topic,
            None => last.insert(Topic::of(&self.producer, &message.topic)?),
        })
    }

    /// Serves delivery reports until nobody publishes any more. What was handed over before a publisher was dropped has
    /// its time-out; where it was closed, `close` has waited already.
    fn serve(self: &Arc<Self>, desk: &Desk, publish_timeout: Duration, login: &mut Login) {
        let mut next_probe = Instant::now();
        while desk.is_open() {
            login.renew(self.producer.client());
            self.poll(desk);
            desk.observer.step(self.producer.client());
            if desk.observer.health.is_down() && !desk.receipts.are_open() && next_probe <= Instant::now() {
                next_probe = Instant::now() + PROBE;
                self.probe(desk);
            }
        }
        let until = Instant::now() + publish_timeout + NAP;
        let under_way = || self.is_held() || desk.receipts.are_open();
        while *desk.phase.borrow() == Phase::Closing && under_way() && Instant::now() < until {
            login.renew(self.producer.client());
            self.poll(desk);
            desk.observer.step(self.producer.client());
        }
        while self.is_held() {
            self.poll(desk);
        }
    }

    /// A publisher that has nothing to send would not learn that the broker is back.
    fn probe(&self, desk: &Desk) {
        let topic = lock(&desk.topic).clone();
        if self.producer.client().fetch_metadata(topic.as_deref(), PROBE).is_ok() {
            desk.observer.answered();
        }
    }

    /// Whether a publisher or a publish still has it.
    fn is_held(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    fn poll(&self, desk: &Desk) {
        // rdkafka's own poll with a time-out spins through the last millisecond of it.
        thread::park_timeout(if desk.waiting.load(Relaxed) > 0 { SHORT_NAP } else { NAP });
        let _turn = lock(&self.turn);
        while self.serve_one(desk) {}
    }

    /// What has been reported by now, unless somebody is about it.
    pub(super) fn serve_some(&self, desk: &Desk) {
        if let Ok(_turn) = self.turn.try_lock() {
            self.serve_one(desk);
        }
    }

    /// Serves one event, all reports in it; whether there was one.
    fn serve_one(&self, desk: &Desk) -> bool {
        desk.served.store(false, Relaxed);
        desk.confirmed.store(false, Relaxed);
        self.producer.poll(Duration::ZERO);
        desk.room.notify_waiters();
        desk.served.load(Relaxed)
    }
}
