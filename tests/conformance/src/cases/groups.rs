//! Groups: who gets what, and what becomes of it when members come and go.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::{Capability, Control, Delivery, Position, SubscribeSpec};

use super::Case;
use crate::support::{Bench, PARTITIONS, Reader, both_until, numbered, set, text, texts};

pub(super) const CASES: &[Case] = &[
    case!(two_groups_each_get_everything),
    case!(two_members_share_the_lanes).needs(&[Capability::Partitions]),
    case!(two_members_share_a_queue).needs(&[Capability::SharedLanes]),
    case!(a_key_is_out_with_one_member_at_a_time).needs(&[Capability::KeyOrder, Capability::SharedLanes]),
    case!(a_new_member_takes_over_without_loss_or_repetition).needs(&[Capability::Partitions]),
    case!(lanes_not_given_back_by_the_deadline_are_taken).needs(&[Capability::Partitions]),
    case!(what_a_closing_member_left_goes_to_the_other),
    case!(what_a_vanished_member_left_goes_to_the_other),
    case!(a_member_that_vanishes_alone_loses_nothing),
    case!(a_late_group_gets_what_was_published_before).needs(&[Capability::History]),
    case!(a_new_group_may_begin_at_the_latest),
    case!(a_new_group_may_begin_at_a_time).needs(&[Capability::History]),
    case!(a_new_group_that_begins_where_it_stands_begins_at_the_earliest).needs(&[Capability::History]),
];

async fn two_groups_each_get_everything(bench: Bench) {
    bench.several_lanes(&["one", "two"]).await;
    bench.publish(numbered("m", 0..40)).await;
    for group in ["one", "two"] {
        let mut reader = bench.member(group).await;
        assert_eq!(set(texts(&reader.take_and_settle(40).await)), set(numbered("m", 0..40)), "of group {group}");
        reader.close().await;
    }
}

/// Both receive and settle until `count` messages are settled; what each of them got.
async fn settle_all(a: &mut Reader, b: &mut Reader, count: usize) -> (Vec<String>, Vec<String>) {
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    while of_a.len() + of_b.len() < count {
        both_until((a, b), "the rest comes", 10, |a, b| !a.got.is_empty() || !b.got.is_empty()).await;
        for (reader, seen) in [(&mut *a, &mut of_a), (&mut *b, &mut of_b)] {
            let taken = reader.taken();
            reader.settle(&taken);
            seen.extend(texts(&taken));
        }
    }
    (of_a, of_b)
}

/// Two members with a lane each at least, all lanes given out.
async fn two_members(bench: &Bench) -> (Reader, Reader) {
    let lanes = if bench.capabilities().await.partitions { PARTITIONS as usize } else { 2 };
    let (mut a, mut b) = (bench.member("g").await, bench.member("g").await);
    both_until((&mut a, &mut b), "each has lanes", 0, |a, b| {
        let (a, b) = (a.lanes.open.len(), b.lanes.open.len());
        a > 0 && b > 0 && a + b == lanes
    })
    .await;
    (a, b)
}

async fn publish_to_all(bench: &Bench, each: usize) -> Vec<String> {
    let mut all = Vec::new();
    for partition in 0..PARTITIONS {
        let texts = numbered(&format!("p{partition}."), 0..each);
        bench.publish_to(partition, texts.clone()).await;
        all.extend(texts);
    }
    all
}

/// Each with a key of its own: what has none may go to a single lane, and all of it to one member.
async fn publish_spread(bench: &Bench, count: usize) {
    let keyed = |text: String| bench.message(&text).key(text);
    bench.send(numbered("m", 0..count).into_iter().map(keyed).collect()).await;
}

async fn two_members_share_the_lanes(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    let (mut a, mut b) = two_members(&bench).await;
    let sent = publish_to_all(&bench, 10).await;
    let (of_a, of_b) = settle_all(&mut a, &mut b, sent.len()).await;
    assert!(!of_a.is_empty() && !of_b.is_empty(), "both work: {of_a:?} and {of_b:?}");
    let seen = set(of_a.iter().chain(&of_b));
    assert_eq!(seen, set(sent), "all of it, and nothing twice");
}

async fn two_members_share_a_queue(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let (mut a, mut b) = two_members(&bench).await;
    bench.publish(numbered("m", 0..40)).await;
    // Each holds some while the other takes more.
    let (of_a, of_b) = (a.take(10).await, b.take(10).await);
    a.settle(&of_a);
    b.settle(&of_b);
    let (rest_a, rest_b) = settle_all(&mut a, &mut b, 20).await;
    let seen = [texts(&of_a), texts(&of_b), rest_a, rest_b].concat();
    assert_eq!(seen.len(), 40);
    assert_eq!(set(seen), set(numbered("m", 0..40)), "all of it, and nothing twice");
}

async fn a_key_is_out_with_one_member_at_a_time(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let (mut a, mut b) = two_members(&bench).await;
    let keyed = |text: &str, key: &'static str| bench.message(text).key(key);
    bench.send(vec![keyed("k1", "k"), keyed("k2", "k"), keyed("other", "o")]).await;
    let first = a.one().await;
    assert_eq!(text(&first), "k1");
    assert_eq!(text(&b.one().await), "other", "what follows `k1` of its key waits");
    a.settle([&first]);
    assert_eq!(text(&b.one().await), "k2");
}

/// What is out, by lane.
fn by_lane(deliveries: Vec<Delivery>) -> BTreeMap<Lane, Vec<Delivery>> {
    let mut lanes = BTreeMap::<_, Vec<_>>::new();
    for delivery in deliveries {
        lanes.entry(delivery.token.lane).or_default().push(delivery);
    }
    lanes
}

async fn a_new_member_takes_over_without_loss_or_repetition(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    let sent = publish_to_all(&bench, 10).await;
    let mut old = bench.member("g").await;
    old.releases = false;
    let out = by_lane(old.take(sent.len()).await);
    let mut new = bench.member("g").await;
    both_until((&mut old, &mut new), "lanes are called back", 0, |old, _| !old.lanes.draining().is_empty()).await;
    // Of what moves, half is finished in time; of what stays, everything.
    let (draining, mut seen) = (old.lanes.draining(), Vec::new());
    for (lane, out) in &out {
        let finished = if draining.contains(lane) { &out[..5] } else { &out[..] };
        old.settle(finished);
        seen.extend(texts(finished));
    }
    old.control(Control::Release(draining.clone()));
    old.releases = true;
    let (of_old, of_new) = settle_all(&mut old, &mut new, 5 * draining.len()).await;
    assert!(!of_new.is_empty(), "the new member has work");
    seen.extend(of_old);
    seen.extend(of_new);
    assert_eq!(seen.len(), sent.len());
    assert_eq!(set(seen), set(sent), "all of it, and nothing twice");
}

async fn lanes_not_given_back_by_the_deadline_are_taken(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    let sent = publish_to_all(&bench, 10).await;
    let spec = SubscribeSpec { drain: Duration::from_secs(1), ..bench.spec("g") };
    let mut stubborn = bench.reader(spec.clone()).await;
    stubborn.releases = false;
    let out = by_lane(stubborn.take(sent.len()).await);
    let mut new = bench.reader(spec).await;
    both_until((&mut stubborn, &mut new), "lanes are called back", 0, |old, _| !old.lanes.draining().is_empty()).await;
    let draining = stubborn.lanes.draining();
    // The settled half is durable all the same.
    draining.iter().for_each(|lane| stubborn.settle(&out[lane][..5]));
    both_until((&mut stubborn, &mut new), "they are taken", 0, |old, new| {
        !new.lanes.open.is_empty() && draining.iter().all(|lane| !old.lanes.open.contains_key(lane))
    })
    .await;
    let left: Vec<_> = draining.iter().flat_map(|lane| texts(&out[lane][5..])).collect();
    let of_new = both_take(&mut stubborn, &mut new, left.len()).await;
    assert_eq!(set(of_new), set(left), "what was not settled is delivered again, elsewhere");
}

/// The next `count` messages of `new`, with `old` receiving beside it, as a member must.
async fn both_take(old: &mut Reader, new: &mut Reader, count: usize) -> Vec<String> {
    both_until((old, new), "the rest comes", 100, |_, new| new.got.len() >= count).await;
    texts(&new.taken())
}

async fn what_a_closing_member_left_goes_to_the_other(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    let (mut a, mut b) = two_members(&bench).await;
    publish_spread(&bench, 40).await;
    both_until((&mut a, &mut b), "it has work", 5, |a, _| a.got.len() >= 5).await;
    let of_a = a.taken();
    a.settle(&of_a[..2]);
    let mut seen = texts(&of_a[..2]);
    a.close().await;
    seen.extend(texts(&b.take_and_settle(38).await));
    assert_eq!(set(seen), set(numbered("m", 0..40)), "all of it, and nothing twice");
}

async fn what_a_vanished_member_left_goes_to_the_other(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    let (mut a, mut b) = two_members(&bench).await;
    publish_spread(&bench, 40).await;
    both_until((&mut a, &mut b), "it has work", 5, |a, _| a.got.len() >= 5).await;
    let of_a = a.taken();
    a.settle(&of_a[..2]);
    drop(a);
    let (all, mut seen) = (set(numbered("m", 0..40)), set([""; 0]));
    // The two that were settled may come again or not.
    while !all.iter().all(|text| seen.contains(text) || texts(&of_a[..2]).contains(text)) {
        seen.extend(texts(&b.take_and_settle(1).await));
    }
}

async fn a_member_that_vanishes_alone_loses_nothing(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..10)).await;
    let mut reader = bench.member("g").await;
    let out = reader.take(6).await;
    reader.settle(&out[..2]);
    drop(reader);
    bench.publish(["fence"]).await;
    let seen = bench.member("g").await.up_to("fence").await;
    let unsettled = [numbered("m", 2..10), vec!["fence".to_owned()]].concat();
    assert!(seen.ends_with(&unsettled) && seen.len() <= 11, "{seen:?}");
}

async fn a_late_group_gets_what_was_published_before(bench: Bench) {
    bench.one_lane(&[]).await;
    bench.publish(numbered("m", 0..5)).await;
    assert_eq!(texts(&bench.member("late").await.take(5).await), numbered("m", 0..5));
}

async fn a_new_group_may_begin_at_the_latest(bench: Bench) {
    bench.one_lane(&["other"]).await;
    bench.publish(numbered("m", 0..5)).await;
    let mut reader = bench.reader(SubscribeSpec { start: Position::Latest, ..bench.spec("new") }).await;
    // Once its lane is open it misses nothing.
    reader.lane().await;
    bench.nothing_more_for(&mut reader).await;
}

async fn a_new_group_may_begin_at_a_time(bench: Bench) {
    bench.one_lane(&[]).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later than 1970").as_secs();
    let at = |minutes: u64| UNIX_EPOCH + Duration::from_secs(now - 60 * minutes);
    let made = |text: &str, minutes| Message { timestamp: Some(at(minutes)), ..bench.message(text) };
    bench.send(vec![made("30", 30), made("20", 20), made("10", 10)]).await;
    for (minutes, expected) in [(40, &["30", "20", "10"][..]), (20, &["20", "10"]), (15, &["10"])] {
        let start = Position::At(at(minutes));
        let spec = SubscribeSpec { start, ..bench.spec(&format!("since-{minutes}")) };
        let mut reader = bench.reader(spec).await;
        assert_eq!(texts(&reader.take(expected.len()).await), expected, "since {minutes} minutes");
        reader.close().await;
    }
    // Behind the newest: only what comes from now on.
    let mut reader = bench.reader(SubscribeSpec { start: Position::At(at(0)), ..bench.spec("none") }).await;
    reader.lane().await;
    bench.nothing_more_for(&mut reader).await;
}

async fn a_new_group_that_begins_where_it_stands_begins_at_the_earliest(bench: Bench) {
    bench.one_lane(&[]).await;
    bench.publish(numbered("m", 0..5)).await;
    let mut reader = bench.reader(SubscribeSpec { start: Position::Committed, ..bench.spec("new") }).await;
    assert_eq!(texts(&reader.take(5).await), numbered("m", 0..5));
}
