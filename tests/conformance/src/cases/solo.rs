//! Readers outside of any group.

use gulo_bus_core::transport::{Capability, Position, SubscribeSpec};

use super::Case;
use crate::support::{Bench, numbered, set, text, texts};

pub(super) const CASES: &[Case] = &[
    case!(a_solo_reader_gets_every_lane).needs(&[Capability::Solo]),
    case!(a_solo_reader_disturbs_no_group).needs(&[Capability::Solo]),
    case!(a_solo_reader_remembers_nothing).needs(&[Capability::Solo]),
    case!(a_solo_reader_may_begin_at_the_latest).needs(&[Capability::Solo]),
    case!(a_solo_reader_may_begin_at_an_offset).needs(&[Capability::Solo, Capability::History]),
    case!(a_solo_reader_is_refused_to_begin_where_a_group_stands).needs(&[Capability::Solo]),
];

async fn a_solo_reader_gets_every_lane(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    bench.publish(numbered("m", 0..100)).await;
    let (mut one, mut two) = (bench.solo(Position::Earliest).await, bench.solo(Position::Earliest).await);
    for reader in [&mut one, &mut two] {
        assert_eq!(set(texts(&reader.take(100).await)), set(numbered("m", 0..100)));
    }
}

async fn a_solo_reader_disturbs_no_group(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..6)).await;
    let mut member = bench.member("g").await;
    let out = member.take(3).await;
    let lane = member.lane().await;
    let mut solo = bench.solo(Position::Earliest).await;
    assert_eq!(texts(&solo.take_and_settle(6).await), numbered("m", 0..6));
    solo.close().await;
    member.settle(&out[..1]);
    assert_eq!(texts(&member.take(3).await), numbered("m", 3..6));
    assert_eq!(member.lane().await, lane);
    member.close().await;
    assert_eq!(text(&bench.member("g").await.one().await), "m1");
}

async fn a_solo_reader_remembers_nothing(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..6)).await;
    for _ in 0..2 {
        let mut solo = bench.solo(Position::Earliest).await;
        assert_eq!(texts(&solo.take_and_settle(6).await), numbered("m", 0..6));
        solo.close().await;
    }
}

async fn a_solo_reader_may_begin_at_the_latest(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..6)).await;
    let mut solo = bench.solo(Position::Latest).await;
    solo.lane().await;
    bench.nothing_more_for(&mut solo).await;
}

async fn a_solo_reader_may_begin_at_an_offset(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..6)).await;
    let fourth = bench.solo(Position::Earliest).await.take(4).await.remove(3);
    let offset = fourth.offset.expect("where there is history there are offsets");
    assert_eq!(texts(&bench.solo(Position::Offset(offset)).await.take(3).await), numbered("m", 3..6));
}

async fn a_solo_reader_is_refused_to_begin_where_a_group_stands(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let spec = SubscribeSpec { start: Position::Committed, ..SubscribeSpec::solo([bench.topic()]) };
    assert!(bench.transport().await.subscribe(spec).await.is_err(), "it has nothing committed");
}
