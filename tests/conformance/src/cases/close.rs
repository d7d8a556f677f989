//! Closing, with a broker that answers.

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{Control, Inbox, LaneEvent};
use tokio::time::timeout;

use super::Case;
use crate::support::{Bench, numbered, texts};

pub(super) const CASES: &[Case] = &[
    case!(a_source_closes_before_it_has_received_anything),
    case!(a_source_that_is_closed_receives_no_more),
    case!(closing_leaves_no_member_behind),
    case!(a_source_closes_in_good_order_behind_a_release),
];

async fn a_source_closes_before_it_has_received_anything(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..5)).await;
    bench.member("g").await.close().await;
    assert_eq!(texts(&bench.member("g").await.take(5).await), numbered("m", 0..5));
}

async fn a_source_that_is_closed_receives_no_more(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..5)).await;
    let mut source = bench.transport().await.subscribe(bench.spec("g")).await.expect("the subscription is taken");
    source.close(bench.soon()).await.expect("closed in good order");
    let mut inbox = Inbox::default();
    let received = timeout(bench.patience(), source.recv(&mut inbox, 10)).await.expect("it does not wait");
    assert_eq!(received.expect_err("it is closed").kind(), ErrorKind::Closed);
    assert!(inbox.is_empty());
}

async fn closing_leaves_no_member_behind(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    for round in 0..3 {
        bench.publish(numbered(&format!("{round}."), 0..20)).await;
        // One that had left in name only would keep lanes, and so messages.
        let mut reader = bench.member("g").await;
        reader.take_and_settle(20).await;
        reader.close().await;
    }
}

async fn a_source_closes_in_good_order_behind_a_release(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..5)).await;
    let mut reader = bench.member("g").await;
    let out = reader.take(5).await;
    reader.settle(&out[..3]);
    let lane = reader.lane().await;
    reader.control(Control::Release(vec![lane]));
    reader.until("the lane closes", 0, |reader| reader.happened(&LaneEvent::Closed(lane))).await;
    // It may be opening again.
    reader.close().await;
    assert_eq!(texts(&bench.member("g").await.take(2).await), numbered("m", 3..5));
}
