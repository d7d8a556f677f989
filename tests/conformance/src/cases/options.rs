//! What only some brokers offer: verdicts, and wishes of the sender.

use std::time::Duration;

use gulo_bus_core::message::{Message, SendOptions};
use gulo_bus_core::settle::{Settlement, Verdict};
use gulo_bus_core::transport::Capability;

use super::Case;
use crate::support::{Bench, Reader, numbered, texts};

pub(super) const CASES: &[Case] = &[
    case!(what_is_requeued_is_delivered_again).needs(&[Capability::Requeue]),
    case!(what_is_rejected_is_not_delivered_again).needs(&[Capability::Reject]),
    case!(a_message_that_has_expired_does_not_come).needs(&[Capability::Expires]),
    case!(a_message_of_higher_priority_goes_first).needs(&[Capability::Priority]),
];

/// A reader to whom `m0` to `m2` are out, the middle one with `verdict` and the others done.
async fn one_with(bench: &Bench, verdict: Verdict) -> Reader {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..3)).await;
    let mut reader = bench.member("g").await;
    let out = reader.take(3).await;
    let mut verdicts: Vec<_> = out.iter().map(|delivery| Settlement::done(delivery.token)).collect();
    verdicts[1].verdict = verdict;
    reader.verdicts(verdicts).expect("verdicts are taken");
    reader
}

async fn what_is_requeued_is_delivered_again(bench: Bench) {
    let mut reader = one_with(&bench, Verdict::Requeue).await;
    assert_eq!(texts(&reader.take_and_settle(1).await), ["m1"]);
    bench.nothing_more_for(&mut reader).await;
}

async fn what_is_rejected_is_not_delivered_again(bench: Bench) {
    let reader = one_with(&bench, Verdict::Reject).await;
    reader.close().await;
    bench.nothing_more_for(&mut bench.member("g").await).await;
}

fn wishing(bench: &Bench, text: &str, send: SendOptions) -> Message {
    Message { send: send.into(), ..bench.message(text) }
}

async fn a_message_that_has_expired_does_not_come(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let lifetime = Duration::from_millis(50);
    let brief = SendOptions { expires: Some(lifetime), ..SendOptions::default() };
    bench.send(vec![wishing(&bench, "brief", brief)]).await;
    // Time is what this is about.
    tokio::time::sleep(lifetime * 3).await;
    bench.nothing_more_for(&mut bench.member("g").await).await;
}

async fn a_message_of_higher_priority_goes_first(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let ranked =
        |text: &str, rank| wishing(&bench, text, SendOptions { priority: Some(rank), ..SendOptions::default() });
    bench.send(vec![ranked("low", 1), ranked("high", 9), ranked("middle", 5)]).await;
    assert_eq!(texts(&bench.member("g").await.take(3).await), ["high", "middle", "low"]);
}
