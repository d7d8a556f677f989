//! Transactions, where a broker has them: what is published and what is settled in one is seen together, or not at all.

use std::sync::Arc;

use async_trait::async_trait;
use gulo_bus_core::ErrorKind;
use gulo_bus_core::message::Message;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{
    Capability, Control, Delivery, GroupSpec, Inbox, Source, SubscribeSpec, TopicSpec, Topics, Topology, TopologyMode,
    Transaction, Transport,
};
use tokio::time::Instant;

use super::Case;
use crate::support::{Bench, Reader, confirmed, numbered, texts};

const TRANSACTIONS: &[Capability] = &[Capability::Transactions];

pub(super) const CASES: &[Case] = &[
    case!(a_transaction_is_seen_as_a_whole_or_not_at_all).needs(TRANSACTIONS),
    case!(a_transaction_settles_with_its_commit).needs(TRANSACTIONS),
    case!(a_transaction_publishes_and_settles_together).needs(TRANSACTIONS),
    case!(what_a_transaction_took_back_may_be_settled_otherwise).needs(TRANSACTIONS),
    case!(a_transaction_goes_with_ordinary_verdicts_on_its_lane).needs(TRANSACTIONS),
    case!(a_dropped_transaction_has_no_effect_and_its_id_goes_on).needs(TRANSACTIONS),
    case!(a_second_owner_of_an_id_ends_the_first).needs(TRANSACTIONS),
    case!(a_lane_that_goes_before_the_commit_takes_the_transaction_back).needs(TRANSACTIONS),
    case!(verdicts_of_a_lane_that_is_gone_break_the_transaction).needs(TRANSACTIONS),
    case!(two_transactions_of_one_lane_settle_what_each_of_them_says).needs(TRANSACTIONS),
    case!(a_source_of_something_else_is_refused).needs(TRANSACTIONS),
    case!(an_oversized_message_in_a_transaction_is_refused_and_the_rest_counts).needs(TRANSACTIONS).limited(),
];

/// The case's topic with one lane for the group `g`, a second one with one lane for the group `r`, and the id.
async fn in_and_out(bench: &Bench) -> (Arc<dyn Transport>, Arc<str>) {
    bench.one_lane(&["g"]).await;
    let out = bench.topic_named("out");
    let topics = vec![TopicSpec { partitions: Some(1), ..TopicSpec::new(out.clone()) }];
    let groups = vec![GroupSpec { group: bench.group("r"), topics: Topics::Named(vec![out]) }];
    let transport = bench.transport().await;
    transport.ensure(&Topology { mode: TopologyMode::Create, topics, groups }).await.expect("the topic is made");
    (transport, bench.group("transaction"))
}

async fn begin(transport: &Arc<dyn Transport>, id: &str) -> Box<dyn Transaction> {
    transport.transaction(id).await.expect("a transaction")
}

fn outputs(bench: &Bench, texts: &[&str]) -> Vec<Message> {
    texts.iter().map(|text| Message::new(bench.topic_named("out"), (*text).to_owned())).collect()
}

async fn results(bench: &Bench) -> Reader {
    bench.reader(SubscribeSpec::group(bench.group("r"), [bench.topic_named("out")])).await
}

/// Publishes a last message for whoever reads the results, and takes all up to it.
async fn all_results(bench: &Bench) -> Vec<String> {
    let publisher = bench.publisher().await;
    confirmed(&*publisher, outputs(bench, &["end"])).await;
    publisher.close(bench.soon()).await.expect("the publisher closes");
    let mut all = results(bench).await.up_to("end").await;
    all.pop();
    all
}

async fn settle(transaction: &mut dyn Transaction, reader: &mut Reader, deliveries: &[Delivery]) {
    let mut batch = deliveries.iter().map(|delivery| Settlement::done(delivery.token)).collect();
    transaction.settle(reader.source(), &mut batch).await.expect("verdicts are taken");
    assert!(batch.is_empty(), "verdicts are drained");
}

async fn a_transaction_is_seen_as_a_whole_or_not_at_all(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let (transport, id) = (bench.transport().await, bench.group("transaction"));
    let mut taken_back = transport.transaction(&id).await.expect("a transaction");
    taken_back.publish(vec![bench.message("taken back")]).await.expect("published");
    taken_back.abort().await.expect("taken back");
    let mut committed = transport.transaction(&id).await.expect("a transaction");
    committed
        .publish(numbered("m", 0..2).into_iter().map(|text| bench.message(text)).collect())
        .await
        .expect("published");
    bench.publish(["between"]).await;
    committed.commit().await.expect("committed");
    let mut came = texts(&bench.member("g").await.take(3).await);
    came.sort();
    assert_eq!(came, ["between", "m0", "m1"]);
}

async fn a_transaction_settles_with_its_commit(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..4)).await;
    let (transport, id) = (bench.transport().await, bench.group("transaction"));
    let mut reader = bench.member("g").await;
    let out = reader.take(4).await;
    for (commits, deliveries) in [(true, &out[..2]), (false, &out[2..])] {
        let mut transaction = transport.transaction(&id).await.expect("a transaction");
        let mut batch = deliveries.iter().map(|delivery| Settlement::done(delivery.token)).collect();
        transaction.settle(reader.source(), &mut batch).await.expect("verdicts are taken");
        let ended = if commits { transaction.commit().await } else { transaction.abort().await };
        ended.expect("the transaction ends");
    }
    reader.close().await;
    assert_eq!(texts(&bench.member("g").await.take(2).await), numbered("m", 2..4));
}

async fn a_transaction_publishes_and_settles_together(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    bench.publish(numbered("m", 0..4)).await;
    let mut reader = bench.member("g").await;
    let inputs = reader.take(4).await;
    for (commits, deliveries, result) in [(true, &inputs[..2], "kept"), (false, &inputs[2..], "taken back")] {
        let mut transaction = begin(&transport, &id).await;
        transaction.publish(outputs(&bench, &[result])).await.expect("published");
        settle(&mut *transaction, &mut reader, deliveries).await;
        let ended = if commits { transaction.commit().await } else { transaction.abort().await };
        ended.expect("the transaction ends");
    }
    reader.close().await;
    assert_eq!(all_results(&bench).await, ["kept"]);
    assert_eq!(texts(&bench.member("g").await.take(2).await), ["m2", "m3"]);
}

async fn what_a_transaction_took_back_may_be_settled_otherwise(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    bench.publish(numbered("m", 0..3)).await;
    let mut reader = bench.member("g").await;
    let inputs = reader.take(3).await;
    let mut transaction = begin(&transport, &id).await;
    settle(&mut *transaction, &mut reader, &inputs[..2]).await;
    transaction.abort().await.expect("taken back");
    reader.settle(&inputs[..1]);
    let mut transaction = begin(&transport, &id).await;
    settle(&mut *transaction, &mut reader, &inputs[1..2]).await;
    transaction.commit().await.expect("committed");
    reader.close().await;
    let mut next = bench.member("g").await;
    assert_eq!(texts(&next.take_and_settle(1).await), ["m2"]);
    bench.nothing_more_for(&mut next).await;
}

/// One commits by itself and the other by transactions, of the same lane and in turns: neither sets the group back.
async fn a_transaction_goes_with_ordinary_verdicts_on_its_lane(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    bench.publish(numbered("m", 0..32)).await;
    let mut reader = bench.member("g").await;
    let inputs = reader.take(32).await;
    for three in inputs[..30].chunks(3) {
        reader.settle(&three[2..]);
        let mut transaction = begin(&transport, &id).await;
        settle(&mut *transaction, &mut reader, &three[..1]).await;
        reader.settle(&three[1..2]);
        transaction.commit().await.expect("committed");
    }
    reader.settle(&inputs[30..31]);
    reader.close().await;
    let mut next = bench.member("g").await;
    assert_eq!(texts(&next.take_and_settle(1).await), ["m31"]);
    bench.nothing_more_for(&mut next).await;
}

async fn a_dropped_transaction_has_no_effect_and_its_id_goes_on(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    bench.publish(numbered("m", 0..2)).await;
    let mut reader = bench.member("g").await;
    let inputs = reader.take(2).await;
    let mut transaction = begin(&transport, &id).await;
    transaction.publish(outputs(&bench, &["dropped"])).await.expect("published");
    settle(&mut *transaction, &mut reader, &inputs).await;
    drop(transaction);
    // Nobody who reads is held back by it.
    assert!(all_results(&bench).await.is_empty());
    let mut transaction = begin(&transport, &id).await;
    transaction.publish(outputs(&bench, &["kept"])).await.expect("published");
    settle(&mut *transaction, &mut reader, &inputs[..1]).await;
    transaction.commit().await.expect("committed");
    reader.close().await;
    assert_eq!(all_results(&bench).await, ["kept"]);
    assert_eq!(texts(&bench.member("g").await.take(1).await), ["m1"]);
}

/// A process that was thought dead, say, and wakes up.
async fn a_second_owner_of_an_id_ends_the_first(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    bench.publish(numbered("m", 0..2)).await;
    let mut reader = bench.member("g").await;
    let inputs = reader.take(2).await;
    let mut first = begin(&transport, &id).await;
    first.publish(outputs(&bench, &["of the first"])).await.expect("published");
    settle(&mut *first, &mut reader, &inputs).await;
    let other = bench.transport().await;
    let mut second = begin(&other, &id).await;
    second.publish(outputs(&bench, &["of the second"])).await.expect("published");
    let error = first.commit().await.expect_err("it was fenced");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    second.commit().await.expect("committed");
    // What the first had settled was not.
    drop(reader);
    assert_eq!(all_results(&bench).await, ["of the second"]);
    assert_eq!(texts(&bench.member("g").await.take(2).await), ["m0", "m1"]);
    // And its owner may come back.
    begin(&transport, &id).await.abort().await.expect("taken back");
}

async fn a_lane_that_goes_before_the_commit_takes_the_transaction_back(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    bench.publish(numbered("m", 0..2)).await;
    let mut reader = bench.member("g").await;
    let inputs = reader.take(2).await;
    let mut transaction = begin(&transport, &id).await;
    transaction.publish(outputs(&bench, &["too late"])).await.expect("published");
    settle(&mut *transaction, &mut reader, &inputs).await;
    let lane = inputs[0].token.lane;
    let again = reader.release(lane).await;
    let error = transaction.commit().await.expect_err("the lane is gone");
    assert!(error.to_string().contains("taken back"), "{error}");
    let inputs = reader.take(2).await;
    assert!(inputs.iter().all(|delivery| delivery.token.lane == again) && texts(&inputs) == ["m0", "m1"]);
    let mut transaction = begin(&transport, &id).await;
    transaction.publish(outputs(&bench, &["in time"])).await.expect("published");
    settle(&mut *transaction, &mut reader, &inputs).await;
    transaction.commit().await.expect("committed");
    assert_eq!(all_results(&bench).await, ["in time"]);
    bench.nothing_more_for(&mut reader).await;
}

async fn verdicts_of_a_lane_that_is_gone_break_the_transaction(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    bench.publish(numbered("m", 0..2)).await;
    let mut reader = bench.member("g").await;
    let inputs = reader.take(2).await;
    reader.release(inputs[0].token.lane).await;
    let mut transaction = begin(&transport, &id).await;
    transaction.publish(outputs(&bench, &["too late"])).await.expect("published");
    let mut batch = inputs.iter().map(|delivery| Settlement::done(delivery.token)).collect();
    let error = transaction.settle(reader.source(), &mut batch).await.expect_err("the lane is gone");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    transaction.commit().await.expect_err("what belongs to it was not settled");
    assert!(all_results(&bench).await.is_empty());
    assert_eq!(texts(&reader.take_and_settle(2).await), ["m0", "m1"]);
}

/// Workers that share a source, each with an id of its own.
async fn two_transactions_of_one_lane_settle_what_each_of_them_says(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    bench.publish(numbered("m", 0..10)).await;
    let mut reader = bench.member("g").await;
    let inputs = reader.take(10).await;
    let (other, third) = (format!("{id}-other"), format!("{id}-third"));
    for pair in inputs[..8].chunks(2) {
        let mut first = begin(&transport, &id).await;
        let mut second = begin(&transport, &other).await;
        let mut in_vain = begin(&transport, &third).await;
        settle(&mut *first, &mut reader, &pair[..1]).await;
        settle(&mut *second, &mut reader, &pair[1..]).await;
        settle(&mut *in_vain, &mut reader, &inputs[9..]).await;
        let (first, second, in_vain) = tokio::join!(first.commit(), second.commit(), in_vain.abort());
        first.and(second).and(in_vain).expect("each comes to its end");
    }
    reader.close().await;
    let mut next = bench.member("g").await;
    assert_eq!(texts(&next.take_and_settle(2).await), ["m8", "m9"]);
    bench.nothing_more_for(&mut next).await;
}

/// No transport's.
struct Foreign;

#[async_trait]
impl Source for Foreign {
    async fn recv(&mut self, _: &mut Inbox, _: usize) -> gulo_bus_core::Result<()> {
        std::future::pending().await
    }

    fn settle(&mut self, _: &mut Vec<Settlement>) -> gulo_bus_core::Result<()> {
        Ok(())
    }

    fn may_begin(&self) -> bool {
        true
    }

    fn control(&mut self, _: Control) -> gulo_bus_core::Result<()> {
        Ok(())
    }

    async fn close(&mut self, _: Instant) -> gulo_bus_core::Result<()> {
        Ok(())
    }
}

async fn a_source_of_something_else_is_refused(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    let mut transaction = begin(&transport, &id).await;
    let mut foreign = Foreign;
    let error = transaction.settle(&mut foreign, &mut Vec::new()).await.expect_err("it is foreign");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    transaction.commit().await.expect_err("something of it was not settled");
}

async fn an_oversized_message_in_a_transaction_is_refused_and_the_rest_counts(bench: Bench) {
    let (transport, id) = in_and_out(&bench).await;
    let limit = bench.capabilities().await.max_message_bytes.expect("this case is for transports with a limit");
    let mut transaction = begin(&transport, &id).await;
    let mut batch = outputs(&bench, &["small", "", "as small"]);
    batch[1].payload = Some(vec![b'x'; limit + 1].into());
    let unsent = transaction.publish(batch).await.expect_err("one is too large");
    let failed: Vec<_> = unsent.failed.iter().map(|failed| (failed.index, failed.error.kind())).collect();
    assert_eq!(failed, [(1, ErrorKind::TooLarge)]);
    transaction.commit().await.expect("it was refused before the wire");
    assert_eq!(all_results(&bench).await, ["small", "as small"]);
}
