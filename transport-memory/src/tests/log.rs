//! The log shape: positions, windows, commands, patterns.

use std::time::SystemTime;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{Capability, Member, Position};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_group_goes_on_behind_what_it_settled() {
    let transport = log(1).await;
    send(&transport, &["a", "b", "c"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(3).await;
    assert_eq!(payloads(&got), ["a", "b", "c"]);
    reader.done(&got[..1]);
    reader.done(&got[2..]);
    reader.close().await;
    assert_eq!(transport.faults().committed("g", "t", 0), Some(1));
    assert_eq!(transport.faults().lag("g"), 2);
    let mut next = Reader::new(&transport, spec()).await;
    let left = next.take(1).await;
    assert_eq!(payloads(&left), ["b"], "what was settled above it does not come again");
    next.inbox.events.clear();
    next.idle().await;
    next.done(&left);
    next.close().await;
    assert_eq!(transport.faults().committed("g", "t", 0), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_late_group_and_a_solo_reader_get_the_history() {
    let transport = log(4).await;
    send(&transport, &["k:a", "k:b"]).await;
    for spec in [SubscribeSpec::group("late", ["t"]), SubscribeSpec::solo(["t"])] {
        let mut reader = Reader::new(&transport, spec).await;
        let got = reader.take(2).await;
        assert_eq!(payloads(&got), ["a", "b"]);
        assert_eq!((got[1].offset, got[1].redelivered), (Some(1), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn latest_skips_nothing_between_two_owners() {
    let transport = log(1).await;
    send(&transport, &["before"]).await;
    let latest = SubscribeSpec { start: Position::Latest, ..spec() };
    drop(Reader::new(&transport, latest.clone()).await);
    send(&transport, &["between"]).await;
    assert_eq!(payloads(&Reader::new(&transport, latest).await.take(1).await), ["between"]);
}

#[tokio::test(start_paused = true)]
async fn a_start_by_time_or_offset_is_found() {
    let transport = log(1).await;
    let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let batch = (0..5).map(|n| Message { timestamp: Some(at(n)), ..message(&n.to_string()) }).collect();
    publish(&transport, batch).await.unwrap();
    for (start, first) in [(Position::At(at(3)), "3"), (Position::Offset(2), "2"), (Position::Earliest, "0")] {
        let spec = SubscribeSpec { start, ..SubscribeSpec::solo(["t"]) };
        assert_eq!(payloads(&Reader::new(&transport, spec).await.take(1).await), [first]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_is_held_back_alone() {
    let transport = log(2).await;
    let mut batch: Vec<Message> = (0..6).map(|n| message(&n.to_string())).collect();
    batch.iter_mut().enumerate().for_each(|(n, message)| message.send.partition = Some(n as u32 % 2));
    publish(&transport, batch).await.unwrap();
    let mut reader = Reader::new(&transport, SubscribeSpec { window: 2, ..spec() }).await;
    let got = reader.take(4).await;
    assert!(reader.drain().await.is_empty());
    let even: Vec<Delivery> = got.into_iter().filter(|one| one.partition == Some(0)).collect();
    // The window counts from the oldest unsettled one on: this leaves it full.
    reader.done(&even[1..]);
    assert!(reader.drain().await.is_empty());
    reader.done(&even[..1]);
    assert_eq!(payloads(&reader.drain().await), ["4"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_lane_delivers_nothing_until_it_is_resumed() {
    let transport = log(1).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let lane = reader.opened().await;
    reader.control(Control::Pause(lane));
    assert!(matches!(reader.event().await, LaneEvent::Paused(paused) if paused == lane));
    send(&transport, &["a"]).await;
    reader.idle().await;
    reader.control(Control::Resume(lane));
    assert!(matches!(reader.event().await, LaneEvent::Resumed(resumed) if resumed == lane));
    assert_eq!(payloads(&reader.take(1).await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_released_lane_opens_again_with_what_was_unsettled() {
    let transport = log(1).await;
    send(&transport, &["a", "b", "c"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(3).await;
    let lane = reader.opened().await;
    reader.done(&got[..1]);
    reader.control(Control::Release(vec![lane]));
    assert!(matches!(reader.event().await, LaneEvent::Closed(closed) if closed == lane));
    let again = reader.opened().await;
    assert_eq!((again.slot, again.epoch), (lane.slot, lane.epoch + 1));
    // The verdict of the old epoch does nothing.
    reader.done(&got[1..]);
    reader.control(Control::Pause(lane));
    assert_eq!(payloads(&reader.take(2).await), ["b", "c"]);
    reader.idle().await;
    assert_eq!(transport.faults().committed("g", "t", 0), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_seek_opens_a_new_epoch_and_the_commit_follows_with_the_next_verdict() {
    let transport = log(1).await;
    send(&transport, &["a", "b", "c"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(3).await;
    let lane = reader.opened().await;
    reader.done(&got);
    reader.control(Control::Seek { lane, to: Position::Offset(1) });
    assert!(matches!(reader.event().await, LaneEvent::Closed(closed) if closed == lane));
    assert_eq!(reader.opened().await.epoch, lane.epoch + 1);
    assert_eq!(transport.faults().committed("g", "t", 0), Some(3));
    let got = reader.take(2).await;
    assert_eq!(payloads(&got), ["b", "c"]);
    reader.done(&got[..1]);
    assert_eq!(transport.faults().committed("g", "t", 0), Some(2));
}

#[tokio::test(start_paused = true)]
async fn verdicts_become_durable_by_number_or_by_time() {
    let transport = log(1).await;
    send(&transport, &["a", "b", "c"]).await;
    let mut spec = spec();
    spec.commit = CommitPolicy { every: 2, interval: Duration::from_secs(5) };
    let mut reader = Reader::new(&transport, spec).await;
    let (got, faults) = (reader.take(3).await, transport.faults());
    reader.done(&got[..1]);
    assert_eq!(faults.committed("g", "t", 0), None);
    reader.done(&got[1..2]);
    assert_eq!(faults.committed("g", "t", 0), Some(2));
    reader.done(&got[2..]);
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(faults.committed("g", "t", 0), Some(2));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(faults.committed("g", "t", 0), Some(3));
}

#[tokio::test(start_paused = true)]
async fn verdicts_become_durable_with_a_release_and_a_close() {
    let lazy = SubscribeSpec::group("g", ["t"]);
    let transport = log(1).await;
    let faults = transport.faults();
    send(&transport, &["a", "b"]).await;
    let mut reader = Reader::new(&transport, lazy.clone()).await;
    let (got, lane) = (reader.take(1).await, reader.opened().await);
    reader.done(&got);
    assert_eq!(faults.committed("g", "t", 0), None);
    reader.control(Control::Release(vec![lane]));
    assert_eq!(faults.committed("g", "t", 0), Some(1));
    let got = reader.take(1).await;
    assert_eq!(payloads(&got), ["b"]);
    reader.done(&got);
    reader.close().await;
    assert_eq!(faults.committed("g", "t", 0), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_source_settles_nothing_that_was_not_durable() {
    let transport = log(1).await;
    send(&transport, &["a", "b"]).await;
    let mut reader = Reader::new(&transport, SubscribeSpec::group("g", ["t"])).await;
    let got = reader.take(2).await;
    reader.done(&got[..1]);
    drop(reader);
    assert_eq!(transport.faults().members("g"), 0);
    assert_eq!(payloads(&Reader::new(&transport, spec()).await.take(2).await), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_reads_topics_made_later_too() {
    let transport = log(1).await;
    let topics = Topics::Pattern("t[0-9]*".into());
    let mut reader = Reader::new(&transport, SubscribeSpec::new(topics, Member::Group("g".into()))).await;
    transport.ensure(&topology(&["t1", "other"], &[])).await.unwrap();
    let batch = ["t1", "other", "t"].map(|topic| Message::new(topic, topic.to_owned())).to_vec();
    publish(&transport, batch).await.unwrap();
    let mut got = payloads(&reader.take(2).await);
    got.sort();
    assert_eq!(got, ["t", "t1"]);
    reader.inbox.events.clear();
    reader.idle().await;
}

#[tokio::test(start_paused = true)]
async fn retention_that_overtakes_a_reader_is_a_gap() {
    let transport = log(1).await;
    send(&transport, &["a", "b", "c"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let lane = reader.opened().await;
    transport.faults().forget_before("t", 0, 2);
    assert_eq!(payloads(&reader.take(1).await), ["c"]);
    let gap = reader.event().await;
    assert!(matches!(gap, LaneEvent::Gap { lane: gone, from: 0, to: 2 } if gone == lane), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_by_name() {
    let transport = log(1).await;
    let subscribe = |spec: SubscribeSpec| {
        let transport = transport.clone();
        async move { transport.subscribe(spec).await.err().expect("refused") }
    };
    let solo = SubscribeSpec { start: Position::Committed, ..SubscribeSpec::solo(["t"]) };
    assert_eq!(subscribe(solo).await.kind(), ErrorKind::Config);
    assert_eq!(subscribe(SubscribeSpec { window: 0, ..spec() }).await.kind(), ErrorKind::Config);
    let missing = subscribe(SubscribeSpec::group("g", ["t", "x", "y"])).await;
    assert_eq!(missing.kind(), ErrorKind::Missing);
    assert!(missing.to_string().contains("`x`, `y`") && !missing.to_string().contains("`t`"));
    let transactions = transport.transaction("id").await.err().expect("refused");
    assert_eq!(transactions.kind(), ErrorKind::Unsupported);
    assert!(transactions.to_string().contains(Capability::Transactions.name()));
    let check = Topology { mode: TopologyMode::Check, ..topology(&["t", "p", "q"], &[]) };
    let missing = transport.ensure(&check).await.unwrap_err().to_string();
    assert!(missing.contains("`p`") && missing.contains("`q`") && !missing.contains("`t`"), "{missing}");
}

#[tokio::test(start_paused = true)]
async fn a_verdict_it_does_not_know_leaves_only_that_delivery_unsettled() {
    let transport = log(1).await;
    send(&transport, &["a", "b"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(2).await;
    let requeue = Settlement { token: got[1].token, verdict: Verdict::Requeue };
    let mut batch = vec![requeue, Settlement::done(got[0].token)];
    let error = reader.source.settle(&mut batch).unwrap_err();
    assert!(batch.is_empty() && error.to_string().contains("requeue"));
    assert_eq!(transport.faults().committed("g", "t", 0), Some(1));
}
