//! What is on a broker before a program starts: `scripts/brokers up amqp`.

#![allow(clippy::unwrap_used)]

// Other tests use the rest of it.
#[allow(dead_code)]
mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{GroupSpec, TopicSpec, Topics, Topology, TopologyMode, Transport};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use uuid::Uuid;

use support::Broker;
use support::rooms::{broker, by_hand, made};

fn new_topic() -> Arc<str> {
    format!("topology-{}", Uuid::now_v7().simple()).into()
}

fn transport(broker: &Broker) -> AmqpTransport {
    AmqpTransport::new(AmqpConfig::new(&broker.url()))
}

fn of(topic: TopicSpec, group: Option<&str>) -> Topology {
    let topics = Topics::Named(vec![topic.name.clone()]);
    let groups = group.into_iter().map(|group| GroupSpec { group: group.into(), topics: topics.clone() });
    Topology { mode: TopologyMode::Create, groups: groups.collect(), topics: vec![topic] }
}

async fn queue(broker: &Broker, name: &str, kind: &str) {
    let (_connection, channel) = by_hand(broker).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, arguments).await.unwrap();
}

#[tokio::test]
async fn where_letters_are_kept_is_made_again_when_it_was_deleted() {
    let Some(broker) = broker() else { return };
    let (transport, topic) = (transport(&broker), new_topic());
    let kept = || of(TopicSpec { keep: true, ..TopicSpec::new(topic.clone()) }, None);
    transport.ensure(&kept()).await.unwrap();
    let (_connection, channel) = by_hand(&broker).await;
    channel.queue_delete((&*topic).into(), QueueDeleteOptions::default()).await.unwrap();
    transport.ensure(&kept()).await.unwrap();
    let publisher = transport.publisher().await.unwrap();
    publisher.publish(vec![Message::new(topic.clone(), "letter")]).await.expect("it is kept");
}

#[tokio::test]
async fn a_stream_is_no_queue_of_a_group() {
    let Some(broker) = broker() else { return };
    let (transport, topic) = (transport(&broker), new_topic());
    queue(&broker, &format!("{topic}.g"), "stream").await;
    let error = transport.ensure(&of(TopicSpec::new(topic.clone()), Some("g"))).await.expect_err("it would skip");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().starts_with(&format!("queue `{topic}.g` is a stream: ")), "{error}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_queue_that_is_not_as_ours_is_used_and_told_of() {
    let Some(broker) = broker() else { return };
    let (transport, topic, log) = (transport(&broker), new_topic(), Log::default());
    let to = log.clone();
    let _said = tracing::subscriber::set_default(
        tracing_subscriber::fmt().with_writer(move || to.clone()).with_ansi(false).finish(),
    );
    made(&transport, &topic).await;
    made(&transport, &topic).await;
    assert!(log.0.lock().unwrap().is_empty(), "its own is as it should be");
    let other = new_topic();
    queue(&broker, &format!("{other}.g"), "classic").await;
    made(&transport, &other).await;
    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        said.contains(" WARN ") && said.contains(&format!("{other}.g")) && said.contains("inequivalent arg"),
        "{said}"
    );
    transport.publisher().await.unwrap().publish(vec![Message::new(other, "m")]).await.expect("it is used");
}

#[tokio::test]
async fn a_dead_letter_exchange_that_is_not_there_is_named() {
    let Some(broker) = broker() else { return };
    let transport = AmqpTransport::new(AmqpConfig::new(&broker.url()).dead_letter_exchange("nowhere-at-all"));
    let error = transport.ensure(&of(TopicSpec::new(new_topic()), Some("g"))).await.expect_err("it is not there");
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.starts_with("the broker lacks the dead-letter exchange `nowhere-at-all` of AMQP_DEAD_LETTER_EXCHANGE (`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_delay_that_is_too_long_is_refused_with_its_topic() {
    let Some(broker) = broker() else { return };
    let days = |days: u64| Some(Duration::from_secs(days * 86400));
    let delayed = |days_ahead| of(TopicSpec { delayed: days(days_ahead), ..TopicSpec::new(new_topic()) }, None);
    transport(&broker).ensure(&delayed(310)).await.expect("the longest");
    let error = transport(&broker).ensure(&delayed(311)).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().contains("to be delivered in 311 days (transport `rabbitmq` delays for 310 days"),
        "{error}"
    );
}
