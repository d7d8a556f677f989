//! Letters sent back: what is on them, where they go, how fast, and what is not sent.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::dead_letter as dlq;
use gulo_bus_core::message::{Message, Origin};
use gulo_bus_core::transport::{
    Capabilities, Outcome, Publisher, Source, Status, SubscribeSpec, TopicSpec, Topology, TopologyMode, Transaction,
    Transport, Unsent,
};
use gulo_bus_core::{Error, ErrorKind, Result};
use gulo_dead_letters::{Letter, Refusal, Republish, provenance};
use gulo_transport_memory::{MemoryConfig, MemoryTransport};
use tokio::time::Instant;

/// The memory transport, which notes when how many were published.
#[derive(Clone)]
struct Noted {
    inner: MemoryTransport,
    published: Arc<Mutex<Vec<(Instant, usize)>>>,
}

impl Noted {
    async fn with(config: MemoryConfig) -> Self {
        let inner = MemoryTransport::with(config.partitions(1));
        let topics = ["orders", "users", "orders.billing.dlq"].map(TopicSpec::new).to_vec();
        inner.ensure(&Topology { mode: TopologyMode::Create, topics, groups: Vec::new() }).await.unwrap();
        Self { inner, published: Arc::default() }
    }

    async fn new() -> Self {
        Self::with(MemoryConfig::new()).await
    }

    fn republish(&self) -> Republish {
        Republish::new(Arc::new(self.clone()))
    }

    fn messages(&self, topic: &str) -> Vec<Message> {
        self.inner.faults().messages(topic)
    }

    fn payloads(&self, topic: &str) -> Vec<String> {
        let text = |message: Message| String::from_utf8(message.payload.unwrap().to_vec()).unwrap();
        self.messages(topic).into_iter().map(text).collect()
    }
}

#[async_trait]
impl Transport for Noted {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn status(&self) -> Status {
        self.inner.status()
    }

    async fn ensure(&self, topology: &Topology) -> Result<()> {
        assert_eq!(topology.mode, TopologyMode::Check, "nothing is ever made");
        if topology.topics.iter().any(|topic| &*topic.name == "locked") {
            return Err(Error::new(ErrorKind::Refused, "no right to `locked`"));
        }
        self.inner.ensure(topology).await
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(NotedPublisher(self.inner.publisher().await?, self.clone())))
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        self.inner.subscribe(spec).await
    }

    async fn transaction(&self, id: &str) -> Result<Box<dyn Transaction>> {
        self.inner.transaction(id).await
    }
}

struct NotedPublisher(Arc<dyn Publisher>, Noted);

#[async_trait]
impl Publisher for NotedPublisher {
    async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        self.1.published.lock().unwrap().push((Instant::now(), batch.len()));
        self.0.publish(batch).await
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        self.0.close(deadline).await
    }
}

/// Letter number `n` of topic `orders` and group `billing`.
fn letter(n: u32) -> Letter {
    change(n, |message| message)
}

fn change(n: u32, change: impl FnOnce(Message) -> Message) -> Letter {
    let message = Message::new("orders.billing.dlq", n.to_string())
        .key("7")
        .header("mine", "1")
        .header(dlq::REASON, "permanent")
        .header(dlq::ORIGIN_TOPIC, "orders")
        .header(dlq::ORIGIN_PARTITION, "3")
        .header(dlq::ORIGIN_GROUP, "billing");
    let stands = Origin { topic: "orders.billing.dlq".into(), partition: Some(0), offset: Some(n.into()) };
    Letter::read(change(message), stands)
}

fn without(n: u32, name: &str) -> Letter {
    change(n, |mut message| {
        message.headers.remove(name);
        message
    })
}

fn from(n: u32, topic: &'static str) -> Letter {
    change(n, |mut message| {
        message.headers.set(dlq::ORIGIN_TOPIC, topic);
        message
    })
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.get_str(name)
}

#[tokio::test(start_paused = true)]
async fn a_letter_goes_to_its_origin_as_it_was_and_says_that_it_was_sent_back() {
    let noted = Noted::new().await;
    let report = noted.republish().send([letter(4)]).await.unwrap();
    assert!(report.is_complete());
    assert_eq!((report.sent[0].letter.offset, &*report.sent[0].to), (Some(4), "orders"));
    let [message] = &noted.messages("orders")[..] else { panic!("one message") };
    assert_eq!((message.key.as_deref(), message.payload.as_deref()), (Some(&b"7"[..]), Some(&b"4"[..])));
    let names: Vec<_> = message.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["mine", provenance::FROM, provenance::AT, provenance::FOR, provenance::REPLAYS]);
    assert_eq!(header(message, provenance::FROM), Some("orders.billing.dlq[0]@4"));
    assert_eq!((header(message, provenance::FOR), header(message, provenance::REPLAYS)), (Some("billing"), Some("1")));
    let at = chrono::DateTime::parse_from_rfc3339(header(message, provenance::AT).unwrap()).unwrap().to_utc();
    assert!((chrono::Utc::now() - at).num_seconds() < 60);
    assert_eq!(noted.messages("orders.billing.dlq").len(), 0, "nothing is written elsewhere");
}

#[tokio::test(start_paused = true)]
async fn it_counts_how_often_and_a_tombstone_and_no_key_stay_what_they_are() {
    let noted = Noted::new().await;
    let again = change(0, |message| message.header(provenance::REPLAYS, "4294967295").header(provenance::FOR, "x"));
    let twice = change(1, |message| {
        let message = message.header(provenance::REPLAYS, "1");
        Message { key: None, payload: None, ..message }
    });
    assert!(noted.republish().send([again, twice]).await.unwrap().is_complete());
    let messages = noted.messages("orders");
    assert_eq!(header(&messages[0], provenance::REPLAYS), Some("4294967295"), "as far as one can count");
    assert_eq!(messages[0].headers.get_all(provenance::FOR).collect::<Vec<_>>(), [Some(&b"billing"[..])]);
    assert_eq!(header(&messages[1], provenance::REPLAYS), Some("2"));
    assert_eq!((&messages[1].key, &messages[1].payload), (&None, &None));
}

#[tokio::test(start_paused = true)]
async fn it_is_for_the_group_that_failed_or_another_or_all() {
    let noted = Noted::new().await;
    assert!(noted.republish().for_group("repair").send([letter(0)]).await.unwrap().is_complete());
    let silent = || without(1, dlq::ORIGIN_GROUP);
    assert!(noted.republish().to_all_groups().send([silent()]).await.unwrap().is_complete());
    let messages = noted.messages("orders");
    assert_eq!((header(&messages[0], provenance::FOR), header(&messages[1], provenance::FOR)), (Some("repair"), None));

    let report = noted.republish().send([silent()]).await.unwrap();
    assert_eq!((report.refused[0].refusal.clone(), report.sent.len()), (Refusal::NoGroup, 0));
    assert!(report.to_string().contains("orders.billing.dlq[0]@1 refused: it does not say which group failed"));
}

#[tokio::test(start_paused = true)]
async fn what_a_letter_says_of_its_origin_is_not_trusted() {
    let noted = Noted::new().await;
    let letters = || {
        let lost = without(1, dlq::ORIGIN_TOPIC);
        [letter(0), lost, from(2, "users"), from(3, "secrets"), from(4, "orders.billing.dlq"), from(5, "a\nb")]
    };
    let refusals = |refused: &[gulo_dead_letters::Refused]| -> Vec<(Option<i64>, Refusal)> {
        refused.iter().map(|refused| (refused.letter.offset, refused.refusal.clone())).collect()
    };
    let report = noted.republish().only_to(["orders"]).send(letters()).await.unwrap();
    let not = |topic: &str| Refusal::NotAllowed(topic.into());
    let (lost, dlq) = (Refusal::NoOrigin, not("orders.billing.dlq"));
    let expected =
        [(Some(1), lost), (Some(2), not("users")), (Some(3), not("secrets")), (Some(4), dlq), (Some(5), not("a\nb"))];
    assert_eq!((refusals(&report.refused), report.sent.len()), (expected.to_vec(), 1));
    assert_eq!(report.to_string().lines().count(), 6, "control characters are not shown");

    let report = noted.republish().send(letters()).await.unwrap();
    let missing = |topic: &str| Refusal::NoSuchTopic(topic.into());
    let expected = [(Some(1), Refusal::NoOrigin), (Some(3), missing("secrets")), (Some(4), Refusal::Itself)];
    assert_eq!(refusals(&report.refused)[..3], expected);
    assert_eq!((report.sent.len(), noted.messages("secrets").len()), (2, 0));

    let unusable = report.refused[3].to_owned();
    assert!(matches!(&unusable.refusal, Refusal::Unusable(topic, _) if &**topic == "a\nb"), "{unusable:?}");

    let none: [&str; 0] = [];
    assert_eq!(noted.republish().only_to(none).send(letters()).await.unwrap().sent, []);
}

#[tokio::test(start_paused = true)]
async fn a_letter_from_a_topic_that_is_not_for_us_does_not_hold_up_the_others() {
    let noted = Noted::new().await;
    let report = noted.republish().send([from(0, "locked"), letter(1), from(2, "users")]).await.unwrap();
    assert_eq!((report.sent.len(), report.refused.len()), (2, 1));
    assert_eq!(report.refused[0].refusal, Refusal::Unusable("locked".into(), "no right to `locked`".into()));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_the_caller_names_takes_letters_without_an_origin_too() {
    let noted = Noted::new().await;
    let lost = without(0, dlq::ORIGIN_TOPIC);
    let report = noted.republish().to_topic("users").send([lost, letter(1)]).await.unwrap();
    assert!(report.is_complete());
    assert_eq!((noted.payloads("users"), noted.messages("orders").len()), (vec!["0".into(), "1".into()], 0));
    let report = noted.republish().to_topic("users").only_to(["orders"]).send([letter(1)]).await.unwrap();
    assert_eq!(report.refused[0].refusal, Refusal::NotAllowed("users".into()));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let noted = Noted::new().await;
    let again = change(1, |message| message.header(provenance::REPLAYS, "2"));
    let letters = [letter(0), again, from(2, "secrets")];
    let run = noted.republish().dry_run(&letters).await.unwrap();
    assert_eq!((run.planned.len(), run.refused.len()), (2, 1));
    assert_eq!(
        run.to_string(),
        "dry run: 2 would be sent, 1 refused\
         \n  orders.billing.dlq[0]@0 -> orders, for group billing\
         \n  orders.billing.dlq[0]@1 -> orders, for group billing, time 3\
         \n  orders.billing.dlq[0]@2 refused: there is no topic `secrets` (make it, or name another with `to_topic`)"
    );
    let all = noted.republish().to_all_groups().dry_run(&letters[..1]).await.unwrap();
    assert!(all.to_string().ends_with("-> orders, for all groups"), "{all}");
    assert!(noted.published.lock().unwrap().is_empty() && noted.messages("orders").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_evenly() {
    let noted = Noted::new().await;
    let start = Instant::now();
    let report = noted.republish().per_second(100).send((0..250).map(letter)).await.unwrap();
    assert_eq!(report.sent.len(), 250);
    let published = noted.published.lock().unwrap().clone();
    assert_eq!(published.len(), 25);
    for (slice, (at, count)) in published.iter().enumerate() {
        assert_eq!(*count, 10);
        assert_eq!((*at - start).as_millis() as usize / 10, slice * 10, "every tenth of a second");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_it_goes_in_batches_and_a_rate_of_0_sends_nothing() {
    let noted = Noted::new().await;
    assert!(noted.republish().batch(3).send((0..8).map(letter)).await.unwrap().is_complete());
    let sizes: Vec<usize> = noted.published.lock().unwrap().iter().map(|(_, count)| *count).collect();
    assert_eq!(sizes, [3, 3, 2]);
    assert_eq!(noted.payloads("orders"), (0..8).map(|n| n.to_string()).collect::<Vec<_>>());
    let error = noted.republish().per_second(0).send([letter(9)]).await.unwrap_err();
    assert_eq!((error.kind(), noted.messages("orders").len()), (ErrorKind::Config, 8));
}

#[tokio::test(start_paused = true)]
async fn behind_one_that_is_not_confirmed_nothing_is_sent_that_might_overtake_it() {
    let noted = Noted::new().await;
    noted.inner.faults().fail_on("orders", 1);
    let report = noted.republish().batch(2).send((0..6).map(letter)).await.unwrap();
    let unconfirmed: Vec<_> = report.unconfirmed.iter().map(|one| one.sent.letter.offset.unwrap()).collect();
    assert!(!report.is_complete() && unconfirmed.starts_with(&[0]) && unconfirmed.ends_with(&[2, 3, 4, 5]));
    assert_eq!(report.unconfirmed.last().unwrap().outcome, Outcome::NotSent);
    assert_eq!(noted.published.lock().unwrap().len(), 1, "no second publish");
    assert_eq!(report.sent.len() + report.unconfirmed.len(), 6);
    assert!(report.to_string().contains("not tried"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn one_that_the_broker_will_never_take_does_not_stop_the_others() {
    let noted = Noted::with(MemoryConfig::new().max_message_bytes(500)).await;
    let large = change(1, |message| Message { payload: Some(vec![b'x'; 600].into()), ..message });
    let report = noted.republish().batch(1).send([letter(0), large, letter(2)]).await.unwrap();
    assert_eq!((report.sent.len(), report.unconfirmed.len()), (2, 1));
    assert_eq!(report.unconfirmed[0].outcome, Outcome::Refused);
    assert_eq!(noted.payloads("orders"), ["0", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_is_an_error_before_anything_is_sent() {
    let noted = Noted::new().await;
    noted.inner.faults().down();
    let error = noted.republish().send([letter(0)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(noted.published.lock().unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(noted.messages("orders").len(), 0);
}
