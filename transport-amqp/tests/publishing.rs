//! Publishing on a real broker, where what is to be seen is RabbitMQ's own: `scripts/brokers up amqp`.

#![allow(clippy::unwrap_used)]

// Other tests use the rest of it.
#[allow(dead_code)]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use gulo_bus_core::message::{Message, SendOptions};
use gulo_bus_core::transport::{Outcome, Status, SubscribeSpec, Transport};
use gulo_conformance::{Mode, Proxy};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
use lapin::options::{BasicConsumeOptions, ExchangeDeleteOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;
use uuid::Uuid;

use support::Broker;
use support::rooms::{broker, by_hand, made};

fn new_topic() -> Arc<str> {
    format!("publishing-{}", Uuid::now_v7().simple()).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_behind_those_under_way_end_by_their_time_too() {
    let Some(broker) = broker() else { return };
    let proxy = Proxy::start("127.0.0.1:0", broker.address()).unwrap();
    // No heartbeat is missed meanwhile: nothing but their time ends them.
    let config = AmqpConfig::new(&broker.url_by_way_of(proxy.address())).heartbeat(Duration::from_secs(60));
    let transport = AmqpTransport::new(config.publish_timeout(Duration::from_secs(2)));
    let topic = new_topic();
    made(&transport, &topic).await;
    let publisher = transport.publisher().await.unwrap();
    publisher.publish(vec![Message::new(topic.clone(), "before")]).await.unwrap();
    proxy.set(Mode::Freeze).await;
    // More than the publisher works on at once, and more than wait for that.
    let calls = (0..1500).map(|_| publisher.publish(vec![Message::new(topic.clone(), "m")]));
    let ended = timeout(Duration::from_secs(20), join_all(calls)).await.expect("all of them end by their time");
    for call in ended {
        let failed = call.expect_err("nobody confirms").failed;
        assert!(matches!(failed[..], [ref failed] if failed.outcome != Outcome::Refused), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_end_the_channel_is_refused_and_the_rest_is_confirmed() {
    let Some(broker) = broker() else { return };
    let (transport, topic) = (AmqpTransport::new(AmqpConfig::new(&broker.url())), new_topic());
    made(&transport, &topic).await;
    let message = || Message::new(topic.clone(), "m");
    let lives = |expires| SendOptions { expires: Some(expires), ..SendOptions::default() };
    let long = Message { send: lives(Duration::from_secs(50 * 86400)).into(), ..message() };
    let longest = Message { send: lives(Duration::from_millis(u32::MAX.into())).into(), ..message() };
    // By these the broker routes, and ends the channel where they are no lists: so they get other names on their way.
    let batch = vec![message(), message().header("CC", "x"), longest, long, message().header("BCC", "x"), message()];
    let unsent = transport.publisher().await.unwrap().publish(batch).await.expect_err("one is refused");
    let failed: Vec<_> = unsent.failed.iter().map(|failed| (failed.index, failed.outcome)).collect();
    assert_eq!(failed, [(3, Outcome::Refused)], "{unsent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_when_an_exchange_is_deleted_is_not_there() {
    let Some(broker) = broker() else { return };
    // Whether something is stored and not confirmed at that moment is a matter of luck.
    for _ in 0..5 {
        delete_in_the_middle(&broker).await;
    }
}

async fn delete_in_the_middle(broker: &Broker) {
    let (transport, topic) = (AmqpTransport::new(AmqpConfig::new(&broker.url())), new_topic());
    made(&transport, &topic).await;
    let publisher = transport.publisher().await.unwrap();
    publisher.publish(vec![Message::new(topic.clone(), "before")]).await.unwrap();
    let (_connection, channel) = by_hand(broker).await;
    let batch = (0..20_000).map(|number: usize| Message::new(topic.clone(), number.to_string())).collect();
    let publishing = tokio::spawn(async move { publisher.publish(batch).await.map_err(|unsent| (unsent, publisher)) });
    tokio::time::sleep(Duration::from_millis(100)).await;
    channel.exchange_delete((&*topic).into(), ExchangeDeleteOptions::default()).await.unwrap();
    let (unsent, _publisher) = publishing.await.unwrap().expect_err("its exchange was deleted in the middle");
    assert_eq!(transport.status(), Status::Up, "a channel has ended, no connection");
    let (mut stored, queue) = (BTreeSet::new(), format!("{topic}.g"));
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consuming = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
    let mut consumer = consuming.await.unwrap();
    while let Ok(Some(got)) = timeout(Duration::from_secs(1), consumer.next()).await {
        stored.insert(String::from_utf8(got.unwrap().data).unwrap());
    }
    let of = |outcome| unsent.failed.iter().filter(move |failed| failed.outcome == outcome);
    let texts = |failed: &gulo_bus_core::transport::Failed| failed.index.to_string();
    let lied: Vec<_> = of(Outcome::Refused).map(texts).filter(|text| stored.contains(text)).collect();
    assert!(lied.is_empty(), "{} were refused, and are there: {lied:?}", lied.len());
    let failed: BTreeSet<_> = unsent.failed.iter().map(texts).collect();
    assert!((0..20_000).map(|n| n.to_string()).all(|text| failed.contains(&text) || stored.contains(&text)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_the_longest_name_is_read() {
    let Some(broker) = broker() else { return };
    let transport = AmqpTransport::new(AmqpConfig::new(&broker.url()));
    let topic: Arc<str> = format!("{:x<253}", new_topic()).into();
    made(&transport, &topic).await;
    let mut source = transport.subscribe(SubscribeSpec::group("g", [topic.clone()])).await.expect("it is read");
    source.close(tokio::time::Instant::now() + Duration::from_secs(10)).await.unwrap();
    let (_connection, channel) = by_hand(&broker).await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(format!("{topic}.g").as_str().into(), passive, FieldTable::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_meets_the_close_is_answered() {
    let Some(broker) = broker() else { return };
    let (transport, topic) = (AmqpTransport::new(AmqpConfig::new(&broker.url())), new_topic());
    made(&transport, &topic).await;
    for _ in 0..20 {
        let publisher = transport.publisher().await.unwrap();
        let calls = (0..64).map(|_| {
            let (publisher, message) = (publisher.clone(), Message::new(topic.clone(), "m"));
            tokio::spawn(async move { publisher.publish(vec![message]).await.is_ok() })
        });
        let calls: Vec<_> = calls.collect();
        publisher.close(tokio::time::Instant::now() + Duration::from_secs(10)).await.unwrap();
        timeout(Duration::from_secs(10), join_all(calls)).await.expect("each of them is answered");
    }
}
