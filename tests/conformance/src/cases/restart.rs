//! Settling, and what a source that comes later still gets.

use std::time::Duration;

use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{Capability, CommitPolicy, Position, SubscribeSpec};

use super::Case;
use crate::support::{Bench, Reader, numbered, texts};

pub(super) const CASES: &[Case] = &[
    case!(what_is_settled_is_not_delivered_again),
    case!(what_is_not_settled_is_delivered_again_in_order),
    case!(what_is_settled_out_of_order_loses_nothing),
    case!(what_is_settled_above_an_unsettled_message_stays_settled).needs(&[Capability::SettlesSingly]),
    case!(what_is_settled_in_any_order_counts_once_all_is),
    case!(a_verdict_given_twice_does_nothing),
    case!(a_verdict_of_an_earlier_epoch_does_nothing),
    case!(a_verdict_for_what_was_never_delivered_does_nothing),
    case!(a_close_makes_verdicts_durable_whatever_the_policy),
    case!(verdicts_become_durable_by_number),
    case!(verdicts_become_durable_by_time),
    case!(a_group_that_has_settled_goes_on_there_wherever_it_is_told_to_start),
];

/// A reader of the only lane, with `m0` to `m9` out.
async fn ten_out(bench: &Bench, spec: SubscribeSpec) -> (Reader, Vec<gulo_bus_core::transport::Delivery>) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..10)).await;
    let mut reader = bench.reader(spec).await;
    let out = reader.take(10).await;
    assert_eq!(texts(&out), numbered("m", 0..10));
    (reader, out)
}

/// What a new member gets, up to a message that is published now.
async fn what_is_left(bench: &Bench) -> Vec<String> {
    bench.publish(["fence"]).await;
    let mut left = bench.member("g").await.up_to("fence").await;
    left.pop();
    left
}

async fn what_is_settled_is_not_delivered_again(bench: Bench) {
    let (mut reader, out) = ten_out(&bench, bench.spec("g")).await;
    reader.settle(&out);
    reader.close().await;
    assert_eq!(what_is_left(&bench).await, [""; 0]);
}

async fn what_is_not_settled_is_delivered_again_in_order(bench: Bench) {
    let (mut reader, out) = ten_out(&bench, bench.spec("g")).await;
    reader.settle(&out[..4]);
    reader.close().await;
    let mut reader = bench.member("g").await;
    assert_eq!(texts(&reader.take(6).await), numbered("m", 4..10));
    bench.nothing_more_for(&mut reader).await;
    reader.close().await;
    // It is not settled by having been delivered twice.
    let mut reader = bench.member("g").await;
    assert_eq!(texts(&reader.take(6).await), numbered("m", 4..10));
}

async fn what_is_settled_out_of_order_loses_nothing(bench: Bench) {
    let (mut reader, mut out) = ten_out(&bench, bench.spec("g")).await;
    let unsettled = [out.remove(7), out.remove(3)].map(|delivery| delivery.token.seq);
    assert_eq!(unsettled, [7, 3]);
    reader.settle(out.iter().rev());
    reader.close().await;
    let left = what_is_left(&bench).await;
    // Settled ones between them may come again where the broker remembers one position only.
    assert_eq!(left.first().map(String::as_str), Some("m3"), "{left:?}");
    assert!(left.contains(&"m7".to_owned()), "{left:?}");
    assert!(left.is_sorted(), "{left:?} is in order");
}

async fn what_is_settled_above_an_unsettled_message_stays_settled(bench: Bench) {
    let (mut reader, out) = ten_out(&bench, bench.spec("g")).await;
    reader.settle(out.iter().skip(1).step_by(2));
    reader.close().await;
    assert_eq!(what_is_left(&bench).await, ["m0", "m2", "m4", "m6", "m8"]);
}

async fn what_is_settled_in_any_order_counts_once_all_is(bench: Bench) {
    let (mut reader, out) = ten_out(&bench, bench.spec("g")).await;
    for index in [3, 0, 9, 1, 2, 8, 5, 4, 7, 6] {
        reader.settle([&out[index]]);
    }
    reader.close().await;
    assert_eq!(what_is_left(&bench).await, [""; 0]);
}

async fn a_verdict_given_twice_does_nothing(bench: Bench) {
    let (mut reader, out) = ten_out(&bench, bench.spec("g")).await;
    reader.settle([&out[0], &out[0], &out[1], &out[0]]);
    reader.settle([&out[1], &out[0]]);
    reader.close().await;
    assert_eq!(what_is_left(&bench).await, numbered("m", 2..10));
}

async fn a_verdict_of_an_earlier_epoch_does_nothing(bench: Bench) {
    let (mut reader, old) = ten_out(&bench, bench.spec("g")).await;
    let lane = reader.lane().await;
    reader.release(lane).await;
    // Before the new epoch has delivered, and after: then the same numbers are out.
    reader.settle(&old);
    assert_eq!(texts(&reader.take(10).await), numbered("m", 0..10));
    reader.settle(&old);
    reader.close().await;
    assert_eq!(what_is_left(&bench).await, numbered("m", 0..10));
}

async fn a_verdict_for_what_was_never_delivered_does_nothing(bench: Bench) {
    let (mut reader, out) = ten_out(&bench, bench.spec("g")).await;
    let mut beyond = out[9].token;
    beyond.seq += 1;
    let mut elsewhere = out[0].token;
    elsewhere.lane.slot += 100;
    reader.verdicts(vec![Settlement::done(beyond), Settlement::done(elsewhere)]).expect("they are ignored");
    bench.publish(["m10"]).await;
    assert_eq!(texts(&reader.take(1).await), ["m10"]);
    reader.close().await;
    assert_eq!(what_is_left(&bench).await, numbered("m", 0..11));
}

fn policy(every: usize, interval: Duration) -> CommitPolicy {
    CommitPolicy { every, interval }
}

const NEVER: Duration = Duration::from_secs(3600);

async fn a_close_makes_verdicts_durable_whatever_the_policy(bench: Bench) {
    let spec = SubscribeSpec { commit: policy(usize::MAX, NEVER), ..bench.spec("g") };
    let (mut reader, out) = ten_out(&bench, spec).await;
    reader.settle(&out[..6]);
    reader.close().await;
    assert_eq!(what_is_left(&bench).await, numbered("m", 6..10));
}

/// What is left of nine settled messages when the member vanishes a second after the last verdict. The tenth is still out: where
/// nothing is, a transport may tell the broker sooner than the policy asks.
async fn left_after_a_crash(bench: &Bench, commit: CommitPolicy) -> Vec<String> {
    let (mut reader, out) = ten_out(bench, SubscribeSpec { commit, ..bench.spec("g") }).await;
    for delivery in &out[..9] {
        reader.settle([delivery]);
    }
    // No event tells of a commit: time is all there is to wait for.
    reader.run_for(Duration::from_secs(1), 0).await;
    drop(reader);
    let mut left = what_is_left(bench).await;
    assert_eq!(left.pop().as_deref(), Some("m9"), "it is not settled");
    left
}

async fn verdicts_become_durable_by_number(bench: Bench) {
    let left = left_after_a_crash(&bench, policy(4, NEVER)).await;
    assert!(left.len() < 4, "of every four, all that were settled are durable: {left:?}");
}

async fn verdicts_become_durable_by_time(bench: Bench) {
    let left = left_after_a_crash(&bench, policy(usize::MAX, Duration::from_millis(100))).await;
    assert_eq!(left, [""; 0]);
}

async fn a_group_that_has_settled_goes_on_there_wherever_it_is_told_to_start(bench: Bench) {
    let (mut reader, out) = ten_out(&bench, bench.spec("g")).await;
    reader.settle(&out[..4]);
    reader.close().await;
    for start in [Position::Latest, Position::Earliest, Position::Committed] {
        let mut reader = bench.reader(SubscribeSpec { start, ..bench.spec("g") }).await;
        assert_eq!(texts(&reader.take(6).await), numbered("m", 4..10), "told to start at {start:?}");
        reader.close().await;
    }
}
