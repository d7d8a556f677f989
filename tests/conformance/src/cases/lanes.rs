//! Lanes and what can be asked to be done to them.

use gulo_bus_core::transport::{Capability, Control, Delivery, LaneEvent, Position};

use super::Case;
use crate::support::{Bench, Reader, numbered, texts};

pub(super) const CASES: &[Case] = &[
    case!(a_released_lane_opens_again_with_what_was_unsettled),
    case!(a_release_makes_verdicts_durable),
    case!(commands_for_an_earlier_epoch_do_nothing).needs(&[Capability::Pause]),
    case!(a_resumed_lane_goes_on_with_the_exact_next_message).needs(&[Capability::Pause]),
    case!(what_is_out_can_be_settled_while_its_lane_is_paused).needs(&[Capability::Pause]),
    case!(a_paused_lane_leaves_the_others_running).needs(&[Capability::Pause, Capability::Partitions]),
    case!(a_lane_moved_to_the_earliest_replays_all).needs(&[Capability::Seek]),
    case!(a_lane_moved_to_an_offset_goes_on_there).needs(&[Capability::Seek]),
    case!(a_lane_moved_to_the_latest_skips_what_was_there).needs(&[Capability::Seek]),
    case!(a_lane_moved_to_where_its_group_stands_repeats_the_unsettled).needs(&[Capability::Seek]),
    case!(only_the_lane_that_is_moved_moves).needs(&[Capability::Seek, Capability::Partitions]),
    case!(a_move_alone_changes_nothing_for_the_group).needs(&[Capability::Seek]),
    case!(the_group_follows_a_move_with_the_next_settlement).needs(&[Capability::Seek]),
];

/// A reader of the only lane, which holds `m0` to `m9`; `out` of them are out.
async fn reader_of_ten(bench: &Bench, out: usize) -> (Reader, Vec<Delivery>) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..10)).await;
    let mut reader = bench.member("g").await;
    let out = reader.take(out).await;
    (reader, out)
}

async fn a_released_lane_opens_again_with_what_was_unsettled(bench: Bench) {
    let (mut reader, out) = reader_of_ten(&bench, 6).await;
    reader.settle(&out[..2]);
    let lane = reader.lane().await;
    reader.release(lane).await;
    assert_eq!(texts(&reader.take(8).await), numbered("m", 2..10));
    bench.nothing_more_for(&mut reader).await;
}

async fn a_release_makes_verdicts_durable(bench: Bench) {
    let (mut reader, out) = reader_of_ten(&bench, 6).await;
    reader.settle(&out[..5]);
    let lane = reader.lane().await;
    reader.release(lane).await;
    // It vanishes: what was settled is durable by the release alone.
    drop(reader);
    assert_eq!(texts(&bench.member("g").await.take(5).await), numbered("m", 5..10));
}

async fn commands_for_an_earlier_epoch_do_nothing(bench: Bench) {
    let (mut reader, _) = reader_of_ten(&bench, 3).await;
    let old = reader.lane().await;
    let new = reader.release(old).await;
    reader.control(Control::Pause(old));
    reader.control(Control::Release(vec![old]));
    if bench.capabilities().await.seek {
        reader.control(Control::Seek { lane: old, to: Position::Latest });
    }
    assert_eq!(texts(&reader.take(10).await), numbered("m", 0..10));
    // Commands are answered in order: after this, the others would have been.
    reader.control(Control::Pause(new));
    reader.until("the new epoch pauses", 0, |reader| reader.happened(&LaneEvent::Paused(new))).await;
    assert!(!reader.happened(&LaneEvent::Paused(old)), "{:#?}", reader.events());
    assert_eq!(reader.lane().await, new);
}

async fn pause(reader: &mut Reader, lane: gulo_bus_core::settle::Lane) {
    reader.control(Control::Pause(lane));
    reader.until("the lane pauses", 0, |reader| reader.lanes.open[&lane].paused).await;
}

async fn resume(reader: &mut Reader, lane: gulo_bus_core::settle::Lane) {
    reader.control(Control::Resume(lane));
    reader.until("the lane resumes", 0, |reader| !reader.lanes.open[&lane].paused).await;
}

async fn a_resumed_lane_goes_on_with_the_exact_next_message(bench: Bench) {
    let (mut reader, _) = reader_of_ten(&bench, 4).await;
    let lane = reader.lane().await;
    pause(&mut reader, lane).await;
    bench.publish(numbered("m", 10..15)).await;
    resume(&mut reader, lane).await;
    assert_eq!(texts(&reader.take(11).await), numbered("m", 4..15));
    assert_eq!(reader.lane().await, lane, "its epoch is the same");
    bench.nothing_more_for(&mut reader).await;
}

async fn what_is_out_can_be_settled_while_its_lane_is_paused(bench: Bench) {
    let (mut reader, out) = reader_of_ten(&bench, 4).await;
    let lane = reader.lane().await;
    pause(&mut reader, lane).await;
    reader.settle(&out);
    reader.close().await;
    assert_eq!(texts(&bench.member("g").await.take(6).await), numbered("m", 4..10));
}

async fn a_paused_lane_leaves_the_others_running(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    bench.publish_to(0, numbered("a", 0..5)).await;
    let mut reader = bench.member("g").await;
    reader.take(2).await;
    let lane = reader.lane_of(0);
    pause(&mut reader, lane).await;
    bench.publish_to(1, numbered("b", 0..50)).await;
    // Little by little, so that each lane would have its turn. That nothing of the paused one is among them is seen to
    // by the reader.
    for five in (0..50).step_by(5) {
        assert_eq!(texts(&reader.take_and_settle(5).await), numbered("b", five..five + 5));
    }
    resume(&mut reader, lane).await;
    assert_eq!(texts(&reader.take(3).await), numbered("a", 2..5));
}

/// Moves the only lane and waits for its next epoch.
async fn seek(reader: &mut Reader, to: Position) {
    let lane = reader.lane().await;
    reader.control(Control::Seek { lane, to });
    reader.reopened(lane).await;
}

async fn a_lane_moved_to_the_earliest_replays_all(bench: Bench) {
    let (mut reader, out) = reader_of_ten(&bench, 7).await;
    reader.settle(&out);
    seek(&mut reader, Position::Earliest).await;
    assert_eq!(texts(&reader.take(10).await), numbered("m", 0..10));
    bench.nothing_more_for(&mut reader).await;
}

async fn a_lane_moved_to_an_offset_goes_on_there(bench: Bench) {
    let (mut reader, out) = reader_of_ten(&bench, 10).await;
    for index in [6, 2, 8] {
        let offset = out[index].offset.expect("where one can seek there are offsets");
        seek(&mut reader, Position::Offset(offset)).await;
        assert_eq!(texts(&reader.take(10 - index).await), numbered("m", index..10));
    }
    bench.nothing_more_for(&mut reader).await;
}

async fn a_lane_moved_to_the_latest_skips_what_was_there(bench: Bench) {
    let (mut reader, _) = reader_of_ten(&bench, 2).await;
    seek(&mut reader, Position::Latest).await;
    bench.nothing_more_for(&mut reader).await;
}

async fn a_lane_moved_to_where_its_group_stands_repeats_the_unsettled(bench: Bench) {
    let (mut reader, out) = reader_of_ten(&bench, 10).await;
    reader.settle(&out[..3]);
    seek(&mut reader, Position::Committed).await;
    assert_eq!(texts(&reader.take(7).await), numbered("m", 3..10));
}

async fn only_the_lane_that_is_moved_moves(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    bench.publish_to(0, numbered("a", 0..5)).await;
    bench.publish_to(1, numbered("b", 0..5)).await;
    let mut reader = bench.member("g").await;
    reader.take(10).await;
    let (moved, still) = (reader.lane_of(0), reader.lane_of(1));
    reader.control(Control::Seek { lane: moved, to: Position::Earliest });
    reader.reopened(moved).await;
    assert_eq!(texts(&reader.take(5).await), numbered("a", 0..5));
    bench.publish_to(1, ["b5"]).await;
    assert_eq!(texts(&reader.take(1).await), ["b5"]);
    assert_eq!(reader.lane_of(1), still, "its epoch is the same");
}

async fn a_move_alone_changes_nothing_for_the_group(bench: Bench) {
    let (mut reader, out) = reader_of_ten(&bench, 8).await;
    reader.settle(&out[..4]);
    seek(&mut reader, Position::Latest).await;
    seek(&mut reader, Position::Earliest).await;
    reader.take(8).await;
    // The same numbers are out, and these are of an epoch that is over.
    reader.settle(&out);
    reader.close().await;
    assert_eq!(texts(&bench.member("g").await.take(6).await), numbered("m", 4..10));
}

async fn the_group_follows_a_move_with_the_next_settlement(bench: Bench) {
    let (mut reader, out) = reader_of_ten(&bench, 10).await;
    reader.settle(&out);
    seek(&mut reader, Position::Earliest).await;
    reader.take_and_settle(2).await;
    reader.close().await;
    assert_eq!(texts(&bench.member("g").await.take(8).await), numbered("m", 2..10));
}
