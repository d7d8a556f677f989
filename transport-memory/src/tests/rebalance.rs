//! Members that come and go.

use super::*;

#[tokio::test(start_paused = true)]
async fn only_lanes_that_move_drain_and_they_move_when_released() {
    let transport = log(4).await;
    let mut first = Reader::new(&transport, spec()).await;
    let mut lanes = Vec::new();
    for _ in 0..4 {
        lanes.push(first.opened().await);
    }
    let mut second = Reader::new(&transport, spec()).await;
    let LaneEvent::Draining { lanes: moving, deadline } = first.event().await else { panic!("not draining") };
    assert_eq!((moving.len(), deadline), (2, Instant::now() + Duration::from_secs(10)));
    assert!(timeout(Duration::from_secs(9), second.source.recv(&mut second.inbox, 9)).await.is_err());
    first.control(Control::Release(moving.clone()));
    for lane in moving {
        assert!(matches!(first.event().await, LaneEvent::Closed(closed) if closed == lane));
        second.opened().await;
    }
    first.idle().await;
    second.idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_draining_lane_delivers_nothing_more_and_its_verdicts_still_count() {
    let transport = log(2).await;
    let mut batch = vec![message("a"), message("b"), message("c"), message("d")];
    batch.iter_mut().enumerate().for_each(|(n, message)| message.send.partition = Some(n as u32 / 2));
    publish(&transport, batch).await.unwrap();
    let mut first = Reader::new(&transport, spec()).await;
    let got = first.take(3).await;
    let mut second = Reader::new(&transport, spec()).await;
    assert!(first.drain().await.is_empty(), "the lane of `c` and `d` moves");
    first.done(&got[2..]);
    let Some(LaneEvent::Draining { lanes, .. }) = first.inbox.events.pop() else { panic!("not draining") };
    first.control(Control::Release(lanes));
    assert_eq!(payloads(&second.take(1).await), ["d"]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_whose_owner_never_calls_is_taken_at_the_deadline() {
    let transport = log(2).await;
    send(&transport, &["a", "b"]).await;
    let mut first = Reader::new(&transport, spec()).await;
    let got = first.take(2).await;
    let (mut second, began) = (Reader::new(&transport, spec()).await, Instant::now());
    second.opened().await;
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    let again = second.take(1).await;
    let stale = got.iter().find(|one| one.message == again[0].message).unwrap().clone();
    first.done(&[stale]);
    assert_eq!(transport.faults().lag("g"), 2, "the verdict of the old owner does nothing");
    first.drain().await;
    assert!(first.inbox.events.iter().any(|event| matches!(event, LaneEvent::Closed(_))));
}

#[tokio::test(start_paused = true)]
async fn lanes_of_a_member_that_closes_or_is_dropped_go_to_the_others_at_once() {
    let transport = log(4).await;
    for clean in [true, false] {
        let mut stays = Reader::new(&transport, spec()).await;
        let mut goes = Reader::new(&transport, spec()).await;
        stays.drain().await;
        stays.inbox.events.clear();
        tokio::time::advance(Duration::from_secs(10)).await;
        goes.drain().await;
        assert_eq!(goes.inbox.events.len(), 2);
        stays.drain().await;
        stays.inbox.events.clear();
        if clean {
            goes.close().await;
        }
        drop(goes);
        stays.opened().await;
        stays.opened().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_source_says_so() {
    let transport = log(1).await;
    let mut reader = Reader::new(&transport, spec()).await;
    reader.close().await;
    reader.close().await;
    let error = reader.source.recv(&mut reader.inbox, 1).await.unwrap_err();
    assert_eq!(error.kind(), gulo_bus_core::ErrorKind::Closed);
    assert!(reader.source.settle(&mut Vec::new()).is_err());
}
