//! What a publish says, and whether it is true.

use std::time::SystemTime;

use bytes::Bytes;
use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::Outcome;

use super::*;

fn outcomes(unsent: &Unsent) -> Vec<(usize, Outcome)> {
    unsent.failed.iter().map(|failed| (failed.index, failed.outcome)).collect()
}

#[tokio::test(start_paused = true)]
async fn every_part_of_a_message_arrives_as_it_was_sent() {
    for transport in [log(1).await, queue().await] {
        let mut sent = message("key:").header("a", "1").header("a", "2");
        sent.headers.append_nullable("null", None);
        sent.timestamp = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
        let tombstone = Message { timestamp: sent.timestamp, ..Message::tombstone("t").key("k") };
        publish(&transport, vec![sent.clone(), tombstone.clone()]).await.unwrap();
        let got = Reader::new(&transport, spec()).await.take(2).await;
        assert_eq!(got[0].message, sent);
        assert_eq!(got[1].message, tombstone);
        assert_eq!(got[0].message.payload, Some(Bytes::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_timestamp_is_filled_in_with_whole_milliseconds() {
    let transport = log(1).await;
    send(&transport, &["a"]).await;
    let made = transport.faults().messages("t")[0].timestamp.unwrap();
    assert_eq!(made.duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos() % 1_000_000, 0);
    assert!(made.elapsed().unwrap() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn only_what_failed_comes_back_and_says_why() {
    let transport = MemoryTransport::with(MemoryConfig::new().max_message_bytes(8).partitions(2));
    transport.ensure(&topology(&["t"], &[])).await.unwrap();
    let mut batch =
        vec![message("a"), message("much too large"), Message::new("nowhere", "b"), message("c"), message("d")];
    batch[3].send.partition = Some(2);
    batch[4].send.priority = Some(1);
    let unsent = publish(&transport, batch).await.unwrap_err();
    assert_eq!(outcomes(&unsent), [1, 2, 3, 4].map(|index| (index, Outcome::Refused)));
    let text = |index: usize| unsent.failed[index].error.to_string();
    assert!(text(0).contains("14 bytes") && text(0).contains("8 bytes"), "{}", text(0));
    assert_eq!(unsent.failed[0].error.kind(), ErrorKind::TooLarge);
    assert!(text(1).contains("`nowhere`"), "{}", text(1));
    assert!(text(2).contains('2'), "{}", text(2));
    assert!(text(3).contains("priority"), "{}", text(3));
    assert_eq!(transport.faults().messages("t").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_its_partition_and_keyless_messages_take_turns() {
    let transport = log(4).await;
    send(&transport, &["k:a", "k:b", "1", "2", "3", "4"]).await;
    let got = Reader::new(&transport, spec()).await.take(6).await;
    let of = |payload: &str| got.iter().find(|one| payloads(&[(*one).clone()]) == [payload]).unwrap().partition;
    assert_eq!(of("a"), of("b"));
    let mut turns: Vec<_> = ["1", "2", "3", "4"].map(of).to_vec();
    turns.sort();
    assert_eq!(turns, [Some(0), Some(1), Some(2), Some(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_made_by_a_publish_where_that_is_allowed() {
    for shape in [Shape::Log, Shape::Queue] {
        let config = MemoryConfig::new().shape(shape).create_on_publish(true).keep_unrouted(true);
        let transport = MemoryTransport::with(config);
        let mut reader = Reader::new(&transport, SubscribeSpec::group("g", ["t"])).await;
        send(&transport, &["a"]).await;
        assert_eq!(payloads(&reader.take(1).await), ["a"]);
        publish(&transport, vec![Message::new("new", "b")]).await.unwrap();
        assert_eq!(transport.faults().messages("new").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_publisher_sends_nothing() {
    let transport = log(1).await;
    let publisher = transport.publisher().await.unwrap();
    publisher.publish(Vec::new()).await.unwrap();
    publisher.close(Instant::now()).await.unwrap();
    let unsent = publisher.publish(vec![message("a")]).await.unwrap_err();
    assert_eq!(outcomes(&unsent), [(0, Outcome::NotSent)]);
    assert_eq!(unsent.failed[0].error.kind(), ErrorKind::Closed);
    publisher.publish(Vec::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_what_is_under_way_until_the_deadline() {
    let transport = log(1).await;
    transport.faults().hold_publishes();
    let publisher = transport.publisher().await.unwrap();
    let other = publisher.clone();
    let under_way = tokio::spawn(async move { other.publish(vec![message("a")]).await });
    tokio::task::yield_now().await;
    let error = publisher.close(Instant::now() + Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(outcomes(&under_way.await.unwrap().unwrap_err()), [(0, Outcome::NotSent)]);
    assert!(transport.faults().messages("t").is_empty());
}
