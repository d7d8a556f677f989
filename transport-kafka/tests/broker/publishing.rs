use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gulo_bus_core::ErrorKind;
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Outcome, SubscribeSpec, TopicSpec, TopologyMode, Transport};
use gulo_transport_kafka::{Compression, KafkaTransport};
use tokio::time::Instant;

use crate::support::*;

pub(crate) async fn every_field_comes_back_as_it_was_sent() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "fields", 1).await;
    let mut headers = Headers::new();
    headers.append("a", "1");
    headers.append_nullable("a", None);
    headers.append("empty", "");
    headers.append("bin", vec![0u8, 255, 7]);
    headers.append("a", "2");
    let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    let full = Message {
        key: Some(Bytes::from_static(b"k\0\xff")),
        headers,
        timestamp: Some(at),
        ..Message::new(topic.clone(), vec![0u8, 1, 255])
    };
    let batch = vec![
        full.clone(),
        Message::new(topic.clone(), ""),
        Message::tombstone(topic.clone()).key("gone"),
        Message::new(topic.clone(), "x").key(""),
    ];
    publish(&transport, batch.clone()).await;
    let mut reader = Reader::new(&transport, SubscribeSpec::solo([topic.clone()])).await;
    reader.until_count(4).await;
    for (number, (sent, got)) in batch.iter().zip(&reader.deliveries).enumerate() {
        let (mut sent, got_at) = (sent.clone(), got.message.timestamp.unwrap());
        if sent.timestamp.is_none() {
            assert!(got_at > SystemTime::now() - Duration::from_secs(600));
            sent.timestamp = Some(got_at);
        }
        assert_eq!(sent, got.message);
        assert_eq!((got.offset, got.partition), (Some(number as i64), Some(0)));
        assert_eq!(got.token.seq, number as u64);
    }
    reader.close().await;
}

pub(crate) async fn what_cannot_be_sent_comes_back_and_the_rest_is_sent() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "mixed", 1).await;
    let publisher = publisher(&transport).await;
    let mut batch = numbered(&topic, 0, 0..6);
    batch[1].payload = Some(vec![0; 1_000_001].into());
    batch[2].send.priority = Some(3);
    batch[3].send.partition = Some(77);
    batch[5].topic = unique("nowhere").into();
    let unsent = publisher.publish(batch.clone()).await.unwrap_err();
    let seen: Vec<_> = unsent.failed.iter().map(|it| (it.index, it.outcome, it.error.kind())).collect();
    assert_eq!(
        seen,
        [
            (1, Outcome::Refused, ErrorKind::TooLarge),
            (2, Outcome::Refused, ErrorKind::Unsupported),
            (3, Outcome::Refused, ErrorKind::Missing),
            (5, Outcome::Refused, ErrorKind::Missing),
        ],
        "{unsent}"
    );
    for failed in unsent.failed {
        assert_eq!(failed.message, batch[failed.index]);
    }
    let mut reader = Reader::new(&transport, SubscribeSpec::solo([topic])).await;
    reader.until_count(2).await;
    assert_eq!(reader.numbers(), [0, 4]);
}

pub(crate) async fn a_message_of_the_very_limit_is_taken() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "limit", 1).await;
    let limit = transport.capabilities().max_message_bytes.unwrap();
    let mut message = Message::new(topic.clone(), "");
    for number in 0..300 {
        message = message.header(format!("h{number}"), "v");
    }
    message.payload = Some(vec![7; limit - message.size()].into());
    assert_eq!(message.size(), limit);
    publish(&transport, vec![message.clone(), message.clone()]).await;
    let mut reader = Reader::new(&transport, SubscribeSpec::solo([topic])).await;
    reader.until_count(2).await;
    assert_eq!(reader.deliveries[1].message.payload, message.payload);
}

pub(crate) async fn a_full_local_queue_makes_publishers_wait_and_keeps_the_order() {
    let Some(place) = broker().await else { return };
    let config = config(&place.servers()).property("queue.buffering.max.messages", "50");
    let transport = KafkaTransport::new(config);
    let topic = topic(&transport, "full", 4).await;
    let publisher = publisher(&transport).await;
    let one = |lane: u32| {
        let (publisher, topic) = (Arc::clone(&publisher), topic.clone());
        tokio::spawn(async move { publisher.publish(numbered(&topic, lane, 0..2000)).await })
    };
    let all: Vec<_> = (0..4).map(one).collect();
    for task in all {
        task.await.unwrap().unwrap();
    }
    publisher.close(Instant::now() + PATIENCE).await.unwrap();
    let mut spec = SubscribeSpec::solo([topic]);
    spec.window = 10_000;
    let mut reader = Reader::new(&transport, spec).await;
    reader.until_count(8000).await;
    for lane in 0..4 {
        let of_lane = reader.deliveries.iter().filter(|it| it.partition == Some(lane)).map(number);
        assert_eq!(of_lane.collect::<Vec<_>>(), (0..2000).collect::<Vec<_>>());
    }
}

pub(crate) async fn a_dropped_publish_is_still_sent_and_close_waits_for_it() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "dropped", 1).await;
    let publisher = publisher(&transport).await;
    let mut publish = publisher.publish(numbered(&topic, 0, 0..10));
    assert!(futures_poll_once(&mut publish).await.is_none());
    drop(publish);
    publisher.close(Instant::now() + PATIENCE).await.unwrap();
    let unsent = publisher.publish(numbered(&topic, 0, 10..12)).await.unwrap_err();
    assert!(unsent.failed.iter().all(|it| it.outcome == Outcome::NotSent && it.error.kind() == ErrorKind::Closed));
    let mut reader = Reader::new(&transport, SubscribeSpec::solo([topic])).await;
    reader.until_count(10).await;
    reader.quiet_for(Duration::from_millis(300)).await;
    assert_eq!(reader.numbers(), (0..10).collect::<Vec<_>>());
}

async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(it) => std::task::Poll::Ready(Some(it)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

/// The broker measures the messages of a request together, so a small one may be refused for the company it keeps.
pub(crate) async fn small_messages_refused_together_are_not_called_refused() {
    let Some(place) = broker().await else { return };
    let config = config(&place.servers()).compression(Compression::None).batch_size(100_000);
    let transport = KafkaTransport::new(config);
    let mut spec = TopicSpec::new(unique("small"));
    spec.partitions = Some(1);
    spec.settings = vec![("max.message.bytes".into(), "2000".into())];
    let topic = spec.name.clone();
    transport.ensure(&topology(TopologyMode::Create, vec![spec])).await.unwrap();
    let publisher = publisher(&transport).await;
    let batch: Vec<_> = (0..50).map(|_| Message::new(topic.clone(), vec![b'x'; 300])).collect();
    let unsent = publisher.publish(batch).await.expect_err("together they are too large");
    for failed in &unsent.failed {
        assert_eq!(failed.outcome, Outcome::NotSent, "{failed:?}");
        publisher.publish(vec![failed.message.clone()]).await.expect("alone it is taken");
    }
    let alone = publisher.publish(vec![Message::new(topic, vec![b'x'; 3000])]).await.unwrap_err();
    assert_eq!((alone.failed[0].outcome, alone.failed[0].error.kind()), (Outcome::Refused, ErrorKind::TooLarge));
}
