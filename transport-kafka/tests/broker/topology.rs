use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Outcome, Status, SubscribeSpec, TopicSpec, TopologyMode, Transport};
use gulo_bus_core::{Error, ErrorKind};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport};
use tokio::time::Instant;

use crate::support::*;

pub(crate) async fn what_is_missing_is_created_or_named() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let mut made = TopicSpec::new(unique("made"));
    made.partitions = Some(3);
    made.settings = vec![("retention.ms".into(), "3600000".into())];
    let default = TopicSpec::new(unique("default"));
    let wanted = vec![made, default];
    let error = transport.ensure(&topology(TopologyMode::Check, wanted.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(wanted.iter().all(|topic| error.to_string().contains(&*topic.name)), "{error}");
    for _ in 0..2 {
        transport.ensure(&topology(TopologyMode::Create, wanted.clone())).await.unwrap();
    }
    transport.ensure(&topology(TopologyMode::Check, wanted.clone())).await.unwrap();
    let mut reader = Reader::new(&transport, SubscribeSpec::solo([wanted[0].name.clone()])).await;
    reader.until("3 lanes", |it| it.open().len() == 3).await;
}

pub(crate) async fn what_the_broker_refuses_to_create_is_named() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let mut bad = TopicSpec::new(unique("bad"));
    bad.settings = vec![("no.such.setting".into(), "1".into())];
    let name: Arc<str> = bad.name.clone();
    let error = transport.ensure(&topology(TopologyMode::Create, vec![bad])).await.unwrap_err();
    assert!(error.to_string().contains(&*name), "{error}");
}

/// Some of them let the wrapper around librdkafka panic, others wait for a topic that will never be.
pub(crate) async fn names_that_no_topic_can_have_are_refused_everywhere_and_the_rest_goes_on() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let good = topic(&transport, "good", 1).await;
    let publisher = transport.publisher().await.unwrap();
    for name in ["", ".", "..", "two words", "a/b", "grüezi", "a\0b", &"x".repeat(250), &"x".repeat(1000)] {
        let name: Arc<str> = name.into();
        let told = |error: Error| assert!(error.to_string().contains("(a name is 1 to 249 of"), "{name}: {error}");
        for mode in [TopologyMode::Check, TopologyMode::Create] {
            told(transport.ensure(&topology(mode, vec![TopicSpec::new(name.clone())])).await.unwrap_err());
        }
        for spec in [SubscribeSpec::solo([name.clone()]), SubscribeSpec::group("g", [name.clone()])] {
            told(transport.subscribe(spec).await.map(drop).unwrap_err());
        }
        let bad = || Message::new(name.clone(), "x");
        let batch = vec![bad(), bad(), Message::new(good.clone(), "x"), bad()];
        let unsent = publisher.publish(batch).await.unwrap_err();
        let refused: Vec<_> = unsent.failed.iter().map(|failed| (failed.index, failed.outcome)).collect();
        assert_eq!(refused, [(0, Outcome::Refused), (1, Outcome::Refused), (3, Outcome::Refused)], "{name}");
        unsent.failed.into_iter().for_each(|failed| told(failed.error));
    }
    publisher.close(Instant::now() + Duration::from_secs(20)).await.unwrap();
    let mut reader = Reader::new(&transport, SubscribeSpec::solo([good])).await;
    reader.until_count(9).await;
}

pub(crate) async fn a_broker_that_is_not_there_is_named_with_the_cause_and_in_time() {
    let config = KafkaConfig::new("127.0.0.1:1").connect_timeout(Duration::from_secs(2));
    let transport = KafkaTransport::new(config);
    let begun = Instant::now();
    let error = transport.ensure(&topology(TopologyMode::Check, vec![TopicSpec::new("t")])).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("127.0.0.1:1") && text.contains("refused") && text.contains("KAFKA_BOOTSTRAP_SERVERS"),
        "{text}"
    );
    assert!(matches!(transport.status(), Status::Down { reason, .. } if reason.contains("refused")));
    let error = transport.subscribe(SubscribeSpec::group("g", ["t"])).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

pub(crate) async fn a_wrong_configuration_is_told_without_its_secrets() {
    let config = KafkaConfig::new("127.0.0.1:1").property("sasl.mechanismus", "hunter2-hunter2");
    let error = KafkaTransport::new(config).publisher().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(text.contains("sasl.mechanismus") && !text.contains("hunter2"), "{text}");
    let config = KafkaConfig::new("127.0.0.1:1").property("acks", "1");
    let error = KafkaTransport::new(config).publisher().await.err().unwrap();
    assert!(error.to_string().contains("acks"), "{error}");
}
