//! Delivery at a later time, for transports that offer it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gulo_bus_core::ErrorKind;
use gulo_bus_core::message::{Message, SendOptions, Wishes};
use gulo_bus_core::transport::{Capability, Outcome, Publisher};

use super::Case;
use crate::support::{Bench, Reader, confirmed, numbered, set, text, texts};

pub(super) const CASES: &[Case] = &[
    case!(a_message_for_later_does_not_come_early).needs(&[Capability::DeliverAt]),
    case!(messages_for_later_come_in_time_whatever_their_delay).needs(&[Capability::DeliverAt]),
    case!(a_message_for_a_time_that_has_come_comes_at_once).needs(&[Capability::DeliverAt]),
    case!(a_long_delay_does_not_hold_up_a_short_one).needs(&[Capability::DeliverAt]),
    case!(a_message_for_later_arrives_as_it_was_sent).needs(&[Capability::DeliverAt]),
    case!(a_message_for_later_is_for_every_group_and_for_its_topic_alone).needs(&[Capability::DeliverAt]),
    case!(many_messages_for_later_all_come_once).needs(&[Capability::DeliverAt]),
    case!(a_message_for_later_to_a_missing_topic_is_refused_and_the_rest_is_confirmed).needs(&[Capability::DeliverAt]),
];

/// What a machine that does much else may cost besides the delay itself.
const LATE: Duration = Duration::from_secs(3);

fn at(at: SystemTime) -> Wishes {
    SendOptions { deliver_at: Some(at), ..SendOptions::default() }.into()
}

fn later(message: Message, millis: u64) -> Message {
    Message { send: at(SystemTime::now() + Duration::from_millis(millis)), ..message }
}

/// A publisher that has delayed a message already, and a reader who has had that: what is made for the first delay takes time, in which
/// that of a short one is over.
async fn delaying(bench: &Bench) -> (Arc<dyn Publisher>, Reader) {
    bench.one_lane(&["g"]).await;
    let (publisher, mut reader) = (bench.publisher().await, bench.member("g").await);
    confirmed(&*publisher, vec![later(bench.message("first"), 1)]).await;
    assert_eq!(text(&reader.take_and_settle(1).await[0]), "first");
    (publisher, reader)
}

async fn a_message_for_later_does_not_come_early(bench: Bench) {
    let (publisher, mut reader) = delaying(&bench).await;
    // Whole milliseconds are what a broker may round to.
    let time = SystemTime::now() + Duration::from_millis(800);
    let batch = vec![Message { send: at(time), ..bench.message("later") }, bench.message("now")];
    confirmed(&*publisher, batch).await;
    assert_eq!(text(&reader.one().await), "now");
    assert_eq!(text(&reader.one().await), "later");
    assert!(SystemTime::now() + Duration::from_millis(1) >= time, "its time has come");
}

/// Delays that a transport may put together out of others.
async fn messages_for_later_come_in_time_whatever_their_delay(bench: Bench) {
    let (publisher, mut reader) = delaying(&bench).await;
    let delays = [1, 99, 100, 101, 250, 700, 1500, 2300, 3100];
    let due = delays.map(|millis| (millis.to_string(), SystemTime::now() + Duration::from_millis(millis)));
    let message = |(text, time): &(String, SystemTime)| Message { send: at(*time), ..bench.message(&**text) };
    confirmed(&*publisher, due.iter().map(message).collect()).await;
    for _ in delays {
        let came = text(&reader.take_and_settle(1).await[0]);
        let (now, (_, time)) = (SystemTime::now(), due.iter().find(|(text, _)| *text == came).expect("one of them"));
        assert!(now + Duration::from_millis(1) >= *time, "{came} ms came {:?} early", time.duration_since(now));
        assert!(now < *time + LATE, "{came} ms came {:?} late", now.duration_since(*time));
    }
}

async fn a_message_for_a_time_that_has_come_comes_at_once(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    let past = |text, time| Message { send: at(time), ..bench.message(text) };
    bench.send(vec![past("a", UNIX_EPOCH), bench.message("b"), past("c", long_ago), bench.message("d")]).await;
    assert_eq!(texts(&bench.member("g").await.take(4).await), ["a", "b", "c", "d"]);
}

async fn a_long_delay_does_not_hold_up_a_short_one(bench: Bench) {
    let (publisher, mut reader) = delaying(&bench).await;
    let (short, hours) = (300, 5 * 3600 * 1000);
    confirmed(&*publisher, vec![later(bench.message("long"), hours), later(bench.message("short"), short)]).await;
    assert_eq!(text(&reader.take_and_settle(1).await[0]), "short");
    bench.nothing_more_for(&mut reader).await;
}

async fn a_message_for_later_arrives_as_it_was_sent(bench: Bench) {
    let (publisher, mut reader) = delaying(&bench).await;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let mut sent = Message::new(bench.topic(), all.clone()).key(all.clone());
    sent = sent.header("z", "1").header("content-type", "text/plain").header("ce_id", "7").header("x-death", "mine");
    sent = sent.header("x-first-death-queue", "mine too").header("bytes", all).header("a", "");
    sent.timestamp = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    confirmed(&*publisher, vec![later(sent.clone(), 350)]).await;
    assert_eq!(reader.one().await.message, sent);
    if bench.capabilities().await.tombstones {
        confirmed(&*publisher, vec![later(Message { payload: None, ..sent.clone() }, 100)]).await;
        assert_eq!(reader.one().await.message, Message { payload: None, ..sent });
    }
}

async fn a_message_for_later_is_for_every_group_and_for_its_topic_alone(bench: Bench) {
    bench.one_lane(&["g", "h"]).await;
    // Whatever routes must not take the one for the other.
    let longer = bench.topic_named("t.t");
    let other = bench.topology_of(&longer, "other");
    bench.transport().await.ensure(&other).await.expect("the topic is made");
    let to_other = Message { topic: longer.clone(), ..bench.message("other") };
    bench.send(vec![later(bench.message("m"), 150), later(to_other, 150)]).await;
    for group in ["g", "h"] {
        let mut reader = bench.member(group).await;
        assert_eq!(texts(&reader.take_and_settle(1).await), ["m"]);
        bench.nothing_more_for(&mut reader).await;
    }
    let spec = gulo_bus_core::transport::SubscribeSpec::group(bench.group("other"), [longer]);
    assert_eq!(text(&bench.reader(spec).await.one().await), "other");
}

async fn many_messages_for_later_all_come_once(bench: Bench) {
    let (publisher, mut reader) = delaying(&bench).await;
    let messages = numbered("m", 0..400).into_iter().enumerate();
    let messages = messages.map(|(index, text)| later(bench.message(text).key("k"), index as u64 % 7 * 100));
    confirmed(&*publisher, messages.collect()).await;
    assert_eq!(set(texts(&reader.take_and_settle(400).await)), set(numbered("m", 0..400)));
    bench.nothing_more_for(&mut reader).await;
}

async fn a_message_for_later_to_a_missing_topic_is_refused_and_the_rest_is_confirmed(bench: Bench) {
    bench.one_lane(&["g"]).await;
    let missing = Message { topic: bench.topic_named("nowhere"), ..bench.message("lost") };
    let batch = vec![later(bench.message("first"), 1), later(missing.clone(), 200), later(bench.message("last"), 900)];
    let unsent = bench.publisher().await.publish(batch).await.expect_err("one topic is missing");
    let [failed] = &unsent.failed[..] else { panic!("one failed, not {}", unsent.failed.len()) };
    assert_eq!((failed.index, failed.outcome), (1, Outcome::Refused), "{}", failed.error);
    assert_eq!((&failed.message.topic, failed.error.kind()), (&missing.topic, ErrorKind::Missing));
    assert!(failed.error.to_string().contains(&*missing.topic), "{}", failed.error);
    assert_eq!(texts(&bench.member("g").await.take(2).await), ["first", "last"]);
}
