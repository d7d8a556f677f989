//! The queue shape: competing members, single verdicts, nothing before the first group.

use std::time::SystemTime;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{Member, Outcome, Position};

use super::*;

#[tokio::test(start_paused = true)]
async fn without_a_group_a_message_is_refused_by_name() {
    let transport = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    transport.ensure(&topology(&["t"], &[])).await.unwrap();
    let unsent = publish(&transport, vec![message("a")]).await.unwrap_err();
    assert_eq!(unsent.failed[0].outcome, Outcome::Refused);
    assert!(unsent.to_string().contains("unroutable: no group is bound to topic `t`"), "{unsent}");
    let mut reader = Reader::new(&transport, spec()).await;
    send(&transport, &["b"]).await;
    assert_eq!(payloads(&reader.take(1).await), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn what_may_wait_unrouted_goes_to_the_first_group() {
    let transport = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue).keep_unrouted(true));
    transport.ensure(&topology(&["t"], &[])).await.unwrap();
    send(&transport, &["a", "b"]).await;
    assert_eq!(transport.faults().messages("t").len(), 2);
    assert_eq!(payloads(&Reader::new(&transport, spec()).await.take(2).await), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn members_compete_and_a_key_stays_with_one_of_them() {
    let transport = queue().await;
    send(&transport, &["k:a", "k:b", "l:c"]).await;
    let (mut first, mut second) = (Reader::new(&transport, spec()).await, Reader::new(&transport, spec()).await);
    let a = first.take(1).await;
    assert_eq!(payloads(&second.take(1).await), ["c"]);
    assert!(second.drain().await.is_empty());
    first.done(&a);
    assert_eq!(payloads(&second.take(1).await), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn each_verdict_stands_by_itself_and_the_rest_comes_back_in_order() {
    let transport = queue().await;
    send(&transport, &["k:a", "k:b", "k:c"]).await;
    let mut first = Reader::new(&transport, spec()).await;
    let got = first.take(3).await;
    first.done(&got[1..2]);
    first.close().await;
    let mut next = Reader::new(&transport, spec()).await;
    let again = next.take(2).await;
    assert_eq!(payloads(&again), ["a", "c"]);
    assert_eq!(again[0].redelivered, 1);
    next.done(&again);
    next.inbox.events.clear();
    next.idle().await;
    assert_eq!((transport.faults().lag("g"), transport.faults().messages("t").len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_requeued_message_comes_again_at_its_place() {
    let transport = queue().await;
    send(&transport, &["k:a", "k:b"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(1).await;
    reader.verdict(&got[0], Verdict::Requeue).unwrap();
    let again = reader.take(2).await;
    assert_eq!(payloads(&again), ["a", "b"]);
    assert_eq!((again[0].redelivered, again[1].redelivered), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_stands_in_the_dead_letter_topic() {
    let transport = queue_with(MemoryConfig::new().dead_letter("dead")).await;
    send(&transport, &["a", "b"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(2).await;
    reader.verdict(&got[0], Verdict::Reject).unwrap();
    let mut dead = Reader::new(&transport, SubscribeSpec::group("d", ["dead"])).await;
    assert_eq!(payloads(&dead.take(1).await), ["a"]);
    assert_eq!(transport.faults().lag("g"), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_dead_letter_topic_a_reject_is_unsupported_and_leaves_the_message() {
    let transport = queue().await;
    send(&transport, &["a"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(1).await;
    let error = reader.verdict(&got[0], Verdict::Reject).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(transport.faults().lag("g"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_comes_at_its_time_and_an_expired_one_never() {
    let transport = queue().await;
    let mut batch = vec![message("late"), message("gone"), message("now")];
    batch[0].send.deliver_at = Some(SystemTime::now() + Duration::from_secs(60));
    batch[1].send.expires = Some(Duration::from_secs(5));
    publish(&transport, batch).await.unwrap();
    tokio::time::advance(Duration::from_secs(5)).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let now = reader.take(1).await;
    assert_eq!(payloads(&now), ["now"]);
    let began = Instant::now();
    assert_eq!(payloads(&reader.take(1).await), ["late"]);
    assert!((50..=55).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn each_group_has_its_own_copy() {
    let transport = queue().await;
    transport.ensure(&topology(&["t"], &["h"])).await.unwrap();
    send(&transport, &["a"]).await;
    for group in ["g", "h"] {
        let spec = SubscribeSpec { member: Member::Group(group.into()), ..spec() };
        assert_eq!(payloads(&Reader::new(&transport, spec).await.take(1).await), ["a"]);
    }
    assert_eq!(transport.faults().messages("t").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_window_and_a_pause_hold_the_lane_back() {
    let transport = queue().await;
    send(&transport, &["a", "b", "c"]).await;
    let mut reader = Reader::new(&transport, SubscribeSpec { window: 2, ..spec() }).await;
    let got = reader.take(2).await;
    let lane = reader.opened().await;
    reader.done(&got[1..]);
    reader.idle().await;
    reader.control(Control::Pause(lane));
    reader.done(&got[..1]);
    assert!(matches!(reader.event().await, LaneEvent::Paused(_)));
    reader.idle().await;
    reader.control(Control::Resume(lane));
    assert_eq!(payloads(&reader.take(1).await), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn a_released_lane_opens_again_and_the_old_verdicts_do_nothing() {
    let transport = queue().await;
    send(&transport, &["k:a", "k:b"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(2).await;
    let lane = reader.opened().await;
    reader.control(Control::Release(vec![lane]));
    assert!(matches!(reader.event().await, LaneEvent::Closed(closed) if closed == lane));
    assert_eq!(reader.opened().await.epoch, lane.epoch + 1);
    reader.done(&got);
    assert_eq!(payloads(&reader.take(2).await), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn what_queues_do_not_have_is_refused_by_name() {
    let transport = queue().await;
    let specs = [
        ("solo", SubscribeSpec::solo(["t"])),
        ("patterns", SubscribeSpec::new(Topics::Pattern("t".into()), Member::Group("g".into()))),
        ("history", SubscribeSpec { start: Position::Offset(0), ..spec() }),
    ];
    for (capability, spec) in specs {
        let error = transport.subscribe(spec).await.err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(capability), "{error}");
    }
    let mut reader = Reader::new(&transport, spec()).await;
    let lane = reader.opened().await;
    let error = reader.source.control(Control::Seek { lane, to: Position::Earliest }).unwrap_err();
    assert!(error.to_string().contains("seek"));
    let mut many = topology(&["t2"], &[]);
    many.topics[0].partitions = Some(2);
    assert!(transport.ensure(&many).await.unwrap_err().to_string().contains("partitions"));
    let check = Topology { mode: TopologyMode::Check, ..topology(&["t"], &["unbound"]) };
    assert!(transport.ensure(&check).await.unwrap_err().to_string().contains("`unbound`"));
}
