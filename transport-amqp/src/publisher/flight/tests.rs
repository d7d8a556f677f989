//! Against lapin as it is: on a thread of its own it writes in order, completes confirms in any order, and attaches what came
//! back, which RabbitMQ sends in the order published, to whichever it completes next.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_util::io::{AsyncRead, AsyncWrite};
use lapin::message::{BasicReturnMessage, Delivery};
use lapin::{BasicProperties, Confirmation};

use super::{End, Flight, Prepared};
use crate::connection::{Noticed, Wire};
use crate::publisher::publishing::Place;

/// What begins ids that are given once.
const OWN: &str = "own-";

/// Each of so many is returned.
const UNROUTABLE: u64 = 5;

struct Shared<T>(Mutex<(Option<T>, Option<Waker>)>);

impl<T> Shared<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((None, None))))
    }

    fn set(&self, value: T) {
        let waker = {
            let mut inner = self.0.lock().expect("not poisoned");
            inner.0 = Some(value);
            inner.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

/// With what happens right behind each look at it.
struct Promise<T>(Arc<Shared<T>>, Meanwhile);

type Meanwhile = Option<Arc<Mutex<Lapin>>>;

impl<T> Future for Promise<T> {
    type Output = lapin::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.0.0.lock().expect("not poisoned");
        let value = inner.0.take();
        if value.is_none() {
            inner.1 = Some(cx.waker().clone());
        }
        drop(inner);
        if let Some(lapin) = &self.1 {
            lapin.lock().expect("not poisoned").go_on();
        }
        value.map_or(Poll::Pending, |value| Poll::Ready(Ok(value)))
    }
}

impl Place<Promise<Confirmation>> for Promise<Promise<Confirmation>> {
    fn begin(&mut self, _: Prepared) {}

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<lapin::Result<Promise<Confirmation>>> {
        Pin::new(self).poll(cx)
    }
}

/// What lapin knows of a publish.
struct Sent {
    number: u64,
    written: Arc<Shared<Promise<Confirmation>>>,
    confirm: Arc<Shared<Confirmation>>,
    meanwhile: Meanwhile,
}

#[derive(Default)]
struct Asked(AtomicBool);

impl Wake for Asked {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

struct Lapin {
    dice: Dice,
    unwritten: VecDeque<Sent>,
    open: Vec<Sent>,
    returned: VecDeque<BasicReturnMessage>,
}

impl Lapin {
    fn new(seed: u64) -> Self {
        Self { dice: Dice(seed), unwritten: VecDeque::new(), open: Vec::new(), returned: VecDeque::new() }
    }

    fn run(mut self, inbox: &Receiver<Sent>) {
        let (asked, mut stream) = (Arc::new(Asked::default()), Noticed(Wire(0)));
        let waker = Waker::from(asked.clone());
        let cx = &mut Context::from_waker(&waker);
        loop {
            // It reads where something came or it was asked to, and no more often.
            let read = asked.0.swap(false, Ordering::SeqCst);
            if !read && self.unwritten.is_empty() && self.open.is_empty() {
                let Ok(sent) = inbox.recv() else { return };
                self.unwritten.push_back(sent);
            }
            self.unwritten.extend(inbox.try_iter());
            self.write(&mut stream, cx);
            let comes = !self.open.is_empty() && self.dice.below(3) > 0;
            stream.0.0 = usize::from(comes);
            if comes || read {
                while Pin::new(&mut stream).poll_read(cx, &mut [0]).is_ready() {}
            }
            if comes {
                self.tell();
            }
        }
    }

    fn write(&mut self, stream: &mut Noticed<Wire>, cx: &mut Context<'_>) {
        for _ in 0..self.dice.below(self.unwritten.len() + 1) {
            let _ = Pin::new(&mut *stream).poll_write(cx, &[0]);
            self.write_one();
        }
    }

    fn tell(&mut self) {
        for _ in 0..=self.dice.below(self.open.len()) {
            self.confirm_one();
        }
    }

    fn write_one(&mut self) {
        let Some(sent) = self.unwritten.pop_front() else { return };
        if sent.number.is_multiple_of(UNROUTABLE) {
            self.returned.push_back(returned(sent.number));
        }
        sent.written.set(Promise(sent.confirm.clone(), sent.meanwhile.clone()));
        self.open.push(sent);
    }

    fn confirm_one(&mut self) {
        if !self.open.is_empty() {
            let at = self.dice.below(self.open.len());
            let sent = self.open.swap_remove(at);
            sent.confirm.set(Confirmation::Ack(self.returned.pop_front()));
        }
    }

    /// A few steps, or none.
    fn go_on(&mut self) {
        for _ in 0..self.dice.below(6) {
            match self.dice.below(2) {
                0 => self.write_one(),
                _ => self.confirm_one(),
            }
        }
    }
}

fn returned(number: u64) -> BasicReturnMessage {
    let mut delivery = Delivery::mock(0, "topic".into(), "".into(), false, Vec::new());
    delivery.properties = BasicProperties::default().with_message_id(number.to_string().into());
    BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() }
}

struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::SeqCst);
        self.0.unpark();
    }
}

/// Waits until it is woken; fails where it is not.
fn wait(unpark: &Unpark) {
    let until = Instant::now() + Duration::from_secs(20);
    while !unpark.1.swap(false, Ordering::SeqCst) {
        assert!(Instant::now() < until, "nobody woke who waits");
        thread::park_timeout(Duration::from_secs(1));
    }
}

/// Publishes `count` messages, `window` at a time; each ends as it should, in its place.
fn fly(
    window: usize,
    count: u64,
    meanwhile: &Meanwhile,
    mut send: impl FnMut(Sent),
    mut rest: impl FnMut(),
    waker: &Waker,
) {
    let cx = &mut Context::from_waker(waker);
    let mut flight: Flight<Promise<Confirmation>> = Flight::new(window, OWN.to_owned());
    let (mut sent, mut over) = (0, 0);
    while over < count {
        // In bursts, so that it is told of what comes though nobody publishes meanwhile.
        let burst = if flight.len() * 2 <= window { window } else { 0 };
        while flight.len() < burst && sent < count {
            let (written, confirm) = (Shared::new(), Shared::new());
            flight.take_in(sent, 0, Box::new(Promise(written.clone(), meanwhile.clone())));
            send(Sent { number: sent, written, confirm, meanwhile: meanwhile.clone() });
            sent += 1;
        }
        let is = |returned: &BasicReturnMessage, call: u64, _: usize| {
            Some(returned.properties.message_id().as_ref().is_some_and(|id| *id.as_str() == call.to_string()))
        };
        for (call, _, end) in flight.poll(cx, is) {
            assert_eq!(call, over, "in the order published");
            let is_returned = call.is_multiple_of(UNROUTABLE);
            assert!(matches!((&end, is_returned), (End::Returned, true) | (End::Confirmed, false)), "{call}: {end:?}");
            over += 1;
        }
        // Though something has ended just now.
        if over < count && (sent == count || flight.len() * 2 > window) {
            rest();
        }
    }
}

const SEEDS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0x3c6e_f372_fe94_f82a, 0xdaa6_6d2c_7ddf_743f];

#[test]
fn nobody_waits_for_ever() {
    for (window, count) in [(1, 2_000), (2, 4_000), (7, 8_000), (100, 20_000)] {
        for seed in SEEDS {
            let (to_lapin, inbox) = channel();
            let lapin = thread::spawn(move || Lapin::new(seed).run(&inbox));
            let unpark = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
            let send = |sent| to_lapin.send(sent).expect("it runs");
            fly(window, count, &None, send, || wait(&unpark), &unpark.clone().into());
            drop(to_lapin);
            lapin.join().expect("it ends");
        }
    }
}

/// On one thread, lapin going on behind each look at what it has promised.
#[test]
fn what_came_back_is_told_of_its_own_message_whatever_happens_between_two_looks() {
    for (window, count) in [(2, 4_000), (7, 20_000), (30, 20_000)] {
        for seed in SEEDS {
            let lapin = Arc::new(Mutex::new(Lapin::new(seed)));
            let send = |sent| lapin.lock().expect("not poisoned").unwritten.push_back(sent);
            let mut rests = 0;
            let rest = || {
                rests += 1;
                assert!(rests < 100 * count, "nobody ends");
                lapin.lock().expect("not poisoned").go_on();
            };
            fly(window, count, &Some(lapin.clone()), send, rest, Waker::noop());
        }
    }
}

/// What was published before under this id may be what comes back: its call was over, and its message has been given back.
#[test]
fn of_what_may_be_of_an_earlier_call_nothing_is_said_for_sure() {
    for (id, told) in [("7", "Ambiguous"), ("gulo-of-another", "Ambiguous"), ("own-7", "Returned")] {
        let mut flight: Flight<Promise<Confirmation>> = Flight::new(2, OWN.to_owned());
        let mut lapin = Lapin::new(1);
        for number in 0..2 {
            let (written, confirm) = (Shared::new(), Shared::new());
            flight.take_in(number, 0, Box::new(Promise(written.clone(), None)));
            lapin.unwritten.push_back(Sent { number: 3, written, confirm, meanwhile: None });
            lapin.write_one();
        }
        let mut back = returned(0);
        back.delivery.properties = BasicProperties::default().with_message_id(id.into());
        lapin.returned.push_back(back);
        while !lapin.open.is_empty() {
            lapin.confirm_one();
        }
        // The first one's call is forgotten.
        let ended = flight.poll(&mut Context::from_waker(Waker::noop()), |_, call, _| (call > 0).then_some(true));
        let ends: Vec<String> = ended.iter().map(|(.., end)| format!("{end:?}")).collect();
        assert_eq!(ends, ["Confirmed", told], "{id}");
    }
}
