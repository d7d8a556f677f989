//! The broker away: nothing hangs, nothing lies, nothing is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{CommitPolicy, Outcome, Publisher, Status, SubscribeSpec, Unsent};
use tokio::time::{Instant, timeout};

use super::Case;
use crate::Break;
use crate::support::{Bench, confirmed, numbered, text, texts};

pub(super) const CASES: &[Case] = &[
    case!(publishing_to_a_broker_that_has_died_fails_truthfully).cuts(),
    case!(publishing_to_a_broker_that_has_fallen_silent_fails_truthfully).cuts(),
    case!(a_publisher_of_a_dead_broker_closes_by_its_deadline).cuts(),
    case!(a_source_of_a_dead_broker_closes_by_its_deadline).cuts(),
    case!(a_source_of_a_silent_broker_closes_by_its_deadline).cuts(),
    case!(a_source_goes_on_by_itself_when_its_broker_is_back).cuts(),
    case!(a_source_goes_on_by_itself_when_its_broker_speaks_again).cuts(),
    case!(the_status_tells_of_a_broker_that_is_away).cuts(),
    case!(checking_topics_of_a_dead_broker_fails_in_time).cuts(),
];

/// What a deadline may be missed by, on a busy machine.
const SLACK: Duration = Duration::from_secs(1);

fn texts_of(batch: &[Message]) -> Vec<String> {
    batch.iter().map(|m| String::from_utf8_lossy(m.payload.as_deref().unwrap_or_default()).into_owned()).collect()
}

/// How a publish failed that had to, within the patience of the harness.
async fn fails(bench: &Bench, publisher: &dyn Publisher, batch: Vec<Message>) -> Unsent {
    let publishing = timeout(bench.patience(), publisher.publish(batch));
    publishing.await.expect("it ends by the publish time-out").expect_err("the broker is away")
}

/// Publishes `batch`, again and again what is not confirmed; counts how often each may have arrived in vain.
async fn insist(bench: &Bench, publisher: &dyn Publisher, batch: Vec<Message>, unknown: &mut BTreeMap<String, usize>) {
    let (mut batch, deadline) = (batch, bench.soon());
    while let Err(unsent) = publisher.publish(batch).await {
        assert!(Instant::now() < deadline, "the broker is back, and still: {unsent}");
        batch = note(unsent, unknown);
    }
}

/// Takes the messages back, those counted that may have arrived.
fn note(unsent: Unsent, unknown: &mut BTreeMap<String, usize>) -> Vec<Message> {
    for failed in &unsent.failed {
        assert_ne!(failed.outcome, Outcome::Refused, "{}", failed.error);
        let text = texts_of(std::slice::from_ref(&failed.message)).remove(0);
        *unknown.entry(text).or_default() += usize::from(failed.outcome == Outcome::Unknown);
    }
    unsent.failed.into_iter().map(|failed| failed.message).collect()
}

async fn publishing_fails_truthfully(bench: Bench, how: Break) {
    bench.one_lane(&["g"]).await;
    let publisher = bench.publisher().await;
    confirmed(&*publisher, vec![bench.message("before")]).await;
    bench.cut_off(how).await;
    let batch: Vec<_> = numbered("m", 0..3).into_iter().map(|text| bench.message(text).key("k")).collect();
    let unsent = fails(&bench, &*publisher, batch.clone()).await;
    assert_eq!(unsent.failed.iter().map(|failed| failed.index).collect::<Vec<_>>(), [0, 1, 2]);
    for failed in &unsent.failed {
        let kind = failed.error.kind();
        assert!(matches!(kind, ErrorKind::Unavailable | ErrorKind::TimedOut), "{kind:?}: {}", failed.error);
    }
    let mut unknown = BTreeMap::new();
    let back = note(unsent, &mut unknown);
    assert_eq!(back, batch, "they come back as they were");
    bench.heal().await;
    insist(&bench, &*publisher, back, &mut unknown).await;
    insist(&bench, &*publisher, vec![bench.message("after").key("k")], &mut unknown).await;
    let seen = bench.member("g").await.up_to("after").await;
    for (text, unknown) in unknown.into_iter().filter(|(text, _)| text != "after") {
        let count = seen.iter().filter(|seen| **seen == text).count();
        assert!((1..=1 + unknown).contains(&count), "{text} came {count} times, {unknown} unknown: {seen:?}");
    }
}

async fn publishing_to_a_broker_that_has_died_fails_truthfully(bench: Bench) {
    publishing_fails_truthfully(bench, Break::Refuse).await;
}

async fn publishing_to_a_broker_that_has_fallen_silent_fails_truthfully(bench: Bench) {
    publishing_fails_truthfully(bench, Break::Freeze).await;
}

async fn a_publisher_of_a_dead_broker_closes_by_its_deadline(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let publisher = bench.publisher().await;
    confirmed(&*publisher, vec![bench.message("before")]).await;
    bench.cut_off(Break::Refuse).await;
    let deadline = Instant::now() + Duration::from_millis(300);
    let closing = async {
        // What it says depends on whether the publish has given up by then.
        let _ = publisher.close(deadline).await;
        assert!(Instant::now() < deadline + SLACK, "it closes by its deadline");
    };
    let (unsent, ()) = tokio::join!(fails(&bench, &*publisher, vec![bench.message("m")]), closing);
    assert_eq!(texts_of(&note(unsent, &mut BTreeMap::new())), ["m"]);
}

async fn a_source_closes_by_its_deadline(bench: Bench, how: Break) {
    bench.one_lane(&["g"]).await;
    bench.publish(numbered("m", 0..5)).await;
    let commit = CommitPolicy { every: usize::MAX, interval: Duration::from_secs(3600) };
    let mut reader = bench.reader(SubscribeSpec { commit, ..bench.spec("g") }).await;
    let out = reader.take(5).await;
    bench.cut_off(how).await;
    reader.settle(&out[..2]);
    let deadline = Instant::now() + Duration::from_secs(1);
    let closed = reader.close_by(deadline).await;
    assert!(Instant::now() < deadline + SLACK, "it closes by its deadline");
    assert_eq!(closed.expect_err("the verdicts cannot be durable").kind(), ErrorKind::TimedOut);
    bench.heal().await;
    // The settled ones come again or not; the others do.
    let mut reader = bench.member("g").await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|text| text != "m4") {
        seen.push(text(&reader.one().await));
    }
    assert!(seen.ends_with(&numbered("m", 2..5)), "{seen:?}");
}

async fn a_source_of_a_dead_broker_closes_by_its_deadline(bench: Bench) {
    a_source_closes_by_its_deadline(bench, Break::Refuse).await;
}

async fn a_source_of_a_silent_broker_closes_by_its_deadline(bench: Bench) {
    a_source_closes_by_its_deadline(bench, Break::Freeze).await;
}

async fn a_source_goes_on(bench: Bench, how: Break) {
    bench.one_lane(&["g"]).await;
    let publisher = bench.publisher().await;
    confirmed(&*publisher, numbered("m", 0..10).into_iter().map(|text| bench.message(text)).collect()).await;
    let mut reader = bench.member("g").await;
    let out = reader.take(5).await;
    let lane = reader.lane().await;
    reader.settle(&out[..2]);
    bench.cut_off(how).await;
    // A publish gives up after a while, which is as long as the broker is away. The source must not fail meanwhile.
    let away = async {
        let unsent = fails(&bench, &*publisher, vec![bench.message("lost?")]).await;
        bench.heal().await;
        insist(&bench, &*publisher, note(unsent, &mut BTreeMap::new()), &mut BTreeMap::new()).await;
        insist(&bench, &*publisher, vec![bench.message("after")], &mut BTreeMap::new()).await;
    };
    let (mut seen, ()) = tokio::join!(reader.up_to("after"), away);
    seen.retain(|text| text.starts_with('m'));
    if reader.lane().await == lane {
        reader.settle(&out[2..]);
        assert_eq!(seen, numbered("m", 5..10));
    } else {
        // The lane was lost and came back: what was unsettled came again.
        assert!(seen.ends_with(&numbered("m", 2..10)), "{seen:?}");
    }
    reader.close().await;
    insist(&bench, &*publisher, vec![bench.message("fence")], &mut BTreeMap::new()).await;
    assert_eq!(texts(&bench.member("g").await.take(1).await), ["fence"], "all the rest is settled");
}

async fn a_source_goes_on_by_itself_when_its_broker_is_back(bench: Bench) {
    a_source_goes_on(bench, Break::Refuse).await;
}

async fn a_source_goes_on_by_itself_when_its_broker_speaks_again(bench: Bench) {
    a_source_goes_on(bench, Break::Freeze).await;
}

async fn the_status_tells_of_a_broker_that_is_away(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let (transport, publisher) = (bench.transport().await, bench.publisher().await);
    confirmed(&*publisher, vec![bench.message("before")]).await;
    assert_eq!(transport.status(), Status::Up);
    bench.cut_off(Break::Refuse).await;
    let back = note(fails(&bench, &*publisher, vec![bench.message("m")]).await, &mut BTreeMap::new());
    match transport.status() {
        Status::Down { reason, .. } => assert!(!reason.is_empty(), "it says why"),
        other => panic!("a publish has failed for want of a broker, and the status is {other:?}"),
    }
    bench.heal().await;
    insist(&bench, &*publisher, back, &mut BTreeMap::new()).await;
    assert_eq!(transport.status(), Status::Up, "a publish has been confirmed since");
}

async fn checking_topics_of_a_dead_broker_fails_in_time(bench: Bench) {
    bench.one_lane(&["g"]).await;
    bench.cut_off(Break::Refuse).await;
    let (transport, topology) = (bench.transport().await, bench.topology(1, &["g"]));
    let result = timeout(bench.patience(), transport.ensure(&topology)).await.expect("it ends");
    let kind = result.expect_err("nobody answers").kind();
    assert!(matches!(kind, ErrorKind::Unavailable | ErrorKind::TimedOut), "{kind:?}");
}
