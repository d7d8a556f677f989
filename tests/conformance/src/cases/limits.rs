//! The window: how much of a lane may be out.

use std::time::Duration;

use gulo_bus_core::transport::{Capability, SubscribeSpec};

use super::Case;
use crate::support::{Bench, numbered, text, texts};

pub(super) const CASES: &[Case] = &[
    case!(a_full_lane_delivers_no_more_until_it_is_settled),
    case!(the_window_counts_from_the_oldest_unsettled_message),
    case!(a_window_of_one_lets_everything_through_one_by_one),
    case!(a_full_lane_is_held_back_alone).needs(&[Capability::Partitions]),
    case!(a_full_lane_does_not_hold_back_its_events),
];

/// For which nothing must come. The one thing that no fence can show: a message behind it would be held back as well.
const QUIET: Duration = Duration::from_millis(400);

fn windowed(bench: &Bench, window: usize) -> SubscribeSpec {
    SubscribeSpec { window, ..bench.spec("g") }
}

async fn a_full_lane_delivers_no_more_until_it_is_settled(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..10)).await;
    let mut reader = bench.reader(windowed(&bench, 3)).await;
    let first = reader.take(3).await;
    reader.run_for(QUIET, 100).await;
    assert_eq!(texts(&reader.taken()), [""; 0]);
    reader.settle(&first[..2]);
    assert_eq!(texts(&reader.take(2).await), numbered("m", 3..5));
    reader.run_for(QUIET, 100).await;
    assert_eq!(texts(&reader.taken()), [""; 0]);
}

async fn the_window_counts_from_the_oldest_unsettled_message(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..10)).await;
    let mut reader = bench.reader(windowed(&bench, 4)).await;
    let first = reader.take(4).await;
    reader.settle(&first[1..]);
    reader.run_for(QUIET, 100).await;
    assert_eq!(texts(&reader.taken()), [""; 0], "the oldest holds the window");
    reader.settle(&first[..1]);
    assert_eq!(texts(&reader.take(4).await), numbered("m", 4..8));
}

async fn a_window_of_one_lets_everything_through_one_by_one(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..30)).await;
    let mut reader = bench.reader(windowed(&bench, 1)).await;
    for expected in numbered("m", 0..30) {
        let deadline = bench.soon();
        while reader.got.is_empty() {
            assert!(reader.step(100, deadline).await, "{expected} came in time");
        }
        let taken = reader.taken();
        assert_eq!(texts(&taken), [expected]);
        reader.settle(&taken);
    }
}

async fn a_full_lane_is_held_back_alone(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    bench.publish_to(0, numbered("stuck", 0..20)).await;
    bench.publish_to(1, numbered("free", 0..60)).await;
    let mut reader = bench.reader(windowed(&bench, 5)).await;
    let (mut stuck, mut free, deadline) = (Vec::new(), Vec::new(), bench.soon());
    while free.len() < 60 || stuck.len() < 5 {
        assert!(reader.step(100, deadline).await, "{} of 60 came in time", free.len());
        let (of_stuck, of_free) =
            reader.taken().into_iter().partition::<Vec<_>, _>(|delivery| text(delivery).starts_with("stuck"));
        reader.settle(&of_free);
        stuck.extend(of_stuck);
        free.extend(texts(&of_free));
    }
    assert_eq!(free, numbered("free", 0..60));
    assert_eq!(texts(&stuck), numbered("stuck", 0..5));
    reader.settle(&stuck);
    for five in [5..10, 10..15, 15..20] {
        assert_eq!(texts(&reader.take_and_settle(5).await), numbered("stuck", five));
    }
}

async fn a_full_lane_does_not_hold_back_its_events(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..10)).await;
    let mut reader = bench.reader(windowed(&bench, 2)).await;
    reader.take(2).await;
    let lane = reader.lane().await;
    reader.release(lane).await;
    assert_eq!(texts(&reader.take(2).await), numbered("m", 0..2), "of the new epoch nothing is out");
}
