//! Rights: what is not for us is refused by its name, and never called missing.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Outcome, TopologyMode, Transport as _};
use gulo_bus_core::{Error, ErrorKind};
use gulo_transport_amqp::AmqpTransport;
use tokio::time::Instant;

use crate::place::*;

fn alice() -> AmqpTransport {
    AmqpTransport::new(place().plain("alice"))
}

/// Refused, by this name, with the tool that mends it.
fn names(error: &Error, name: &str) {
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let text = texts(error);
    assert!(text.contains(name) && text.contains("rabbitmqctl set_permissions"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

pub(crate) async fn an_exchange_that_we_may_not_make_is_named() {
    let topic: Arc<str> = unique("made").into();
    let begun = Instant::now();
    let error = alice().ensure(&topology(TopologyMode::Create, &topic, "g")).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    names(&error, &format!("topic `{topic}`: "));
}

pub(crate) async fn a_queue_that_we_may_not_make_is_named() {
    let topic = topic("unmade").await;
    for error in [
        alice().ensure(&topology(TopologyMode::Create, &topic, "other")).await.unwrap_err(),
        alice()
            .subscribe(gulo_bus_core::transport::SubscribeSpec::group("other", [topic.clone()]))
            .await
            .err()
            .unwrap(),
    ] {
        names(&error, &format!("queue `{topic}.other`: "));
    }
}

pub(crate) async fn a_queue_that_we_may_not_read_is_named() {
    let topic = topic("unread").await;
    let user = place().user(["^$", ".*", "^$"]);
    let begun = Instant::now();
    let error =
        AmqpTransport::new(place().plain(&user).declares(false)).subscribe(reading(&topic)).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    names(&error, &format!("queue `{topic}.g`: "));
}

/// The one that is not for us does not take those beside it along, though the broker ends the channel over it.
pub(crate) async fn a_topic_that_we_may_not_write_to_is_refused_and_the_others_are_confirmed() {
    let (ours, theirs) = (topic("ours").await, topic("theirs").await);
    let user = place().user(["^$", &format!("^{ours}"), ".*"]);
    let transport = AmqpTransport::new(place().plain(&user));
    let publisher = transport.publisher().await.unwrap();
    let batch =
        || vec![&ours, &theirs, &ours].into_iter().map(|topic| Message::new(topic.clone(), "1")).collect::<Vec<_>>();
    for _ in 0..2 {
        let begun = Instant::now();
        let unsent = publisher.publish(batch()).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        let failed: Vec<_> = unsent.failed.iter().map(|failed| (failed.index, failed.outcome)).collect();
        assert_eq!(failed, [(1, Outcome::Refused)], "the others are confirmed: {unsent}");
        names(&unsent.failed[0].error, &theirs);
    }
    publisher.close(Instant::now() + PATIENCE).await.unwrap();
    one_arrives(&AmqpTransport::new(place().plain("admin")), &ours).await;
}

pub(crate) async fn to_publish_takes_write_on_the_topic_alone() {
    let topic = topic("written").await;
    let user = place().user(["^$", &format!("^{topic}$"), "^$"]);
    publish(&AmqpTransport::new(place().plain(&user)), &topic).await.unwrap();
}

pub(crate) async fn to_consume_takes_read_on_the_queue_alone() {
    let topic = topic("read").await;
    publish(&alice(), &topic).await.unwrap();
    let user = place().user(["^$", "^$", &format!("^{topic}[.]g$")]);
    one_arrives(&AmqpTransport::new(place().plain(&user).declares(false)), &topic).await;
}
