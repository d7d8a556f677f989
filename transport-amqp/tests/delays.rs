//! Delivery at a later time on a real broker, where what is to be seen is RabbitMQ's own: `scripts/brokers up amqp`.

#![allow(clippy::unwrap_used)]

// Other tests use the rest of it.
#[allow(dead_code)]
mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gulo_bus_core::message::{Message, SendOptions};
use gulo_bus_core::transport::{Inbox, Outcome, Publisher, Source, SubscribeSpec, Transport};
use gulo_bus_core::{Error, ErrorKind};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
use lapin::Channel;
use lapin::options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use support::Broker;
use support::rooms::{broker, by_hand, made};

const DAY: Duration = Duration::from_secs(86400);

fn new_topic() -> Arc<str> {
    // With dots: a name of several words where messages are routed.
    format!("delays.{}.t", Uuid::now_v7().simple()).into()
}

fn in_time(topic: &Arc<str>, text: &str, wait: Duration) -> Message {
    let send = SendOptions { deliver_at: Some(SystemTime::now() + wait), ..SendOptions::default() };
    Message { send: send.into(), ..Message::new(topic.clone(), text.to_owned()) }
}

/// A topic that group `g` reads, and a way to publish to it.
async fn room(broker: &Broker) -> (AmqpTransport, Arc<str>, Arc<dyn Publisher>) {
    let (transport, topic) = (AmqpTransport::new(AmqpConfig::new(&broker.url())), new_topic());
    made(&transport, &topic).await;
    let publisher = transport.publisher().await.unwrap();
    (transport, topic, publisher)
}

async fn reader(transport: &AmqpTransport, topic: &Arc<str>) -> Box<dyn Source> {
    transport.subscribe(SubscribeSpec::group("g", [topic.clone()])).await.unwrap()
}

/// The next `count` payloads.
async fn next(source: &mut dyn Source, count: usize, patience: Duration) -> Vec<String> {
    let (mut inbox, mut texts) = (Inbox::default(), Vec::new());
    let end = Instant::now() + patience;
    while texts.len() < count {
        let left = end.saturating_duration_since(Instant::now());
        let Ok(received) = timeout(left, source.recv(&mut inbox, count)).await else { break };
        received.unwrap();
        // With them left in there it would be full for ever.
        inbox.events.clear();
        let text = |delivery: gulo_bus_core::transport::Delivery| delivery.message.payload.unwrap().to_vec();
        texts.extend(inbox.deliveries.drain(..).map(|delivery| String::from_utf8(text(delivery)).unwrap()));
    }
    texts
}

async fn refused(publisher: &dyn Publisher, message: Message) -> Error {
    let mut failed = publisher.publish(vec![message]).await.expect_err("it is refused").failed;
    assert_eq!((failed.len(), failed[0].outcome), (1, Outcome::Refused), "{:?}", failed[0].error);
    failed.remove(0).error
}

async fn has_queue(broker: &Broker, name: &str) -> bool {
    let (_connection, channel) = by_hand(broker).await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), passive, FieldTable::default()).await.is_ok()
}

async fn group_queue(channel: &Channel, topic: &str, name: &str) {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), durable, FieldTable::default()).await.unwrap();
    let binding =
        channel.queue_bind(name.into(), topic.into(), "#".into(), QueueBindOptions::default(), FieldTable::default());
    binding.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delayed_is_refused_by_name_before_the_wire() {
    let Some(broker) = broker() else { return };
    let (transport, topic, publisher) = room(&broker).await;
    let far = refused(&*publisher, in_time(&topic, "m", DAY * 400)).await;
    assert_eq!(far.kind(), ErrorKind::Refused);
    assert!(far.to_string().contains("in 400 days") && far.to_string().contains("310 days at most"), "{far}");
    let mut brief = in_time(&topic, "m", DAY);
    brief.send.expires = Some(DAY);
    let both = refused(&*publisher, brief).await;
    assert_eq!(both.kind(), ErrorKind::Unsupported);
    assert!(both.to_string().contains("`expires`") && both.to_string().contains("`deliver_at`"), "{both}");
    let long: Arc<str> = format!("{:x<240}", new_topic()).into();
    made(&transport, &long).await;
    let name = refused(&*publisher, in_time(&long, "m", DAY)).await;
    assert!(name.to_string().contains("at most 199 bytes"), "{name}");
    publisher.publish(vec![in_time(&topic, "m", DAY * 300), Message::new(long, "now")]).await.expect("these can");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_for_a_topic_whose_messages_are_not_delayed() {
    let Some(broker) = broker() else { return };
    let (_transport, topic, publisher) = room(&broker).await;
    let past = SendOptions { deliver_at: Some(SystemTime::UNIX_EPOCH), ..SendOptions::default() };
    let past = Message { send: past.into(), ..Message::new(topic.clone(), "past") };
    publisher.publish(vec![Message::new(topic.clone(), "now"), past]).await.unwrap();
    assert!(!has_queue(&broker, &format!("gulo.delay-delivery.{topic}")).await);
    publisher.publish(vec![in_time(&topic, "later", DAY)]).await.unwrap();
    assert!(has_queue(&broker, &format!("gulo.delay-delivery.{topic}")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_declared_what_is_missing_is_named() {
    let Some(broker) = broker() else { return };
    let (transport, topic, publisher) = room(&broker).await;
    // The levels are there by now.
    publisher.publish(vec![in_time(&topic, "first", Duration::from_millis(1))]).await.unwrap();
    let other = new_topic();
    made(&transport, &other).await;
    let cautious = AmqpTransport::new(AmqpConfig::new(&broker.url()).declares(false));
    let publisher = cautious.publisher().await.unwrap();
    let error = refused(&*publisher, in_time(&other, "m", DAY)).await;
    assert_eq!(error.kind(), ErrorKind::Missing);
    let queue = format!("gulo.delay-delivery.{other}");
    // Long names are cut in the middle.
    assert!(error.to_string().contains("the broker lacks queue `gulo.delay-delivery.delays."), "{error} {queue}");
    publisher.publish(vec![in_time(&topic, "second", Duration::from_millis(200))]).await.expect("all is there");
    assert_eq!(next(&mut *reader(&cautious, &topic).await, 2, Duration::from_secs(20)).await, ["first", "second"]);
}

/// More than RabbitMQ tries at a time of one queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_without_a_queue_holds_up_no_other_topic() {
    let Some(broker) = broker() else { return };
    let (transport, unread, publisher) = room(&broker).await;
    let topic = new_topic();
    made(&transport, &topic).await;
    let (_connection, channel) = by_hand(&broker).await;
    channel.queue_delete(format!("{unread}.g").as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    // What is made for the first delay takes time, and theirs is short.
    publisher.publish(vec![in_time(&unread, "first", DAY), in_time(&topic, "first", DAY)]).await.unwrap();
    let soon = Duration::from_millis(300);
    publisher.publish((0..100).map(|_| in_time(&unread, "unread", soon)).collect()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    publisher.publish(vec![in_time(&topic, "read", soon)]).await.unwrap();
    assert_eq!(next(&mut *reader(&transport, &topic).await, 1, Duration::from_secs(20)).await, ["read"]);
}

/// RabbitMQ tries again after three minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes three minutes: by hand"]
async fn what_found_no_queue_comes_when_there_is_one() {
    let Some(broker) = broker() else { return };
    let (_transport, topic, publisher) = room(&broker).await;
    let (_connection, channel) = by_hand(&broker).await;
    channel.queue_delete(format!("{topic}.g").as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    publisher.publish(vec![in_time(&topic, "first", DAY)]).await.unwrap();
    let messages = (0..100).map(|number| in_time(&topic, &number.to_string(), Duration::from_millis(300)));
    publisher.publish(messages.collect()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    group_queue(&channel, &topic, &format!("{topic}.late")).await;
    let late = AmqpTransport::new(AmqpConfig::new(&broker.url()).declares(false));
    let mut source = late.subscribe(SubscribeSpec::group("late", [topic.clone()])).await.unwrap();
    let mut came = next(&mut *source, 100, Duration::from_secs(240)).await;
    came.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(came, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// What is missing is told at once, and made again for the next message.
#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_is_deleted_is_made_again() {
    let Some(broker) = broker() else { return };
    let (_transport, topic, publisher) = room(&broker).await;
    // Nobody else waits for so long.
    let far = || in_time(&topic, "far", DAY * 200);
    publisher.publish(vec![far()]).await.unwrap();
    let (_connection, channel) = by_hand(&broker).await;
    channel.queue_delete("gulo.delay-level-27".into(), QueueDeleteOptions::default()).await.unwrap();
    let error = refused(&*publisher, far()).await;
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("a queue is gone in which messages for topic `delays."), "{error}");
    publisher.publish(vec![far()]).await.expect("it is there again");
}

/// A topic that goes while its messages wait has them when it is made again; and until then it takes no more of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_meanwhile_is_refused_after_a_while() {
    let Some(broker) = broker() else { return };
    let (_transport, topic, publisher) = room(&broker).await;
    publisher.publish(vec![in_time(&topic, "waits", DAY)]).await.unwrap();
    let (_connection, channel) = by_hand(&broker).await;
    channel.exchange_delete((&*topic).into(), lapin::options::ExchangeDeleteOptions::default()).await.unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let unsent = loop {
        assert!(Instant::now() < end, "nobody notices");
        match publisher.publish(vec![in_time(&topic, "m", DAY)]).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(500)).await,
            Err(unsent) => break unsent,
        }
    };
    assert_eq!(unsent.failed[0].outcome, Outcome::Refused);
    assert!(unsent.to_string().contains("no such topic"), "{unsent}");
}
