//! What RabbitMQ knows of what is done: `scripts/brokers up amqp`.

#![allow(clippy::unwrap_used)]

// Other tests use the rest of it.
#[allow(dead_code)]
mod support;

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::{Settlement, Verdict};
use gulo_bus_core::transport::{CommitPolicy, Delivery, Inbox, Source, SubscribeSpec, Transport};
use gulo_conformance::{Mode, Proxy};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
use tokio::time::timeout;
use uuid::Uuid;

use support::rooms::{broker, made};

/// As many as there are at once.
async fn some(source: &mut Box<dyn Source>) -> Vec<Delivery> {
    let mut inbox = Inbox::default();
    while inbox.deliveries.is_empty() {
        timeout(Duration::from_secs(10), source.recv(&mut inbox, 100)).await.expect("something comes").unwrap();
    }
    inbox.deliveries.into()
}

/// Neither number nor time of the commit policy is reached: RabbitMQ is told because nothing is out any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_told_soon_after_the_last_of_a_burst() {
    let Some(broker) = broker() else { return };
    let proxy = Proxy::start("127.0.0.1:0", broker.address()).unwrap();
    let (direct, topic) = (
        AmqpTransport::new(AmqpConfig::new(&broker.url())),
        Arc::<str>::from(format!("settling-{}", Uuid::now_v7().simple())),
    );
    made(&direct, &topic).await;
    let publisher = direct.publisher().await.unwrap();
    publisher.publish((0..5).map(|_| Message::new(topic.clone(), "done")).collect()).await.unwrap();
    let commit = CommitPolicy { every: usize::MAX, interval: Duration::from_secs(3600) };
    let spec = SubscribeSpec { commit, ..SubscribeSpec::group("g", [topic.clone()]) };
    let by_proxy = AmqpTransport::new(AmqpConfig::new(&broker.url_by_way_of(proxy.address())));
    let mut source = by_proxy.subscribe(spec.clone()).await.unwrap();
    let mut done = 0;
    while done < 5 {
        let out = some(&mut source).await;
        done += out.len();
        let verdict = Verdict::Done;
        source.settle(&mut out.iter().map(|out| Settlement { token: out.token, verdict }).collect()).unwrap();
    }
    let idle = timeout(Duration::from_millis(500), source.recv(&mut Inbox::default(), 100)).await;
    assert!(idle.is_err(), "nothing more comes");
    // It can tell no more.
    proxy.set(Mode::Refuse).await;
    drop(source);
    publisher.publish(vec![Message::new(topic.clone(), "next")]).await.unwrap();
    let mut next = direct.subscribe(spec).await.unwrap();
    let came: Vec<_> = some(&mut next).await.into_iter().map(|next| next.message.payload.unwrap()).collect();
    assert_eq!(came, ["next"], "what is done does not come again");
}
