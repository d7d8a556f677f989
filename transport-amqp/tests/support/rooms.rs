//! Topics on the broker, and the broker without Gulo.

use std::sync::Arc;

use gulo_bus_core::transport::{GroupSpec, TopicSpec, Topics, Topology, TopologyMode, Transport};
use gulo_transport_amqp::AmqpTransport;
use lapin::{Channel, Connection, ConnectionProperties};

use super::Broker;

/// `None` where there is no broker, and need be none.
pub(crate) fn broker() -> Option<Broker> {
    let broker = Broker::find();
    let Some(why) = broker.unavailable() else { return Some(broker) };
    let required = std::env::var("GULO_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name.trim() == "amqp"), "GULO_REQUIRE names amqp: {why}");
    eprintln!("not run: {why}");
    None
}

/// The topic, read by group `g`.
pub(crate) async fn made(transport: &AmqpTransport, topic: &Arc<str>) {
    let groups = vec![GroupSpec { group: "g".into(), topics: Topics::Named(vec![topic.clone()]) }];
    let topology = Topology { mode: TopologyMode::Create, topics: vec![TopicSpec::new(topic.clone())], groups };
    transport.ensure(&topology).await.unwrap();
}

/// RabbitMQ without Gulo; the connection stays as long as the channel does.
pub(crate) async fn by_hand(broker: &Broker) -> (Connection, Channel) {
    let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}
