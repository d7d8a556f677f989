//! What cannot be handled: where it goes, what is written on it, and when there is too much of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use gulo::dead_letter::{self as dlq, Guard};
use gulo::prelude::*;

use crate::bench::{Bench, assert_stops_with, header, headers, steps_of};
use crate::shared::{Log, Step, step, steps};

/// Steps 2 fail.
async fn second_ones_fail(
    Event(step): Event<Step>,
    attempt: Attempt,
    State(log): State<Log>,
) -> Result<(), HandlerError> {
    log.attempt(step, attempt);
    if step.number == 2 {
        return Err(HandlerError::new("the ledger is closed"));
    }
    log.done(step);
    Ok(())
}

pub async fn a_poisoned_message_is_dead_lettered_and_its_key_goes_on(bench: Bench) {
    let bench = bench.spread();
    let retry = Retry::fixed(Duration::from_millis(20)).max_attempts(3);
    let subscription = bench.subscription().concurrency(Concurrency::per_key(3)).retry(retry);
    let bus = bench.start(subscription.on(second_ones_fail)).await;
    let sent: Vec<_> = steps(1..4, 1..4).map(|step| bench.message(step)).collect();
    bench.send(sent.clone()).await;
    bench.until_done(steps(1..4, 3..4)).await;
    for order in 1..4 {
        let of_order: Vec<_> =
            bench.log.texts().into_iter().filter(|text| text.starts_with(&format!("{order}."))).collect();
        let expected = ["1 attempt 1", "1 done", "2 attempt 1", "2 attempt 2", "2 attempt 3", "3 attempt 1", "3 done"];
        assert_eq!(of_order, expected.map(|text| format!("{order}.{text}")));
    }
    assert_stops_with(bus, (6, 6, 3, 0, 0)).await;

    // Settled: neither handled nor dead-lettered again.
    assert_eq!(bench.redelivered().await, []);
    let mut letters = bench.letters().await;
    letters.sort_by_key(|letter| letter.key.clone());
    assert_eq!(letters.len(), 3);
    let originals = sent.iter().filter(|message| steps_of(&[(*message).clone()])[0].number == 2);
    for (letter, original) in letters.iter().zip(originals) {
        assert_eq!((&letter.key, &letter.payload), (&original.key, &original.payload));
        assert!(headers(letter).starts_with(&headers(original)), "{:?}", headers(letter));
    }
}

pub async fn a_permanent_failure_is_a_dead_letter_at_once(bench: Bench) {
    let handler = async |Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>| {
        log.attempt(step, attempt);
        if step.number == 1 { Err(HandlerError::new("no such order").permanent()) } else { Ok(()) }
    };
    let bus = bench.start(bench.subscription().on(handler)).await;
    bus.publish_all([step(1, 1), step(1, 2)]).await.expect("confirmed");
    bench.until("the key goes on", || bus.health().subscriptions[0].counts.handled == 1).await;
    assert_eq!(bench.log.texts(), ["1.1 attempt 1", "1.2 attempt 1"]);
    let letters = bench.letters().await;
    assert_eq!(steps_of(&letters), [step(1, 1)]);
    let said = [dlq::REASON, dlq::ERROR, dlq::ATTEMPTS].map(|name| header(&letters[0], name));
    assert_eq!(said, ["permanent", "no such order", "1"]);
    assert_stops_with(bus, (1, 0, 1, 0, 0)).await;
}

pub async fn a_dead_letter_says_by_value_why_and_when_and_from_where(bench: Bench) {
    let retry = Retry::fixed(Duration::from_millis(50)).max_attempts(2);
    let bus = bench.start(bench.subscription().retry(retry).on(second_ones_fail)).await;
    let again = if bench.can.duplicate_headers { "mine" } else { "mine too" };
    let mut message = bench.message(step(1, 2)).header("mine", "1").header(dlq::ATTEMPTS, "9").header(again, "2");
    message.headers.append_nullable("nothing", None);
    message.timestamp = Some(UNIX_EPOCH + Duration::from_millis(1_767_225_600_123));
    // Its own headers as they were, but for that of an earlier death.
    let mut expected = headers(&message);
    expected.retain(|(name, _)| name != dlq::ATTEMPTS);
    let sent = message.clone();
    let begun = DateTime::<Utc>::from(SystemTime::now());
    bench.send(vec![bench.message(step(1, 1)), message]).await;
    bench.until("its end", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
    let ended = DateTime::<Utc>::from(SystemTime::now());

    let letter = bench.letters().await.remove(0);
    assert_eq!((&letter.key, &letter.payload), (&sent.key, &sent.payload));
    let at = |name| header(&letter, name).parse::<DateTime<Utc>>().expect("a time");
    let (first, last) = (at(dlq::FIRST_FAILED_AT), at(dlq::LAST_FAILED_AT));
    // They are cut to milliseconds.
    assert!(begun.timestamp_millis() <= first.timestamp_millis() && first <= last && last <= ended);
    let between = (last - first).num_milliseconds();
    // A clock that a test pauses is not the one on the wall.
    assert!(bench.paused || (49..5_000).contains(&between), "{between} ms between the failures");

    let mut said = |name: &str, value: &str| expected.push((name.to_owned(), Some(value.to_owned())));
    said(dlq::REASON, "attempts-exhausted");
    said(dlq::ERROR, "the ledger is closed");
    said(dlq::ORIGIN_TOPIC, &bench.topic);
    if bench.can.partitions {
        said(dlq::ORIGIN_PARTITION, "0");
        said(dlq::ORIGIN_OFFSET, "1");
    }
    said(dlq::ORIGIN_TIMESTAMP, "2026-01-01T00:00:00.123Z");
    said(dlq::ORIGIN_GROUP, &bench.group);
    said(dlq::ATTEMPTS, "2");
    said(dlq::FIRST_FAILED_AT, header(&letter, dlq::FIRST_FAILED_AT));
    said(dlq::LAST_FAILED_AT, header(&letter, dlq::LAST_FAILED_AT));
    assert_eq!(headers(&letter), expected);
    assert_stops_with(bus, (1, 1, 1, 0, 0)).await;
}

/// Odd orders fail for good. One after the other, so it is known how many become dead letters before the lane stands still.
pub async fn too_many_dead_letters_in_a_row_stop_their_lane_until_a_trial_succeeds(bench: Bench) {
    let handler = async |Event(step): Event<Step>, attempt: Attempt, State(log): State<Log>| {
        log.attempt(step, attempt);
        if step.order % 2 == 1 {
            return Err(HandlerError::new("odd").permanent());
        }
        log.done(step);
        Ok(())
    };
    let guard = Guard::in_a_row(3).pause(Duration::from_secs(2));
    let subscription = bench.subscription().dead_letter(DeadLetter::topic().guard(guard));
    let bus = bench.start(subscription.on(handler)).await;
    // Three and it stands still. Two trials fail, the third succeeds: two in a row are few again.
    let orders = [1, 3, 5, 7, 9, 2, 11, 13, 4];
    bus.publish_all(orders.map(|order| step(order, 1))).await.expect("confirmed");
    let trouble = || bus.health().subscriptions[0].degraded.clone().unwrap_or_default();
    bench.until("health says so", || trouble().contains("too many dead letters")).await;
    assert!(trouble().contains(&*bench.topic) && !bus.health().is_up(), "{}", trouble());
    bench.until_done([step(4, 1)]).await;
    assert!(bus.health().is_up(), "{:?}", bus.health());

    // Each begun once, in order: what had not begun when the lane stood still came again, and only that.
    let attempts = orders.map(|order| bench.log.attempts_at(step(order, 1)));
    assert_eq!(attempts.each_ref().map(Vec::len), [1; 9], "{:#?}", bench.log.texts());
    bench.assert_waits(&attempts.concat(), &[0, 0, 2000, 2000, 2000, 0, 0, 0]);
    let odd: Vec<Step> = orders.iter().filter(|order| *order % 2 == 1).map(|order| step(*order, 1)).collect();
    assert_eq!(steps_of(&bench.letters().await), odd);
    assert_stops_with(bus, (2, 0, 7, 0, 0)).await;
    assert_eq!(bench.redelivered().await, []);
}
