//! What a transport does not offer is refused by name, and never ignored.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gulo_bus_core::message::{Message, SendOptions};
use gulo_bus_core::settle::{Settlement, Verdict};
use gulo_bus_core::transport::{Capability, Control, Member, Outcome, Position, SubscribeSpec, Topics};
use gulo_bus_core::{Error, ErrorKind};

use super::Case;
use crate::support::{Bench, numbered, texts};

pub(super) const CASES: &[Case] = &[
    case!(a_solo_reader_is_refused_by_name).lacks(&[Capability::Solo]),
    case!(a_pattern_is_refused_by_name).lacks(&[Capability::Patterns]),
    case!(a_position_in_history_is_refused_by_name).lacks(&[Capability::History]),
    case!(several_partitions_are_refused_by_name).lacks(&[Capability::Partitions, Capability::CreateTopics]),
    case!(a_pause_is_refused_by_name).lacks(&[Capability::Pause]),
    case!(a_seek_is_refused_by_name).lacks(&[Capability::Seek]),
    case!(a_requeue_is_refused_by_name).lacks(&[Capability::Requeue]),
    case!(a_reject_is_refused_by_name).lacks(&[Capability::Reject]),
    case!(a_transaction_is_refused_by_name).lacks(&[Capability::Transactions]),
    case!(a_chosen_partition_is_refused_by_name).lacks(&[Capability::Partitions]),
    case!(a_delivery_time_is_refused_by_name).lacks(&[Capability::DeliverAt]),
    case!(an_expiry_is_refused_by_name).lacks(&[Capability::Expires]),
    case!(a_priority_is_refused_by_name).lacks(&[Capability::Priority]),
    case!(a_tombstone_is_refused_by_name).lacks(&[Capability::Tombstones]),
    case!(a_null_header_is_refused_by_name).lacks(&[Capability::NullHeaders]),
    case!(a_header_given_twice_is_refused_by_name).lacks(&[Capability::DuplicateHeaders]),
];

fn assert_names(error: &Error, capability: Capability) {
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let told = error.to_string();
    assert!(told.contains(capability.name()), "`{told}` names `{capability}`");
}

async fn subscription_refused(bench: &Bench, spec: SubscribeSpec, capability: Capability) {
    bench.one_lane(&["g"]).await;
    let result = bench.transport().await.subscribe(spec).await;
    assert_names(&result.err().expect("it is refused"), capability);
}

async fn a_solo_reader_is_refused_by_name(bench: Bench) {
    let spec = SubscribeSpec::solo([bench.topic()]);
    subscription_refused(&bench, spec, Capability::Solo).await;
}

async fn a_pattern_is_refused_by_name(bench: Bench) {
    let spec = SubscribeSpec::new(Topics::Pattern("conformance-.*".to_owned()), Member::Group(bench.group("g")));
    subscription_refused(&bench, spec, Capability::Patterns).await;
}

async fn a_position_in_history_is_refused_by_name(bench: Bench) {
    for start in [Position::At(SystemTime::UNIX_EPOCH), Position::Offset(0)] {
        subscription_refused(&bench, SubscribeSpec { start, ..bench.spec("g") }, Capability::History).await;
    }
}

async fn several_partitions_are_refused_by_name(bench: Bench) {
    let result = bench.transport().await.ensure(&bench.topology(3, &["g"])).await;
    assert_names(&result.expect_err("it is refused"), Capability::Partitions);
}

/// What a command of each lane is answered with.
async fn command_refused(bench: &Bench, command: fn(gulo_bus_core::settle::Lane) -> Control, capability: Capability) {
    bench.one_lane(&["g"]).await;
    let mut reader = bench.member("g").await;
    let lane = reader.lane().await;
    assert_names(&reader.try_control(command(lane)).expect_err("it is refused"), capability);
    bench.nothing_more_for(&mut reader).await;
}

async fn a_pause_is_refused_by_name(bench: Bench) {
    command_refused(&bench, Control::Pause, Capability::Pause).await;
}

async fn a_seek_is_refused_by_name(bench: Bench) {
    command_refused(&bench, |lane| Control::Seek { lane, to: Position::Earliest }, Capability::Seek).await;
}

/// The verdict is refused, its delivery stays unsettled, and the others of the batch are settled.
async fn verdict_refused(bench: &Bench, verdict: Verdict, capability: Capability) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..4)).await;
    let mut reader = bench.member("g").await;
    let mut verdicts: Vec<_> = reader.take(4).await.iter().map(|out| Settlement::done(out.token)).collect();
    let refused = Settlement { verdict, ..verdicts.remove(2) };
    verdicts.insert(1, refused);
    assert_names(&reader.verdicts(verdicts).expect_err("it is refused"), capability);
    reader.close().await;
    bench.publish(["fence"]).await;
    let left = bench.member("g").await.up_to("fence").await;
    let singly = bench.capabilities().await.settles_singly;
    let expected = if singly { &["m2", "fence"][..] } else { &["m2", "m3", "fence"] };
    assert_eq!(left, expected);
}

async fn a_requeue_is_refused_by_name(bench: Bench) {
    verdict_refused(&bench, Verdict::Requeue, Capability::Requeue).await;
}

async fn a_reject_is_refused_by_name(bench: Bench) {
    verdict_refused(&bench, Verdict::Reject, Capability::Reject).await;
}

async fn a_transaction_is_refused_by_name(bench: Bench) {
    let result = bench.transport().await.transaction(&bench.group("transaction")).await;
    assert_names(&result.err().expect("it is refused"), Capability::Transactions);
}

/// The message comes back as it was, and the rest of its batch is confirmed.
async fn message_refused(bench: &Bench, message: Message, capability: Capability) {
    bench.one_lane(&["g"]).await;
    let batch = vec![bench.message("first"), message.clone(), bench.message("last")];
    let unsent = bench.publisher().await.publish(batch).await.expect_err("one is refused");
    let [failed] = &unsent.failed[..] else { panic!("one failed, not {}", unsent.failed.len()) };
    assert_eq!((failed.index, failed.outcome, &failed.message), (1, Outcome::Refused, &message));
    assert_names(&failed.error, capability);
    assert_eq!(texts(&bench.member("g").await.take(2).await), ["first", "last"]);
}

async fn wish_refused(bench: &Bench, send: SendOptions, capability: Capability) {
    message_refused(bench, Message { send: send.into(), ..bench.message("wish") }, capability).await;
}

async fn a_chosen_partition_is_refused_by_name(bench: Bench) {
    let send = SendOptions { partition: Some(0), ..SendOptions::default() };
    wish_refused(&bench, send, Capability::Partitions).await;
}

async fn a_delivery_time_is_refused_by_name(bench: Bench) {
    let send = SendOptions { deliver_at: Some(SystemTime::now()), ..SendOptions::default() };
    wish_refused(&bench, send, Capability::DeliverAt).await;
}

async fn an_expiry_is_refused_by_name(bench: Bench) {
    let send = SendOptions { expires: Some(Duration::from_secs(60)), ..SendOptions::default() };
    wish_refused(&bench, send, Capability::Expires).await;
}

async fn a_priority_is_refused_by_name(bench: Bench) {
    let send = SendOptions { priority: Some(0), ..SendOptions::default() };
    wish_refused(&bench, send, Capability::Priority).await;
}

async fn a_tombstone_is_refused_by_name(bench: Bench) {
    message_refused(&bench, Message::tombstone(bench.topic()).key("k"), Capability::Tombstones).await;
}

async fn a_null_header_is_refused_by_name(bench: Bench) {
    let mut message = bench.message("m");
    message.headers.append_nullable("null", None::<Bytes>);
    message_refused(&bench, message, Capability::NullHeaders).await;
}

async fn a_header_given_twice_is_refused_by_name(bench: Bench) {
    let message = bench.message("m").header("twice", "1").header("twice", "2");
    message_refused(&bench, message, Capability::DuplicateHeaders).await;
}
