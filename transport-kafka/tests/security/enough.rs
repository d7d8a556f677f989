//! The rights that the guide names are enough, and each is needed. Dave has none but those that he is given here.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{LaneEvent, Outcome, Position, SubscribeSpec, TopicSpec, TopologyMode, Transport as _};
use gulo_bus_core::{Error, ErrorKind};
use gulo_transport_kafka::{KafkaTransport, SaslMechanism};

use crate::place::{Place, place};
use crate::support::*;

fn dave(place: &Place) -> KafkaTransport {
    KafkaTransport::new(place.sasl_ssl().sasl(SaslMechanism::ScramSha512, "dave", "dave-secret"))
}

fn assert_refused(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("ACLs"), "{error}");
}

pub(crate) async fn to_publish_write_on_the_topic() {
    let (place, topic) = (place(), topic(&place().checker(), "to-publish", 1).await);
    let publisher = publisher(&dave(&place)).await;
    let unsent = publisher.publish(numbered(&topic, 0, 0..1)).await.unwrap_err();
    assert_eq!(unsent.failed[0].outcome, Outcome::Refused, "{unsent}");
    assert_refused(&unsent.failed[0].error);
    place.allow("dave", &["Write"], "topic", &topic);
    let transport = dave(&place);
    transport.ensure(&topology(TopologyMode::Check, vec![TopicSpec::new(topic.clone())])).await.unwrap();
    publish(&transport, numbered(&topic, 0, 0..3)).await;
}

pub(crate) async fn to_consume_read_on_the_topic_and_on_the_group() {
    let (place, group) = (place(), unique("g"));
    let topic = topic(&place.checker(), "to-consume", 1).await;
    publish(&place.checker(), numbered(&topic, 0, 0..3)).await;
    assert_refused(&dave(&place).subscribe(eager(&group, &[&topic])).await.err().unwrap());
    place.allow("dave", &["Read"], "topic", &topic);
    assert_refused(&dave(&place).subscribe(eager(&group, &[&topic])).await.err().unwrap());
    place.allow("dave", &["Read"], "group", &group);
    let mut reader = Reader::new(&dave(&place), eager(&group, &[&topic])).await;
    reader.until_count(3).await;
    reader.settle_all();
    reader.close().await;
}

pub(crate) async fn to_make_a_topic_create_on_it() {
    let (place, name): (_, Arc<str>) = (place(), unique("to-make").into());
    let wanted = topology(TopologyMode::Create, vec![TopicSpec::new(name.clone())]);
    assert_refused(&dave(&place).ensure(&wanted).await.unwrap_err());
    place.allow("dave", &["Create", "Describe"], "topic", &name);
    dave(&place).ensure(&wanted).await.unwrap();
}

pub(crate) async fn for_a_transaction_write_on_its_id_too() {
    let (place, group, id) = (place(), unique("g"), unique("id"));
    let (from, to) = (topic(&place.checker(), "from", 1).await, topic(&place.checker(), "to", 1).await);
    publish(&place.checker(), numbered(&from, 0, 0..1)).await;
    place.allow("dave", &["Read"], "topic", &from);
    place.allow("dave", &["Write"], "topic", &to);
    place.allow("dave", &["Read"], "group", &group);
    let refused = dave(&place).transaction(&id).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    assert!(refused.to_string().contains(&id) && refused.to_string().contains("ACLs"), "{refused}");
    place.allow("dave", &["Write"], "transactional-id", &id);
    let transport = dave(&place);
    let mut reader = Reader::new(&transport, eager(&group, &[&from])).await;
    reader.until_count(1).await;
    let mut transaction = transport.transaction(&id).await.unwrap();
    transaction.publish(vec![Message::new(to, "1")]).await.unwrap();
    let mut settled = vec![Settlement::done(reader.deliveries[0].token)];
    transaction.settle(&mut *reader.source, &mut settled).await.unwrap();
    transaction.commit().await.unwrap();
    reader.close().await;
}

/// The group that it has for the client's sake is of a name of its own, and nothing is asked of it.
pub(crate) async fn to_read_alone_read_on_the_topic() {
    let (place, topic) = (place(), topic(&place().checker(), "to-read", 1).await);
    publish(&place.checker(), numbered(&topic, 0, 0..3)).await;
    assert_refused(&dave(&place).subscribe(SubscribeSpec::solo([topic.clone()])).await.err().unwrap());
    place.allow("dave", &["Read"], "topic", &topic);
    let spec = SubscribeSpec { start: Position::Earliest, ..SubscribeSpec::solo([topic.clone()]) };
    let mut reader = Reader::new(&dave(&place), spec).await;
    reader.until_count(3).await;
    // Whatever is said of the group meanwhile.
    reader.quiet_for(Duration::from_secs(2)).await;
    publish(&place.checker(), numbered(&topic, 0, 3..4)).await;
    reader.until_count(4).await;
    assert!(!reader.events.iter().any(|event| matches!(event, LaneEvent::Degraded(_))), "{:?}", reader.events);
    reader.close().await;
}
