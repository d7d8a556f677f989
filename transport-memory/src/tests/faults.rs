//! The switches do what they say.

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{Outcome, Status};

use super::*;

async fn outcome(transport: &MemoryTransport, text: &str) -> Option<Outcome> {
    publish(transport, vec![message(text)]).await.err().map(|unsent| unsent.failed[0].outcome)
}

#[tokio::test(start_paused = true)]
async fn publishes_meet_the_fate_that_was_set_for_them() {
    let transport = log(1).await;
    let faults = transport.faults();
    faults.refuse_on("other", 1);
    faults.refuse(1);
    faults.fail_on("t", 1);
    faults.lose_acknowledgements(1);
    assert_eq!(outcome(&transport, "a").await, Some(Outcome::Refused));
    assert_eq!(outcome(&transport, "b").await, Some(Outcome::NotSent));
    assert_eq!(outcome(&transport, "c").await, Some(Outcome::Unknown));
    assert_eq!(outcome(&transport, "d").await, None);
    let there: Vec<_> = faults.messages("t").into_iter().filter_map(|message| message.payload).collect();
    assert_eq!(there, ["c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_publish_takes_its_time_and_a_held_one_waits_for_its_release() {
    let transport = log(1).await;
    let (faults, began) = (transport.faults(), Instant::now());
    faults.delay_publishes(Duration::from_secs(2));
    send(&transport, &["a"]).await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    faults.delay_publishes(Duration::ZERO);
    faults.hold_publishes();
    let sender = transport.clone();
    let held = tokio::spawn(async move { outcome(&sender, "b").await });
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(faults.messages("t").len(), 1);
    faults.release_publishes();
    assert_eq!(held.await.unwrap(), None);
    assert_eq!(faults.messages("t").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lane_comes_back_with_all_that_was_not_durable() {
    for transport in [log(1).await, queue().await] {
        send(&transport, &["k:a", "k:b"]).await;
        let mut reader = Reader::new(&transport, SubscribeSpec::group("g", ["t"])).await;
        let got = reader.take(2).await;
        let lane = reader.opened().await;
        reader.done(&got[..1]);
        transport.faults().lose_lane("g", "other", 0);
        transport.faults().lose_lane("g", "t", 0);
        assert!(matches!(reader.event().await, LaneEvent::Lost(lost) if lost == lane));
        assert_eq!(reader.opened().await.epoch, lane.epoch + 1);
        reader.done(&got);
        assert_eq!(payloads(&reader.take(2).await), ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_the_verdicts_that_were_not_durable() {
    for transport in [log(1).await, queue().await] {
        send(&transport, &["k:a", "k:b", "k:c"]).await;
        let spec = SubscribeSpec::group("g", ["t"]);
        let mut reader = Reader::new(&transport, spec.clone()).await;
        let got = reader.take(3).await;
        reader.done(&got[..1]);
        tokio::time::advance(Duration::from_secs(1)).await;
        reader.done(&got[1..2]);
        transport.faults().crash("g");
        let error = reader.source.recv(&mut Inbox::default(), 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        reader.close().await;
        assert_eq!(payloads(&Reader::new(&transport, spec).await.take(2).await), ["b", "c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_wakes_a_source_that_waits() {
    let transport = log(1).await;
    let mut reader = Reader::new(&transport, spec()).await;
    reader.opened().await;
    let waiting = tokio::spawn(async move { reader.source.recv(&mut reader.inbox, 1).await });
    tokio::task::yield_now().await;
    transport.faults().crash("g");
    assert!(timeout(HOUR, waiting).await.unwrap().unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn while_the_broker_is_away_publishes_fail_in_time_and_sources_are_degraded() {
    for transport in [log(1).await, queue().await] {
        let mut reader = Reader::new(&transport, spec()).await;
        reader.opened().await;
        transport.faults().down();
        assert!(matches!(transport.status(), Status::Down { .. }));
        assert!(matches!(reader.event().await, LaneEvent::Degraded(_)));
        let began = Instant::now();
        assert_eq!(outcome(&transport, "a").await, Some(Outcome::NotSent));
        assert_eq!(began.elapsed(), Duration::from_secs(30));
        assert_eq!(transport.ensure(&topology(&["x"], &[])).await.unwrap_err().kind(), ErrorKind::Unavailable);
        reader.idle().await;
        let sender = transport.clone();
        let waits = tokio::spawn(async move { outcome(&sender, "b").await });
        tokio::task::yield_now().await;
        transport.faults().up();
        assert_eq!(transport.status(), Status::Up);
        assert_eq!(waits.await.unwrap(), None);
        assert!(matches!(reader.event().await, LaneEvent::Recovered));
        assert_eq!(payloads(&reader.take(1).await), ["b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_at_its_deadline_when_the_broker_is_away() {
    for transport in [log(1).await, queue().await] {
        send(&transport, &["a"]).await;
        let mut reader = Reader::new(&transport, spec()).await;
        let got = reader.take(1).await;
        transport.faults().down();
        reader.done(&got);
        let began = Instant::now();
        let error = reader.source.close(began + Duration::from_secs(5)).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (ErrorKind::TimedOut, Duration::from_secs(5)));
        transport.faults().up();
        assert_eq!(payloads(&Reader::new(&transport, spec()).await.take(1).await), ["a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_while_the_broker_is_away_is_done_when_it_is_back() {
    let transport = log(1).await;
    send(&transport, &["a", "b"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(2).await;
    let lane = reader.opened().await;
    transport.faults().down();
    reader.event().await;
    reader.done(&got[..1]);
    reader.control(Control::Release(vec![lane]));
    reader.idle().await;
    transport.faults().up();
    assert!(matches!(reader.event().await, LaneEvent::Recovered));
    assert!(matches!(reader.event().await, LaneEvent::Closed(_)));
    assert_eq!(payloads(&reader.take(1).await), ["b"]);
}
