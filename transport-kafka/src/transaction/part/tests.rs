//! A source's part, without a broker.

use std::collections::VecDeque;

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::Token;
use gulo_bus_core::transport::Delivery;
use proptest::prelude::*;

use super::*;
use crate::convert::Copier;

/// A source with one lane, of which messages at these positions are out.
fn source(positions: &[i64]) -> (Arc<Shared>, Vec<Delivery>) {
    let shared = Arc::new(Shared::default());
    let mut out = VecDeque::new();
    let mut state = shared.lock();
    let lane = state.lanes.open(&Place::new("t", 0));
    lane.backlog = positions.iter().map(|at| (*at, Message::new("t", "x"))).collect();
    lane.fill(&mut out, usize::MAX / 2, usize::MAX / 2, &mut Copier::default());
    drop(state);
    (shared, out.into())
}

fn part(shared: &Arc<Shared>) -> Part {
    Part::new(shared.clone(), Weak::new())
}

fn done(tokens: impl IntoIterator<Item = Token>) -> Vec<Settlement> {
    tokens.into_iter().map(Settlement::done).collect()
}

/// What the source would commit by itself.
fn own(shared: &Shared) -> Option<Mark> {
    shared.lock().lanes.iter().find_map(|lane| lane.to_commit())
}

fn mark(offset: i64) -> Option<Mark> {
    Some(Mark { offset, finished: Vec::new() })
}

#[test]
fn nothing_counts_before_the_commit_and_all_of_it_afterwards() {
    let (shared, out) = source(&[3, 5, 9]);
    let mut part = part(&shared);
    part.settle(&mut done([out[0].token, out[1].token])).unwrap();
    assert_eq!(own(&shared), None);
    assert!(part.bind_now().unwrap());
    assert_eq!(part.marks.first().map(|(_, _, mark)| mark.clone()), mark(6), "behind the hole, not in it");
    assert_eq!(own(&shared), None);
    part.committed();
    assert_eq!(own(&shared), None, "the broker has it");
    shared.lock().settle(&mut done([out[2].token]));
    assert_eq!(own(&shared), mark(10));
}

#[test]
fn a_bound_lane_is_committed_by_nobody_else() {
    let (shared, out) = source(&[0, 1, 2]);
    let mut part = part(&shared);
    part.settle(&mut done([out[1].token])).unwrap();
    shared.lock().settle(&mut done([out[0].token]));
    assert_eq!(own(&shared), mark(1));
    assert!(part.bind_now().unwrap());
    assert_eq!(own(&shared), None);
    part.aborted();
    assert_eq!(own(&shared), mark(1), "as before");
}

#[test]
fn a_lane_is_bound_by_one_transaction_at_a_time_and_another_does_not_unbind_it() {
    let (shared, out) = source(&[0, 1, 2]);
    let (mut first, mut second) = (part(&shared), part(&shared));
    first.settle(&mut done([out[0].token])).unwrap();
    second.settle(&mut done([out[1].token])).unwrap();
    assert!(first.bind_now().unwrap() && !second.bind_now().unwrap());
    let mut third = part(&shared);
    third.settle(&mut done([out[2].token])).unwrap();
    third.aborted();
    assert!(!second.bind_now().unwrap(), "it is bound still");
    first.committed();
    assert!(second.bind_now().unwrap());
    assert_eq!(second.marks.first().map(|(_, _, mark)| mark.clone()), mark(2), "with what the first has settled");
}

#[test]
fn what_the_source_put_off_meanwhile_is_due_when_it_has_ended() {
    for end in [Part::committed, Part::aborted] {
        let (shared, out) = source(&[0, 1]);
        let mut part = part(&shared);
        part.settle(&mut done([out[0].token])).unwrap();
        assert!(part.bind_now().unwrap());
        assert!(shared.lock().settled_since.is_none());
        end(&mut part);
        assert!(shared.lock().settled_since.is_some());
    }
}

/// A commit that nobody hears the end of, because its runtime has ended.
#[test]
fn one_that_is_dropped_in_its_commit_lets_go_of_nothing() {
    let (shared, out) = source(&[0, 1]);
    let mut part = part(&shared);
    part.settle(&mut done([out[1].token])).unwrap();
    assert!(part.bind_now().unwrap());
    shared.lock().settle(&mut done([out[0].token]));
    drop(super::super::KafkaTransaction {
        id: "t".into(),
        turn: None,
        parts: vec![part],
        broken: None,
        publishing: false,
        committing: true,
    });
    assert_eq!(own(&shared), None, "the transaction may be committed, with more than this");
    assert!(shared.lock().failed.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_lanes_is_told_when_they_never_become_free() {
    let (shared, out) = source(&[0, 1]);
    let (mut first, mut second) = (part(&shared), part(&shared));
    first.settle(&mut done([out[0].token])).unwrap();
    second.settle(&mut done([out[1].token])).unwrap();
    first.bind().await.unwrap();
    let held_off = async {
        sleep(Duration::from_secs(1)).await;
        shared.lock().transactions_waiting
    };
    let (error, held_off) = tokio::join!(second.bind(), held_off);
    assert_eq!((error.unwrap_err().kind(), held_off), (ErrorKind::TimedOut, 0), "ordinary commits go on meanwhile");
    first.unknown();
    assert_eq!(second.bind().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn where_the_outcome_is_not_known_nothing_more_is_committed_and_the_source_ends() {
    let (shared, out) = source(&[0, 1]);
    let mut part = part(&shared);
    part.settle(&mut done([out[0].token])).unwrap();
    assert!(part.bind_now().unwrap());
    part.unknown();
    shared.lock().settle(&mut done([out[1].token]));
    assert_eq!(own(&shared), None);
    assert!(shared.lock().failed.is_some());
}

#[test]
fn a_lane_that_is_given_back_breaks_it_at_each_step() {
    let close = |shared: &Shared, lane| drop(shared.lock().lanes.close(lane));
    let (shared, out) = source(&[0, 1]);
    let lane = out[0].token.lane;
    let mut early = part(&shared);
    early.settle(&mut done([out[0].token])).unwrap();
    close(&shared, lane);
    assert!(early.bind_now().is_err());
    let mut batch = done([out[1].token]);
    assert!(early.settle(&mut batch).is_err() && batch.len() == 1, "it is handed back");

    let (shared, out) = source(&[0, 1]);
    let mut late = part(&shared);
    late.settle(&mut done([out[0].token])).unwrap();
    assert!(late.bind_now().unwrap());
    close(&shared, out[0].token.lane);
    assert!(late.offsets().is_err());
}

#[test]
fn verdicts_that_kafka_has_not_are_refused_and_none_is_taken() {
    let (shared, out) = source(&[0, 1]);
    let mut part = part(&shared);
    let mut batch = done([out[0].token]);
    batch.push(Settlement { token: out[1].token, verdict: Verdict::Requeue });
    let error = part.settle(&mut batch).unwrap_err();
    assert_eq!((error.kind(), batch.len()), (ErrorKind::Unsupported, 2));
    assert!(part.bind_now().unwrap());
    assert!(part.marks.is_empty());
}

#[test]
fn what_does_not_fit_into_the_position_is_refused_before_anything_is_sent() {
    let positions: Vec<i64> = (0..4000).collect();
    let (shared, out) = source(&positions);
    let mut part = part(&shared);
    part.settle(&mut done(out.iter().skip(1).step_by(2).map(|delivery| delivery.token))).unwrap();
    assert_eq!(part.bind_now().unwrap_err().kind(), ErrorKind::Refused);
    part.aborted();
    shared.lock().settle(&mut done([out[0].token]));
    assert_eq!(own(&shared), mark(1));
}

#[test]
fn a_lane_of_which_not_all_is_known_settles_in_no_transaction() {
    let (shared, out) = source(&[0, 1]);
    shared.lock().lanes.iter_mut().for_each(|lane| lane.is_unknown = true);
    let error = part(&shared).settle(&mut done([out[0].token])).unwrap_err();
    assert!(error.to_string().contains("subscribe anew"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_what_was_sent_before_and_for_what_is_in_doubt_and_binds_nothing_meanwhile() {
    let (shared, out) = source(&[0]);
    let mut part = part(&shared);
    part.settle(&mut done([out[0].token])).unwrap();
    shared.lock().committing = true;
    {
        let waits = part.bind();
        tokio::pin!(waits);
        assert!(tokio::time::timeout(LOOK_AGAIN * 3, &mut waits).await.is_err());
        assert_eq!(shared.lock().transactions_waiting, 1);
        assert!(shared.lock().lanes.iter().all(|lane| !lane.bound), "what settles the doubt is a commit of these");
    }
    assert_eq!(shared.lock().transactions_waiting, 0);
    assert_eq!(part.bind().await.unwrap_err().kind(), ErrorKind::TimedOut);
    {
        let mut state = shared.lock();
        (state.committing, state.in_doubt) = (false, true);
    }
    assert!(part.bind().await.is_err());
    shared.lock().in_doubt = false;
    part.bind().await.unwrap();
    assert!(shared.lock().lanes.iter().all(|lane| lane.bound));
}

proptest! {
    /// Whatever is finished by whom and in which order: with the commit the group stands where it would stand had all been
    /// settled in the ordinary way.
    #[test]
    fn it_commits_what_ordinary_verdicts_would(
        steps in proptest::collection::vec((1..4i64, any::<bool>(), any::<bool>()), 1..60),
    ) {
        let mut at = 0;
        let positions: Vec<i64> = steps.iter().map(|(gap, ..)| { at += gap; at }).collect();
        let ((shared, out), (plain, same)) = (source(&positions), source(&positions));
        let mut part = part(&shared);
        for (index, (_, finished, in_transaction)) in steps.iter().enumerate().filter(|(_, (_, finished, _))| *finished) {
            prop_assert!(*finished);
            match in_transaction {
                true => part.settle(&mut done([out[index].token])).unwrap(),
                false => drop(shared.lock().settle(&mut done([out[index].token]))),
            }
            plain.lock().settle(&mut done([same[index].token]));
        }
        assert!(part.bind_now().unwrap());
        let sent = part.marks.first().map(|(_, _, mark)| mark.clone());
        if steps.iter().any(|(_, finished, in_transaction)| *finished && *in_transaction) {
            prop_assert_eq!(sent, own(&plain));
        }
        part.committed();
        prop_assert_eq!(own(&shared).or_else(|| own(&plain)), own(&plain));
    }
}
