//! What the driver does while something of its lanes is undecided; with a consumer that never finds a broker.

use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::LaneEvent;

use super::*;
use crate::native::Described;
use crate::rebalance::{Answer, Part};

async fn driver() -> Driver {
    // So long a commit waits for a group that cannot be found, and the end of the consumer for that.
    let config = Arc::new(KafkaConfig::new("127.0.0.1:1").session_timeout(Duration::from_secs(1)));
    let health = Arc::<Health>::default();
    let login = Login::ready(&config, &health, tokio::time::Instant::now()).await.unwrap();
    let spec = SubscribeSpec::group("g", ["t"]);
    Driver::new(Plan { config, health, spec, topics: vec![("t".into(), 1)] }, login).unwrap()
}

fn place() -> Place {
    Place::new("t", 0)
}

/// A lane whose position the broker has confirmed.
fn lane(driver: &Driver, place: &Place) -> Lane {
    let mut state = driver.shared.lock();
    let lane = state.lanes.open(place);
    lane.begin_at(7, Vec::new(), false);
    lane.id
}

fn answer(parts: &[(Place, i64, Option<Code>)]) -> Answer {
    let part = |(place, offset, code): &(Place, i64, Option<Code>)| Part {
        place: place.clone(),
        offset: Some(*offset),
        metadata: Vec::new(),
        code: *code,
    };
    Answer { overall: parts.iter().find_map(|(.., code)| *code), parts: parts.iter().map(part).collect() }
}

fn bind(driver: &Driver, lane: Lane, bound: bool) {
    driver.shared.lock().lanes.get_mut(lane).unwrap().bound = bound;
}

fn is_open(driver: &Driver, lane: Lane) -> bool {
    driver.shared.lock().lanes.get_mut(lane).is_some()
}

#[tokio::test]
async fn what_is_confirmed_is_committed_again_until_a_doubt_is_over_but_for_bound_lanes() {
    let mut driver = driver().await;
    let lane = lane(&driver, &place());
    driver.send_commit(Instant::now());
    assert!(!driver.commits.is_under_way(), "there is nothing to commit");
    driver.shared.lock().in_doubt = true;
    bind(&driver, lane, true);
    driver.send_commit(Instant::now());
    assert!(!driver.commits.is_under_way());
    bind(&driver, lane, false);
    driver.send_commit(Instant::now());
    assert!(driver.commits.is_under_way());
    driver.answered(answer(&[(place(), 7, None)]));
    assert!(!driver.shared.lock().commit_is_open());
}

#[tokio::test]
async fn a_commit_that_was_not_answered_may_still_be_carried_out() {
    for (code, in_doubt) in [(Code::OperationTimedOut, true), (Code::RebalanceInProgress, false)] {
        let mut driver = driver().await;
        let lane = lane(&driver, &place());
        driver.shared.lock().lanes.get_mut(lane).unwrap().confirmed = None;
        driver.shared.lock().lanes.get_mut(lane).unwrap().initial = Some(7);
        driver.send_commit(Instant::now());
        assert!(driver.shared.lock().committing);
        driver.answered(answer(&[(place(), 7, Some(code))]));
        assert_eq!(driver.shared.lock().commit_is_open(), in_doubt, "{code:?}");
    }
}

#[tokio::test]
async fn a_partition_that_is_refused_leaves_no_doubt_of_the_membership() {
    let mut driver = driver().await;
    let other = Place::new("t", 1);
    lane(&driver, &place());
    lane(&driver, &other);
    driver.alive.sleep();
    driver.step_alive();
    driver.send_commit(Instant::now());
    driver.answered(answer(&[(place(), 7, None), (other, 7, Some(Code::UnknownTopicOrPartition))]));
    driver.step_alive();
    assert!(!driver.alive.in_doubt());
}

#[tokio::test]
async fn a_bound_lane_is_opened_anew_only_when_its_transaction_has_ended() {
    let mut driver = driver().await;
    let lane = lane(&driver, &place());
    bind(&driver, lane, true);
    driver.release(lane);
    driver.step_jobs(Instant::now());
    assert!(is_open(&driver, lane), "what is being settled would be handed out again");
    bind(&driver, lane, false);
    driver.step_jobs(Instant::now());
    assert!(!is_open(&driver, lane));
}

#[tokio::test]
async fn a_topic_of_another_id_is_read_and_committed_from_its_beginning_whatever_brokers_say_that_lag_behind() {
    let mut driver = driver().await;
    let lane = lane(&driver, &place());
    let named = |id| Described { name: "t".into(), id, rights: Vec::new() };
    let now = Instant::now();
    for id in [None, Some(1), None, Some(1)] {
        driver.identified(&named(id), now);
    }
    driver.identified(&Described { name: "other".into(), ..named(Some(2)) }, now);
    assert!(driver.shared.lock().commands.is_empty(), "it is the same topic");
    driver.identified(&named(Some(2)), now);
    let sought = |driver: &Driver| driver.shared.lock().commands.drain(..).collect::<Vec<_>>();
    assert!(matches!(sought(&driver)[..], [Command::Seek(of, Position::Earliest)] if of == lane));
    let mark = driver.shared.lock().lanes.get_mut(lane).unwrap().to_commit().unwrap();
    assert_eq!((mark.offset, mark.finished.len()), (0, 0));
    for id in [Some(1), Some(2)] {
        driver.identified(&named(id), now);
    }
    assert!(sought(&driver).is_empty(), "once is enough");
}

#[tokio::test]
async fn a_bound_lane_is_handed_over_when_its_transaction_has_ended_or_as_lost() {
    let (mut patient, mut late) = (driver().await, driver().await);
    for driver in [&mut patient, &mut late] {
        let lane = lane(driver, &place());
        bind(driver, lane, true);
        driver.shared.lock().lanes.get_mut(lane).unwrap().frozen = true;
        driver.revoked(vec![place()]);
        assert!(is_open(driver, lane) && !driver.nothing_to_commit());
    }
    let lane = patient.shared.lock().lanes.of(&place()).unwrap().id;
    bind(&patient, lane, false);
    patient.step_handover(Instant::now());
    late.step_handover(Instant::now() + Duration::from_secs(60));
    let last = |driver: &Driver| driver.shared.lock().events.pop_back();
    assert!(matches!(last(&patient), Some(LaneEvent::Closed(_))));
    assert!(matches!(last(&late), Some(LaneEvent::Lost(_))));
}

#[tokio::test]
async fn nothing_waits_for_a_transaction_whose_outcome_nobody_knows() {
    let mut driver = driver().await;
    let lane = lane(&driver, &place());
    bind(&driver, lane, true);
    driver.shared.fail(ErrorKind::Unavailable, "a transaction".into());
    assert!(driver.nothing_to_commit());
    driver.shared.lock().lanes.get_mut(lane).unwrap().frozen = true;
    driver.revoked(vec![place()]);
    assert!(!is_open(&driver, lane));
}
