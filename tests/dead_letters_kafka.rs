//! Dead letters on a real broker: written by a bus, read from their topic, sent back to the group that failed.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use gulo::dead_letter as dlq;
use gulo::dead_letters::{Convention, DeadLetters, Filter, Letter, Reason, Republish};
use gulo::message::{Message, Origin};
use gulo::prelude::*;
use gulo::transport::{Position, TopicSpec, Topology, TopologyMode, Transport};
use libtest_mimic::{Arguments, Trial};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use uuid::Uuid;

const TOPIC: &str = "gulo-test-letters";
const DLQ: &str = "gulo-test-letters.dlq";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Paid {
    run: String,
    order: u32,
    step: u32,
}

impl IntegrationEvent for Paid {
    const TYPE: &'static str = "test.paid";
    const TOPIC: Option<&'static str> = Some(TOPIC);

    fn key(&self) -> Option<String> {
        Some(format!("{} {}", self.run, self.order))
    }
}

/// What the handlers of one run share: other runs use the same topics.
#[derive(Clone)]
struct Desk {
    run: String,
    broken: Arc<AtomicBool>,
    handled: Arc<Mutex<BTreeMap<&'static str, Steps>>>,
}

/// Order and step.
type Steps = Vec<(u32, u32)>;

impl Desk {
    fn new() -> Self {
        Self { run: Uuid::now_v7().to_string(), broken: Arc::new(AtomicBool::new(true)), handled: Arc::default() }
    }

    fn group(&self, name: &str) -> String {
        format!("gulo-test-{name}-{}", self.run)
    }

    fn note(&self, group: &'static str, paid: &Paid) {
        self.handled.lock().expect("whole").entry(group).or_default().push((paid.order, paid.step));
    }

    fn handled(&self, group: &'static str) -> Steps {
        self.handled.lock().expect("whole").get(group).cloned().unwrap_or_default()
    }

    async fn until(&self, group: &'static str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.handled(group).len() < count {
            assert!(Instant::now() < deadline, "{group}: {:?} of {count} in time", self.handled(group));
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn bus(&self, transport: &Arc<dyn Transport>) -> Bus {
        let billing = Subscription::group(self.group("billing"))
            .dead_letter(DeadLetter::topic_named(|_, _| DLQ.into()))
            .on(billing);
        let ledger = Subscription::group(self.group("ledger")).on(ledger);
        let bus =
            Bus::builder("test").shared_transport(Arc::clone(transport)).topic(TOPIC, |topic| topic.partitions(3));
        bus.subscribe(billing).subscribe(ledger).state(self.clone()).start().await.expect("starts")
    }
}

async fn billing(Event(paid): Event<Paid>, State(desk): State<Desk>) -> Result<(), HandlerError> {
    if paid.run != desk.run {
        return Ok(());
    }
    if desk.broken.load(SeqCst) {
        return Err(HandlerError::new("no such account").permanent());
    }
    desk.note("billing", &paid);
    Ok(())
}

async fn ledger(Event(paid): Event<Paid>, State(desk): State<Desk>) {
    if paid.run == desk.run {
        desk.note("ledger", &paid);
    }
}

fn transport(address: &str) -> Arc<dyn Transport> {
    Arc::new(KafkaTransport::new(KafkaConfig::new(address)))
}

async fn read(transport: &Arc<dyn Transport>, since: SystemTime, filter: Filter) -> Vec<Letter> {
    let reader = DeadLetters::new(Arc::clone(transport)).start(Position::At(since));
    let mut letters = reader.open(DLQ).await.expect("opens");
    letters.filter(filter);
    let read = letters.read_all(1000).await.expect("reads");
    assert_eq!(letters.cut_short(), [], "the end was found, not waited for");
    letters.close().await.expect("closes");
    read
}

/// Of the six events of two orders all die in one group; they are read, sent back, and handled by it in order.
async fn sent_back(address: &str) -> (Desk, Bus) {
    let (desk, transport, since) = (Desk::new(), transport(address), SystemTime::now() - Duration::from_secs(60));
    let bus = desk.bus(&transport).await;
    let events = (0..6).map(|n| Paid { run: desk.run.clone(), order: n % 2, step: n / 2 });
    bus.publish_all(events).await.expect("confirmed");
    desk.until("ledger", 6).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while bus.health().subscriptions.iter().map(|group| group.counts.dead_lettered).sum::<u64>() < 6 {
        assert!(Instant::now() < deadline, "six letters in time");
        sleep(Duration::from_millis(20)).await;
    }

    let filter = Filter::new().group(desk.group("billing")).reason(Reason::Permanent).error("ACCOUNT");
    let letters = read(&transport, since, filter).await;
    assert_eq!(letters.len(), 6);
    for letter in &letters {
        let paid: Paid = letter.json().expect("an event");
        assert_eq!((letter.convention, letter.attempts, paid.run.as_str()), (Convention::Gulo, Some(1), &*desk.run));
        assert_eq!(letter.key_text().as_deref(), Some(&*format!("{} {}", desk.run, paid.order)));
        assert_eq!(letter.origin.topic.as_deref(), Some(TOPIC));
        assert!(letter.origin.partition.is_some() && letter.origin.offset.is_some() && letter.stands.offset.is_some());
        assert_eq!(letter.event_type(), Some("test.paid"));
    }

    desk.broken.store(false, SeqCst);
    let republish = Republish::new(Arc::clone(&transport)).only_to([TOPIC]).per_second(200);
    let report = republish.send(letters).await.expect("sent");
    assert!(report.is_complete() && report.sent.len() == 6, "{report}");
    desk.until("billing", 6).await;
    (desk, bus)
}

async fn letters_of_a_bus_are_read_and_handled_once_by_the_group_that_failed_and_by_no_other(address: &str) {
    let (desk, bus) = sent_back(address).await;
    sleep(Duration::from_secs(2)).await;
    bus.shutdown(Duration::from_secs(20)).await.expect("clean");
    let of = |order| desk.handled("billing").into_iter().filter(|paid| paid.0 == order).collect::<Vec<_>>();
    for order in [0, 1] {
        assert_eq!(of(order), [(order, 0), (order, 1), (order, 2)], "each once, in the order of the letters");
    }
    assert_eq!(desk.handled("ledger").len(), 6, "the group that had handled them passed them over");
}

/// A topic whose last places are marks of transactions has an end that nothing is ever delivered of.
async fn a_topic_that_ends_in_marks_of_a_transaction_is_read_to_its_end(address: &str) {
    let (transport, topic) = (transport(address), "gulo-test-letters-transactional");
    let topics = vec![TopicSpec { partitions: Some(1), ..TopicSpec::new(topic) }];
    let topology = Topology { mode: TopologyMode::Create, topics, groups: Vec::new() };
    transport.ensure(&topology).await.expect("made");
    let run = Uuid::now_v7().to_string();
    let mut transaction = transport.transaction(&format!("gulo-test-{run}")).await.expect("opens");
    transaction.publish(vec![Message::new(topic, "x").key(run.clone())]).await.expect("published");
    transaction.commit().await.expect("committed");

    let reader = DeadLetters::new(Arc::clone(&transport)).patience(Duration::from_secs(3));
    let mut letters = reader.open(topic).await.expect("opens");
    letters.filter(Filter::new().key(run.clone()));
    let read = letters.read_all(10).await.expect("reads");
    assert_eq!((read.len(), read[0].convention, &read[0].origin.topic), (1, Convention::Unknown, &None));
    assert_eq!(letters.cut_short().len(), 1, "it says that it gave up");
}

async fn a_topic_that_does_not_exist_is_an_error_and_is_not_made(address: &str) {
    let topic = format!("gulo-test-none-{}", Uuid::now_v7());
    for _ in 0..2 {
        let error = DeadLetters::new(transport(address)).open(topic.clone()).await.expect_err("missing");
        assert_eq!(error.kind(), gulo::ErrorKind::Missing, "{error}");
    }
}

/// Anybody may write a name into a header that the broker, or its client, does not like.
async fn letters_of_topics_that_cannot_be_are_refused_one_by_one(address: &str) {
    let transport = transport(address);
    let topics = vec![TopicSpec::new(TOPIC)];
    transport.ensure(&Topology { mode: TopologyMode::Create, topics, groups: Vec::new() }).await.expect("made");
    let long = "x".repeat(1000);
    let names = [TOPIC, "gulo-test-none", "a\0b", "a\nb", "..", "^gulo.*", &long];
    let letter = |name: &&str| {
        let message = Message::new(DLQ, "x").header(dlq::ORIGIN_TOPIC, (*name).to_owned());
        let message = message.header(dlq::ORIGIN_GROUP, "billing");
        Letter::read(message, Origin { topic: DLQ.into(), partition: Some(0), offset: Some(0) })
    };
    let letters: Vec<Letter> = names.iter().map(letter).collect();
    let run = Republish::new(Arc::clone(&transport)).dry_run(&letters).await.expect("the broker answers");
    assert_eq!((run.planned.len(), run.refused.len()), (1, names.len() - 1), "{run}");
}

fn on_one_thread(body: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(body);
}

type Case = (&'static str, fn(&str));

macro_rules! case {
    ($name:ident) => {
        (stringify!($name), |address| on_one_thread($name(address)))
    };
}

const CASES: &[Case] = &[
    case!(letters_of_a_bus_are_read_and_handled_once_by_the_group_that_failed_and_by_no_other),
    case!(a_topic_that_ends_in_marks_of_a_transaction_is_read_to_its_end),
    case!(a_topic_that_does_not_exist_is_an_error_and_is_not_made),
    case!(letters_of_topics_that_cannot_be_are_refused_one_by_one),
];

/// A harness of its own, so that a run without a broker is shown as ignored, with the reason, and never as passed.
fn main() -> ExitCode {
    let address = std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_else(|_| "127.0.0.1:9092".into());
    let first = address.split(',').next().unwrap_or_default().to_owned();
    let required = std::env::var("GULO_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name.trim() == "kafka"));
    let absent = TcpStream::connect(&first).is_err();
    let kind = if absent { format!("no Kafka answers at {first}") } else { format!("kafka at {first}") };
    let trial = |(name, body): &Case| {
        let (body, address, why) = (*body, address.clone(), kind.clone());
        let run = move || {
            if absent {
                return Err(format!("GULO_REQUIRE names kafka: {why}").into());
            }
            body(&address);
            Ok(())
        };
        Trial::test(*name, run).with_kind(kind.clone()).with_ignored_flag(absent && !required)
    };
    libtest_mimic::run(&Arguments::from_args(), CASES.iter().map(trial).collect()).exit_code()
}
