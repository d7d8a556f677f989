//! Publishing: what is confirmed is there, what is not comes back.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gulo_bus_core::ErrorKind;
use gulo_bus_core::headers::Headers;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Capability, Outcome, TopicSpec, Topology};

use super::Case;
use crate::support::{Bench, confirmed, numbered, set, text, texts};

pub(super) const CASES: &[Case] = &[
    case!(what_is_confirmed_is_there),
    case!(an_empty_batch_is_confirmed),
    case!(bytes_arrive_as_sent),
    case!(an_empty_key_stays_apart_from_none),
    case!(an_empty_payload_stays_empty),
    case!(a_tombstone_stays_apart_from_an_empty_payload).needs(&[Capability::Tombstones]),
    case!(headers_arrive_as_sent_and_in_order),
    case!(headers_of_one_name_all_arrive_in_order).needs(&[Capability::DuplicateHeaders]),
    case!(a_null_header_stays_apart_from_an_empty_one).needs(&[Capability::NullHeaders]),
    case!(a_timestamp_arrives_to_the_millisecond),
    case!(a_message_without_a_timestamp_gets_one),
    case!(a_chosen_partition_is_the_one).needs(&[Capability::Partitions]),
    case!(concurrent_publishers_lose_nothing),
    case!(an_oversized_message_is_refused_and_the_rest_is_confirmed).limited(),
    case!(a_message_for_a_missing_topic_is_refused_and_the_rest_is_confirmed),
    case!(what_nobody_takes_is_refused_and_nothing_else).lacks(&[Capability::History]),
    case!(publishing_after_close_is_not_sent),
    case!(closing_a_publisher_waits_for_what_is_under_way),
];

async fn what_is_confirmed_is_there(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(["hello"]).await;
    let delivery = bench.member("g").await.one().await;
    assert_eq!(text(&delivery), "hello");
    assert_eq!((&delivery.message.topic, &delivery.origin().topic), (&bench.topic(), &bench.topic()));
    assert_eq!(delivery.message.send, Default::default(), "wishes of the sender do not travel");
}

async fn an_empty_batch_is_confirmed(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.send(Vec::new()).await;
}

/// Sends `sent` and returns it as it arrives.
async fn there_and_back(bench: &Bench, sent: Message) -> Message {
    bench.one_lane(&["g"]).await;
    bench.send(vec![sent]).await;
    bench.member("g").await.one().await.message
}

async fn bytes_arrive_as_sent(bench: Bench) {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let sent = Message::new(bench.topic(), all.clone()).key(all);
    let came = there_and_back(&bench, sent.clone()).await;
    assert_eq!((came.key, came.payload), (sent.key, sent.payload));
}

async fn an_empty_key_stays_apart_from_none(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let (empty, none) = (bench.message("empty").key(""), bench.message("none"));
    bench.send(vec![empty, none]).await;
    let keys = bench.member("g").await.take(2).await.into_iter().map(|delivery| delivery.message.key);
    assert_eq!(keys.collect::<Vec<_>>(), [Some(Bytes::new()), None]);
}

async fn an_empty_payload_stays_empty(bench: Bench) {
    let came = there_and_back(&bench, bench.message("")).await;
    assert_eq!(came.payload, Some(Bytes::new()));
}

async fn a_tombstone_stays_apart_from_an_empty_payload(bench: Bench) {
    let came = there_and_back(&bench, Message::tombstone(bench.topic()).key("k")).await;
    assert_eq!((came.key, came.payload), (Some(Bytes::from_static(b"k")), None));
}

async fn headers_arrive(bench: &Bench, headers: Headers) {
    let came = there_and_back(bench, Message { headers: headers.clone(), ..bench.message("m") }).await;
    assert_eq!(came.headers, headers);
}

async fn headers_arrive_as_sent_and_in_order(bench: Bench) {
    let mut headers = Headers::new();
    headers.append("zulu", "last letter, first header");
    headers.append("Größe-размер-大きさ", "naïve");
    headers.append("binary", (0..=u8::MAX).collect::<Vec<_>>());
    headers.append("empty", "");
    headers.append("Zulu", "case counts");
    headers.append("alpha", "first letter, last header");
    headers_arrive(&bench, headers).await;
}

async fn headers_of_one_name_all_arrive_in_order(bench: Bench) {
    let mut headers = Headers::new();
    for (name, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "1")] {
        headers.append(name, value);
    }
    headers_arrive(&bench, headers).await;
}

async fn a_null_header_stays_apart_from_an_empty_one(bench: Bench) {
    let mut headers = Headers::new();
    headers.append_nullable("null", None);
    headers.append_nullable("empty", Some(Bytes::new()));
    headers_arrive(&bench, headers).await;
}

async fn a_timestamp_arrives_to_the_millisecond(bench: Bench) {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).expect("later than 1970").as_millis() as u64;
    let at = UNIX_EPOCH + Duration::from_millis(millis - 61_234);
    let came = there_and_back(&bench, Message { timestamp: Some(at), ..bench.message("m") }).await;
    assert_eq!(came.timestamp, Some(at));
}

async fn a_message_without_a_timestamp_gets_one(bench: Bench) {
    // The clock of the broker may be another one, but hardly a minute off.
    let slack = Duration::from_secs(60);
    let before = SystemTime::now() - slack;
    let came = there_and_back(&bench, bench.message("m")).await.timestamp.expect("a timestamp");
    assert!(before < came && came < SystemTime::now() + slack, "{came:?} is about now");
}

async fn a_chosen_partition_is_the_one(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    for partition in [2, 0, 3] {
        bench.publish_to(partition, [format!("p{partition}")]).await;
    }
    let came = bench.member("g").await.take(3).await;
    let came: BTreeMap<_, _> = came.iter().map(|delivery| (text(delivery), delivery.partition)).collect();
    assert_eq!(came, [("p0", 0), ("p2", 2), ("p3", 3)].map(|(text, at)| (text.to_owned(), Some(at))).into());
}

async fn concurrent_publishers_lose_nothing(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    let publisher = bench.publisher().await;
    let tasks = (0..8).map(|task| {
        let message = |text| bench.message(text);
        let batch =
            |part: usize| numbered(&format!("{task}."), part * 10..part * 10 + 10).into_iter().map(message).collect();
        let (batches, publisher): (Vec<Vec<_>>, _) = ((0..5).map(batch).collect(), publisher.clone());
        tokio::spawn(async move {
            for batch in batches {
                confirmed(&*publisher, batch).await;
            }
        })
    });
    for ended in futures_util::future::join_all(tasks).await {
        ended.expect("the task ends");
    }
    let came = set(texts(&bench.member("g").await.take(400).await));
    assert_eq!(came, set((0..8).flat_map(|task| numbered(&format!("{task}."), 0..50))));
}

async fn an_oversized_message_is_refused_and_the_rest_is_confirmed(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let limit = bench.capabilities().await.max_message_bytes.expect("this case is for transports with a limit");
    let (fits, large) =
        (Message::new(bench.topic(), vec![b'f'; limit]), Message::new(bench.topic(), vec![0; limit + 1]));
    let batch = vec![bench.message("first"), large.clone(), fits.clone(), bench.message("last")];
    let unsent = bench.publisher().await.publish(batch).await.expect_err("one is too large");
    let [failed] = &unsent.failed[..] else { panic!("one failed, not {}", unsent.failed.len()) };
    assert_eq!((failed.index, failed.outcome), (1, Outcome::Refused));
    assert_eq!(failed.error.kind(), ErrorKind::TooLarge);
    assert!(failed.message == large, "it comes back as it was");
    let told = failed.error.to_string();
    for size in [limit, limit + 1] {
        assert!(told.contains(&size.to_string()), "`{told}` names {size}");
    }
    let came = bench.member("g").await.take(3).await;
    let sizes: Vec<_> = came.iter().map(|delivery| delivery.message.size()).collect();
    assert_eq!(sizes, [5, limit, 4], "the rest of the batch arrived");
}

async fn a_message_for_a_missing_topic_is_refused_and_the_rest_is_confirmed(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let lost = Message::new(bench.topic_named("missing"), "lost");
    let batch = vec![bench.message("first"), lost.clone(), bench.message("last")];
    let unsent = bench.publisher().await.publish(batch).await.expect_err("one topic is missing");
    let [failed] = &unsent.failed[..] else { panic!("one failed, not {}", unsent.failed.len()) };
    assert_eq!((failed.index, failed.outcome, &failed.message), (1, Outcome::Refused, &lost));
    assert_eq!(failed.error.kind(), ErrorKind::Missing);
    let told = failed.error.to_string();
    assert!(told.contains(&*bench.topic_named("missing")), "`{told}` names the topic");
    assert_eq!(texts(&bench.member("g").await.take(2).await), ["first", "last"]);
}

/// Of many on their way at once, from several tasks, exactly those of a topic that no group is bound to.
async fn what_nobody_takes_is_refused_and_nothing_else(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let unread = bench.topic_named("unread");
    let topology =
        Topology { topics: vec![TopicSpec::new(unread.clone())], groups: Vec::new(), ..bench.topology(1, &[]) };
    bench.transport().await.ensure(&topology).await.expect("the topic is made");
    let publisher = bench.publisher().await;
    let lost = |number: usize| number % 7 < 2 || (300..340).contains(&number);
    let publishing = (0..4).map(|task| {
        let message = |number: usize| {
            let text = format!("{task}.{number}");
            // Some have ids of their own, as events have.
            let message =
                if lost(number) { Message::new(unread.clone(), text.clone()) } else { bench.message(text.clone()) };
            if number.is_multiple_of(2) { message.header("ce_id", text) } else { message }
        };
        let (batch, publisher): (Vec<_>, _) = ((0..1000).map(message).collect(), publisher.clone());
        async move { publisher.publish(batch).await.expect_err("some are taken by nobody") }
    });
    for unsent in futures_util::future::join_all(publishing).await {
        let refused: Vec<usize> = unsent.failed.iter().map(|failed| failed.index).collect();
        assert_eq!(refused, (0..1000).filter(|number| lost(*number)).collect::<Vec<_>>());
        for failed in &unsent.failed {
            assert_eq!(
                (failed.outcome, failed.error.kind()),
                (Outcome::Refused, ErrorKind::Missing),
                "{}",
                failed.error
            );
        }
    }
    let taken =
        (0..4).flat_map(|task| (0..1000).filter(move |number| !lost(*number)).map(move |n| format!("{task}.{n}")));
    let (mut taken, mut reader) = (set(taken), bench.member("g").await);
    while !taken.is_empty() {
        for text in texts(&reader.take_and_settle(taken.len().min(100)).await) {
            assert!(taken.remove(&text), "{text} was taken, and once");
        }
    }
}

async fn publishing_after_close_is_not_sent(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let publisher = bench.publisher().await;
    publisher.close(bench.soon()).await.expect("closes");
    let batch = vec![bench.message("a"), bench.message("b").key("k")];
    let unsent = publisher.publish(batch.clone()).await.expect_err("it is closed");
    assert_eq!(unsent.failed.len(), 2);
    for (index, (failed, sent)) in unsent.failed.iter().zip(&batch).enumerate() {
        assert_eq!((failed.index, failed.outcome, &failed.message), (index, Outcome::NotSent, sent));
        assert_eq!(failed.error.kind(), ErrorKind::Closed);
    }
    bench.nothing_more_for(&mut bench.member("g").await).await;
}

async fn closing_a_publisher_waits_for_what_is_under_way(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let publisher = bench.publisher().await;
    let batch: Vec<_> = numbered("m", 0..500).into_iter().map(|text| bench.message(text)).collect();
    // Polled in this order, so the batch is handed over before the close begins.
    let (result, closed) = tokio::join!(publisher.publish(batch), publisher.close(bench.soon()));
    closed.expect("closes in time");
    result.expect("what was under way is confirmed");
    assert_eq!(texts(&bench.member("g").await.take(500).await), numbered("m", 0..500));
}
