//! What RabbitMQ knows of what is done: `scripts/brokers up amqp`.

#![allow(clippy::unwrap_used)]

// Other tests use the rest of it.
#[allow(dead_code)]
mod support;

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::{Settlement, Verdict};
use gulo_bus_core::transport::{CommitPolicy, Delivery, Inbox, Source, SubscribeSpec, Topics, Transport};
use gulo_conformance::{Mode, Proxy};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
use tokio::time::timeout;
use uuid::Uuid;

use support::Broker;
use support::rooms::{broker, made};

/// As many as there are at once.
async fn some(source: &mut Box<dyn Source>) -> Vec<Delivery> {
    let mut inbox = Inbox::default();
    while inbox.deliveries.is_empty() {
        timeout(Duration::from_secs(10), source.recv(&mut inbox, 100)).await.expect("something comes").unwrap();
    }
    inbox.deliveries.into()
}

/// A topic with so many messages, `0` and on, and a member of its group that can be cut off: RabbitMQ is told of what is done neither by
/// number nor by time.
async fn room(broker: &Broker, messages: usize) -> (Arc<Proxy>, AmqpTransport, SubscribeSpec, Box<dyn Source>) {
    let proxy = Proxy::start("127.0.0.1:0", broker.address()).unwrap();
    let direct = AmqpTransport::new(AmqpConfig::new(&broker.url()));
    let topic: Arc<str> = format!("settling-{}", Uuid::now_v7().simple()).into();
    made(&direct, &topic).await;
    publish(&direct, &topic, 0..messages).await;
    let commit = CommitPolicy { every: usize::MAX, interval: Duration::from_secs(3600) };
    let spec = SubscribeSpec { commit, window: 100, ..SubscribeSpec::group("g", [topic]) };
    let by_proxy = AmqpTransport::new(AmqpConfig::new(&broker.url_by_way_of(proxy.address())));
    let source = by_proxy.subscribe(spec.clone()).await.unwrap();
    (proxy, direct, spec, source)
}

async fn publish(transport: &AmqpTransport, topic: &Arc<str>, numbers: std::ops::Range<usize>) {
    let messages = numbers.map(|number| Message::new(topic.clone(), number.to_string())).collect();
    transport.publisher().await.unwrap().publish(messages).await.unwrap();
}

async fn take(source: &mut Box<dyn Source>, many: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < many {
        taken.extend(some(source).await);
    }
    taken
}

/// Then the member can tell no more.
async fn settle_and_cut_off(mut source: Box<dyn Source>, done: &[Delivery], proxy: &Proxy) {
    let verdict = Verdict::Done;
    source.settle(&mut done.iter().map(|done| Settlement { token: done.token, verdict }).collect()).unwrap();
    let idle = timeout(Duration::from_millis(500), source.recv(&mut Inbox::default(), 100)).await;
    assert!(idle.is_err(), "nothing more comes");
    proxy.set(Mode::Refuse).await;
}

async fn first_of(transport: &AmqpTransport, spec: SubscribeSpec) -> String {
    let mut next = transport.subscribe(spec).await.unwrap();
    let first = some(&mut next).await.swap_remove(0).message.payload.unwrap();
    String::from_utf8(first.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_told_soon_after_the_last_of_a_burst() {
    let Some(broker) = broker() else { return };
    let (proxy, direct, spec, mut source) = room(&broker, 5).await;
    let Topics::Named(topics) = spec.topics.clone() else { unreachable!("it is named") };
    let out = take(&mut source, 5).await;
    settle_and_cut_off(source, &out, &proxy).await;
    publish(&direct, &topics[0], 5..6).await;
    assert_eq!(first_of(&direct, spec).await, "5", "what is done does not come again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarter_of_the_window_is_told_though_the_rest_is_out() {
    let Some(broker) = broker() else { return };
    for (done, first) in [(24, "0"), (25, "25")] {
        let (proxy, direct, spec, mut source) = room(&broker, 100).await;
        let out = take(&mut source, 100).await;
        settle_and_cut_off(source, &out[..done], &proxy).await;
        assert_eq!(first_of(&direct, spec).await, first, "{done} of a window of 100 are done");
    }
}
