//! Topics: made, checked, missed.

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{Capability, Member, SubscribeSpec, TopicSpec, Topics, Topology, TopologyMode};

use super::Case;
use crate::support::{Bench, Reader, numbered, text};

pub(super) const CASES: &[Case] = &[
    case!(making_what_is_there_is_fine).needs(&[Capability::CreateTopics]),
    case!(a_topic_that_is_there_is_left_as_it_is).needs(&[Capability::CreateTopics, Capability::Partitions]),
    case!(a_topic_may_keep_what_no_group_reads_yet).needs(&[Capability::CreateTopics]),
    case!(what_is_settled_of_what_was_kept_stays_settled).needs(&[Capability::CreateTopics, Capability::SettlesSingly]),
    case!(checking_what_is_there_is_fine),
    case!(checking_names_all_that_is_missing),
    case!(checking_makes_nothing),
    case!(subscribing_to_a_missing_topic_names_it),
    case!(a_pattern_reads_the_topics_that_match_as_a_whole).needs(&[Capability::Patterns]),
    case!(a_pattern_reads_topics_made_later).needs(&[Capability::Patterns, Capability::CreateTopics]),
];

async fn making_what_is_there_is_fine(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(["m"]).await;
    bench.one_lane(&["g", "h"]).await;
    assert_eq!(text(&bench.member("g").await.one().await), "m");
}

async fn a_topic_that_is_there_is_left_as_it_is(bench: Bench) {
    bench.several_lanes(&["g"]).await;
    bench.one_lane(&["g"]).await;
    bench.publish_to(3, ["m"]).await;
    assert_eq!(bench.member("g").await.one().await.partition, Some(3));
}

async fn a_topic_may_keep_what_no_group_reads_yet(bench: Bench) {
    let mut topology = bench.topology(1, &[]);
    topology.topics.iter_mut().for_each(|topic| topic.keep = true);
    bench.transport().await.ensure(&topology).await.expect("made");
    bench.publish(["letter"]).await;
    assert_eq!(text(&bench.member("late").await.one().await), "letter");
}

fn check(bench: &Bench, names: &[&str]) -> Topology {
    let topics = names.iter().map(|name| TopicSpec::new(bench.topic_named(name))).collect();
    Topology { mode: TopologyMode::Check, topics, groups: Vec::new() }
}

async fn checking_what_is_there_is_fine(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let topology = Topology { mode: TopologyMode::Check, ..bench.topology(1, &["g"]) };
    bench.transport().await.ensure(&topology).await.expect("nothing is missing");
}

async fn checking_names_all_that_is_missing(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let topology = check(&bench, &["missing-1", "t", "missing-2"]);
    let error = bench.transport().await.ensure(&topology).await.expect_err("two are missing");
    assert_eq!(error.kind(), ErrorKind::Missing);
    let told = error.to_string();
    for name in ["missing-1", "missing-2"] {
        assert!(told.contains(&*bench.topic_named(name)), "`{told}` names {name}");
    }
    assert!(!told.contains(&*bench.topic()), "`{told}` does not name what is there");
}

async fn checking_makes_nothing(bench: Bench) {
    let (transport, topology) = (bench.transport().await, check(&bench, &["missing"]));
    for _ in 0..2 {
        let error = transport.ensure(&topology).await.expect_err("it is missing still");
        assert_eq!(error.kind(), ErrorKind::Missing);
    }
}

async fn subscribing_to_a_missing_topic_names_it(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let missing = bench.topic_named("missing");
    let spec = SubscribeSpec::group(bench.group("g"), [bench.topic(), missing.clone()]);
    let result = bench.transport().await.subscribe(spec).await;
    let error = result.err().expect("one topic is missing");
    assert_eq!(error.kind(), ErrorKind::Missing);
    let told = error.to_string();
    assert!(told.contains(&*missing), "`{told}` names it");
    assert!(!told.contains(&*bench.topic()), "`{told}` does not name what is there");
}

async fn what_is_settled_of_what_was_kept_stays_settled(bench: Bench) {
    let mut topology = bench.topology(1, &[]);
    topology.topics.iter_mut().for_each(|topic| topic.keep = true);
    bench.transport().await.ensure(&topology).await.expect("the topic is made");
    bench.publish(numbered("m", 0..400)).await;
    let mut reader = bench.member("g").await;
    let out = reader.take(400).await;
    reader.settle(out.iter().skip(1).step_by(2));
    reader.close().await;
    bench.publish(["fence"]).await;
    let mut left = bench.member("g").await.up_to("fence").await;
    left.pop();
    left.sort();
    let mut unsettled: Vec<_> = numbered("m", 0..400).into_iter().step_by(2).collect();
    unsettled.sort();
    assert_eq!(left, unsettled);
}

async fn make(bench: &Bench, names: &[&str]) {
    let topology = Topology { mode: TopologyMode::Create, ..check(bench, names) };
    bench.transport().await.ensure(&topology).await.expect("the topics are made");
}

async fn send(bench: &Bench, names: &[&str]) {
    let message = |name: &&str| gulo_bus_core::message::Message::new(bench.topic_named(name), name.to_string());
    bench.send(names.iter().map(message).collect()).await;
}

async fn matching(bench: &Bench, pattern: &str) -> Reader {
    let pattern = Topics::Pattern(bench.topic_named(pattern).to_string());
    bench.reader(SubscribeSpec::new(pattern, Member::Group(bench.group("g")))).await
}

async fn a_pattern_reads_the_topics_that_match_as_a_whole(bench: Bench) {
    make(&bench, &["users", "orders", "orders-2", "old-orders", "items"]).await;
    send(&bench, &["orders-2", "old-orders", "items"]).await;
    send(&bench, &["users", "orders"]).await;
    let mut reader = matching(&bench, "(users|orders)").await;
    let mut came: Vec<_> = reader.take(2).await.iter().map(text).collect();
    came.sort();
    assert_eq!(came, ["orders", "users"]);
    send(&bench, &["orders-2", "users"]).await;
    assert_eq!(text(&reader.one().await), "users");
}

async fn a_pattern_reads_topics_made_later(bench: Bench) {
    make(&bench, &["log-1"]).await;
    let mut reader = matching(&bench, "log-[0-9]").await;
    reader.lane().await;
    make(&bench, &["log-2"]).await;
    send(&bench, &["log-2"]).await;
    assert_eq!(text(&reader.one().await), "log-2");
}
